"""The `selftest` command: a fault-injecting provider, and a run of the real chain against it."""
