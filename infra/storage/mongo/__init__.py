"""Opening and watching a MongoDB client."""
