"""Which models and providers there are: `models.toml`, settings, the built-in ones."""
