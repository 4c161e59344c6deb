"""Metrics, traces and health of the process."""
