"""Benchmarks of the service in CPU time, since elapsed time varies on a shared machine."""
