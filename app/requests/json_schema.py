"""Checks JSON Schemas in requests."""

from functools import lru_cache
from typing import Any

import orjson

_CACHED_SCHEMAS = 1024


def schema_text(schema: dict[str, Any]) -> str:
    """Return a JSON Schema as JSON text.

    Raises:
        ValueError: It is not a valid JSON Schema, or refers to another document.
    """
    text = orjson.dumps(schema).decode()
    if not _is_schema(text):
        raise ValueError("should be a JSON Schema without references to other documents")
    return text


@lru_cache(_CACHED_SCHEMAS)
def _is_schema(text: str) -> bool:
    """Return whether `text` is a JSON Schema. Cached, since most requests of one client have the same schemas."""
    # imported here, since it takes 34 ms and most services never need it
    from jsonschema_rs import ReferencingError, ValidationError, validator_for

    try:
        validator_for(orjson.loads(text), offline=True)
    except (ReferencingError, ValidationError, ValueError):
        return False
    return True
