"""Life cycle of the process: start, stop, event loop, garbage collection."""
