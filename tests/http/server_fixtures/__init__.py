"""A small application, a server around it, and a client that says exactly what it is told."""
