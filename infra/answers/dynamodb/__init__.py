"""Event logs in the DynamoDB table, for all hosts that share it."""
