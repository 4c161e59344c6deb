"""One client and one format per kind of provider, and the registry of kinds."""
