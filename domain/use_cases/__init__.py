"""The operations of the service, one file per verb."""
