"""AWS credentials, a client, its errors, and one DynamoDB table with batching and throttling."""
