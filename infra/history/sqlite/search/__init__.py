"""Full-text search over the embedded store: queries, the index, its purge and renewal."""
