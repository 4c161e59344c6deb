"""The facts the service is about."""
