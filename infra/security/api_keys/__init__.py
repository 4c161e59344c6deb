"""API keys: their format, their storage, and the cache that authenticates them."""
