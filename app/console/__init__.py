"""The web console: static files, and their representation for HTTP."""
