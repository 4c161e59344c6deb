"""The embedded history store: one SQLite file, its jobs, reads and schema."""
