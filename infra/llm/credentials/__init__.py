"""Access tokens for providers that need a token instead of a key: fetched, cached and renewed."""
