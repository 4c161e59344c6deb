"""Traces for whoever runs an OpenTelemetry collector; imported only when there is one."""
