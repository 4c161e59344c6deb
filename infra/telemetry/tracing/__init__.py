"""Tracing with OpenTelemetry; imported only if a collector is configured."""
