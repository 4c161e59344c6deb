"""The JSON in calls and metadata, as several formats write it."""

from collections.abc import Mapping

import orjson

from domain.entities.items import ProviderMetadata


def arguments_object(arguments: str) -> object:
    """Return the arguments of a call as the object that some APIs demand, exactly as the model wrote it.

    Other JSON, and text that is none, becomes the value of `arguments` in an object; empty values become `{}`.
    """
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        value = arguments
    if isinstance(value, dict):
        return orjson.Fragment(arguments)
    return {"arguments": value} if value else {}


def arguments_schema(parameters: str | None) -> object:
    """Return the JSON Schema of the arguments of a tool, for APIs where it must say that they are an object.

    Args:
        parameters: JSON text; None for a tool without parameters.
    """
    schema = orjson.loads(parameters) if parameters is not None else {}
    if not isinstance(schema, dict):
        schema = {}
    if parameters is not None and schema.get("type") == "object":
        return orjson.Fragment(parameters)
    return {**schema, "type": "object"}


def metadata_object(
    metadata: ProviderMetadata | None, *, kind: str, family: str
) -> Mapping[str, object]:
    """Return the JSON object in metadata of this kind and family; empty for any other."""
    if metadata is None or metadata.kind != kind or metadata.family != family:
        return {}
    try:
        value = orjson.loads(metadata.value)
    except orjson.JSONDecodeError:  # altered by a client that sent it back
        return {}
    return value if isinstance(value, dict) else {}
