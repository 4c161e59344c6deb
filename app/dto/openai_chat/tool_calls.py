"""Tool calls in OpenAI's format."""

from typing import Any

from domain.entities.items import ProviderMetadata, ToolCall

_EXTRA = "extra_content"
_METADATA = "provider_metadata"
"""Field of `extra_content` that contains the metadata in requests and responses; its value is opaque to clients."""


def tool_call(call: ToolCall) -> dict[str, Any]:
    """Return a call as an element of `tool_calls`."""
    document: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.metadata is not None:
        document[_EXTRA] = _extra_of(call.metadata)
    return document


def metadata_in(extra: object) -> ProviderMetadata | None:
    """Return the metadata in the `extra_content` of a call that a client sends back; None where there is none."""
    value = extra.get(_METADATA) if isinstance(extra, dict) else None
    if not isinstance(value, dict):
        return None
    kind, family, text = (value.get(name) for name in ("kind", "family", "value"))
    if isinstance(kind, str) and isinstance(family, str) and isinstance(text, str):
        return ProviderMetadata(kind=kind, family=family, value=text)
    return None


def _extra_of(metadata: ProviderMetadata) -> dict[str, Any]:
    extra: dict[str, Any] = {
        _METADATA: {
            "kind": metadata.kind,
            "family": metadata.family,
            "value": metadata.value,
        }
    }
    return extra
