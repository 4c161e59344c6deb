"""Models and providers: `models.toml`, settings, the built-in ones."""
