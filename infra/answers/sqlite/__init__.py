"""Event logs in a SQLite file that the processes of one host share."""
