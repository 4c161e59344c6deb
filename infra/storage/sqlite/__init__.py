"""One writer thread per file, file locks, schema migrations."""
