"""Prometheus metrics, and the same numbers as CloudWatch's embedded metric format."""
