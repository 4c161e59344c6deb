"""A provider that misbehaves on purpose, and a run of the real chain against it."""
