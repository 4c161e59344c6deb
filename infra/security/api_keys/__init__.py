"""API keys: their format, where they are kept, and the cache that checks them."""
