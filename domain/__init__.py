"""Entities, ports and use cases. Imports only the standard library."""
