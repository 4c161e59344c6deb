"""Reads requests: strict bodies and queries, headers, the caller."""
