"""Pure ASGI around the application."""
