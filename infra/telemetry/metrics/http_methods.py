"""HTTP methods as OpenTelemetry's conventions name them in metrics and spans."""

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "_OTHER"
"""Stands for every other method, since a client may send any text as one."""
