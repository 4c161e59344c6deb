"""Settings, and those that production refuses."""
