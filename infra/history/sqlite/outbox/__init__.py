"""The durable local queue in front of a remote store: write here, deliver there, read both."""
