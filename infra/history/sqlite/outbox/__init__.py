"""The durable local queue in front of a remote store: it accepts writes, delivers them, and merges reads of both."""
