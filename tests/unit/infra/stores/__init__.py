"""The registry of stores."""
