"""The process: start, stop, event loop, garbage collector."""
