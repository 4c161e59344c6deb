"""Access tokens for providers that take no key: fetched, cached and renewed."""
