"""Event logs in MongoDB, for all hosts that share it."""
