"""Checks JSON Schemas in requests."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

_CACHED_SCHEMAS = 1024


def is_json_schema(schema: Mapping[str, Any]) -> bool:
    """Return whether `schema` is a valid JSON Schema that refers to no other document; nothing is fetched."""
    return _is_valid(orjson.dumps(schema))


@lru_cache(_CACHED_SCHEMAS)
def _is_valid(text: bytes) -> bool:
    """Return whether `text` is a JSON Schema. Cached, since most requests of one client have the same schemas."""
    # imported here, since it takes 34 ms and most services never need it
    from jsonschema_rs import ReferencingError, ValidationError, validator_for

    try:
        validator_for(orjson.loads(text), offline=True)
    except (ReferencingError, ValidationError, ValueError):
        return False
    return True
