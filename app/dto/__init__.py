"""Request and response bodies, and their conversion from and to domain entities."""
