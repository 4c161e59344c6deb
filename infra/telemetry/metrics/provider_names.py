"""OpenTelemetry's names of providers."""

_WELL_KNOWN = {"gemini": "gcp.gemini", "bedrock": "aws.bedrock"}


def open_telemetry_name(provider: str) -> str:
    """Return the `gen_ai.provider.name` of a provider of the catalogue; its own name if the standard defines none."""
    return _WELL_KNOWN.get(provider, provider)
