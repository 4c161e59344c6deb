"""SQLite as the store, in a file."""
