"""HTTP, the command line and the application services. Imports `domain`, never `infra`."""
