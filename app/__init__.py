"""How it is said, and whether it may happen: HTTP, the command line, services. Knows the domain, never `infra`."""
