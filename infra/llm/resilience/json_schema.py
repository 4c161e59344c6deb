"""Validates JSON texts by JSON Schema."""

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from domain.entities.tools import ResponseFormat

if TYPE_CHECKING:
    from jsonschema_rs import Validator

_CACHED_SCHEMAS = 256
_MAX_CACHED_CHARACTERS = 16_384  # a compiled schema takes a multiple of its text
_MAX_BACKTRACKS = 100_000


def fits(text: str, wanted: ResponseFormat) -> bool:
    """Return whether `text` is exactly the requested JSON: prose or a code fence around it is invalid.

    Without a schema, it has to be a JSON object.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    if wanted.schema is None:
        return isinstance(value, dict)
    is_small = len(wanted.schema) <= _MAX_CACHED_CHARACTERS
    validator = (_cached_validator if is_small else _validator)(wanted.schema)
    return validator.is_valid(value)


@lru_cache(_CACHED_SCHEMAS)
def _cached_validator(schema: str) -> "Validator":
    """Return the same as `_validator`. Cached, since most requests of one client have the same schemas."""
    return _validator(schema)


def _validator(schema: str) -> "Validator":
    """Return the validator of a schema, which was checked when the request was received.

    Nothing is fetched for references, and patterns take a limited time whatever the text.
    """
    # imported here, since it takes 34 ms and most services never need it
    from jsonschema_rs import FancyRegexOptions, validator_for

    patterns = FancyRegexOptions(backtrack_limit=_MAX_BACKTRACKS)
    return validator_for(orjson.loads(schema), offline=True, pattern_options=patterns)
