"""DynamoDB as the store."""
