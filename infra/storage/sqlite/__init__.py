"""SQLite files: group commit by one writer thread, file locks, schema migrations."""
