"""AWS: access settings, a client, its errors, and batched calls of a DynamoDB table."""
