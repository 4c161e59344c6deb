"""The console: static files, and what they are served with."""
