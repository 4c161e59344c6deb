"""SQS between the service and the worker that writes the store."""
