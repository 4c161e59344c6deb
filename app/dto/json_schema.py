"""Checks JSON Schemas in requests."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

_CACHED_SCHEMAS = 1024
_MAX_CACHED_BYTES = 16_384  # so that the cache holds at most 16 MiB
_MOST_LEVELS = 128
_KNOWN_DRAFTS = re.compile(
    r"https?://json-schema\.org/(?:draft-0[467]|draft/2019-09|draft/2020-12)/schema#?"
)
_VALUES = frozenset({"const", "default", "enum", "example", "examples"})
_NAMED_SCHEMAS = frozenset(
    {"properties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)


def check_json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema`; raises `ValueError` with the reason why no answer can be checked against it."""
    if (fault := schema_fault(schema)) is not None:
        raise ValueError(fault)
    return schema


def check_object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema`; raises `ValueError` if it cannot be the schema of a tool's arguments, which are an object."""
    if (fault := arguments_fault(schema)) is not None:
        raise ValueError(fault)
    kinds = schema.get("type", "object")
    if kinds != "object" and "object" not in kinds:
        raise ValueError("must be a JSON Schema of an object")
    return schema


def schema_fault(schema: Mapping[str, Any]) -> str | None:
    """Return why answers cannot be checked against `schema`; None if they can. Nothing is fetched."""
    return _fault(schema, is_evaluated=True)


def arguments_fault(schema: Mapping[str, Any]) -> str | None:
    """Return why `schema` cannot be that of a tool's arguments; None if it can. Nothing is fetched.

    Nothing here checks arguments, so its patterns and `$schema` may be such as only the provider or the client knows.
    """
    return _fault(schema, is_evaluated=False)


def _fault(schema: Mapping[str, Any], *, is_evaluated: bool) -> str | None:
    text = orjson.dumps(schema)
    find = _known_fault if len(text) <= _MAX_CACHED_BYTES else _fault_in
    return find(text, is_evaluated)


@lru_cache(_CACHED_SCHEMAS)
def _known_fault(text: bytes, is_evaluated: bool) -> str | None:
    """Return the same as `_fault_in`. Cached, since most requests of one client have the same schemas."""
    return _fault_in(text, is_evaluated)


def _fault_in(text: bytes, is_evaluated: bool) -> str | None:
    schema = orjson.loads(text)
    fault = _compiler_fault(schema)
    if fault is None or is_evaluated:
        return fault
    # The check against a metaschema alone would fetch an unknown `$schema` from its address.
    return _compiler_fault(_without_patterns(schema))


def _compiler_fault(schema: Any) -> str | None:
    # imported here, since it takes 34 ms and most services never need it
    from jsonschema_rs import ReferencingError, ValidationError, ValidationErrorKind, validator_for

    try:
        validator_for(schema, offline=True)
    except ValidationError as error:
        match error.kind:
            case ValidationErrorKind.Format(format="regex"):
                return "must be a JSON Schema whose patterns are supported"
            case ValidationErrorKind.Referencing():
                return "must be a JSON Schema of a known `$schema`, with references to parts of itself only"
        return "must be a JSON Schema"
    except (ReferencingError, ValueError):
        return "must be a JSON Schema"
    return None


def _without_patterns(schema: Any, levels: int = _MOST_LEVELS) -> Any:
    """Return a schema without its regular expressions and unknown `$schema`; unchanged below some levels."""
    if not levels:
        return schema
    if isinstance(schema, list):
        return [_without_patterns(part, levels - 1) for part in schema]
    if not isinstance(schema, dict):
        return schema
    changed: dict[str, object] = {}
    for keyword, value in schema.items():
        if keyword == "pattern" and isinstance(value, str):
            continue
        if keyword == "$schema" and isinstance(value, str) and not _KNOWN_DRAFTS.fullmatch(value):
            continue
        if keyword in _VALUES:
            changed[keyword] = value
        elif keyword == "patternProperties" and isinstance(value, dict):
            schemas = enumerate(value.values())
            changed[keyword] = {str(n): _without_patterns(part, levels - 1) for n, part in schemas}
        elif keyword in _NAMED_SCHEMAS and isinstance(value, dict):
            changed[keyword] = {
                name: _without_patterns(part, levels - 1) for name, part in value.items()
            }
        else:
            changed[keyword] = _without_patterns(value, levels - 1)
    return changed
