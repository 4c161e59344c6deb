"""Checks JSON Schemas in requests."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

_CACHED_SCHEMAS = 1024
_MAX_CACHED_BYTES = 16_384  # so that the cache holds at most 16 MiB


def check_json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema`; raises `ValueError` if it is not a JSON Schema, or refers to another document."""
    if not is_json_schema(schema):
        raise ValueError("must be a JSON Schema without references to other documents")
    return schema


def check_object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema`; raises `ValueError` if it is not a JSON Schema of an object."""
    kinds = check_json_schema(schema).get("type", "object")
    if kinds != "object" and "object" not in kinds:
        raise ValueError("must be a JSON Schema of an object")
    return schema


def is_json_schema(schema: Mapping[str, Any]) -> bool:
    """Return whether `schema` is a valid JSON Schema that refers to no other document; nothing is fetched."""
    text = orjson.dumps(schema)
    return _is_known_valid(text) if len(text) <= _MAX_CACHED_BYTES else _is_valid(text)


@lru_cache(_CACHED_SCHEMAS)
def _is_known_valid(text: bytes) -> bool:
    """Return the same as `_is_valid`. Cached, since most requests of one client have the same schemas."""
    return _is_valid(text)


def _is_valid(text: bytes) -> bool:
    # imported here, since it takes 34 ms and most services never need it
    from jsonschema_rs import ReferencingError, ValidationError, validator_for

    try:
        validator_for(orjson.loads(text), offline=True)
    except (ReferencingError, ValidationError, ValueError):
        return False
    return True
