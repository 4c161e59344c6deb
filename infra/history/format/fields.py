"""The table of a stored document's fields and the values that each may have; the check of documents follows from it.

`documents.py` writes and reads the fields one by one, because a loop over a table took 7.0 µs instead of 4.7 to write
a document and 18.4 instead of 17.1 to read one. A test compares the names that it writes and reads with this table.
"""

from collections.abc import Callable, Mapping
from typing import Any

from domain.entities.bounds import is_amount, is_count, is_seed
from domain.entities.caller import is_user_id
from domain.entities.interaction import is_interaction_id

Check = Callable[[Any], bool]
"""Whether every store can hold a value and return it equal, and readers can show it."""

_MAX_NAME_CHARACTERS = 512
_MAX_NAME_BYTES = 1024
"""Names follow a user's id in the keys of DynamoDB's indexes, which take 2 048 bytes."""


def _is_user_id(value: Any) -> bool:
    return isinstance(value, str) and is_user_id(value)


def _is_name(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= _MAX_NAME_CHARACTERS
        and len(value.encode()) <= _MAX_NAME_BYTES
        and "\0" not in value  # SQLite's functions read a text up to its first NUL
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and all(
        _are_texts(message) and len(message) == 2 for message in value
    )


def _is_usage(value: Any) -> bool:
    return isinstance(value, dict) and _all_fit(value, USAGE)


def _are_attempts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(attempt, dict) and _all_fit(attempt, ATTEMPT) for attempt in value
    )


def _all_fit(document: Mapping[str, Any], fields: Mapping[str, Check]) -> bool:
    """Return whether each field that is present has a valid value; unknown fields are ignored."""
    return all(fits(document[name]) for name, fits in fields.items() if name in document)


USAGE: Mapping[str, Check] = {
    "input": is_count,
    "output": is_count,
    "reasoning": is_count,
    "total": is_count,
    "cachedInput": is_count,
    "costUsd": is_amount,
}
ATTEMPT: Mapping[str, Check] = {
    "provider": _is_name,
    "model": _is_name,
    "outcome": _is_name,
    "seconds": is_amount,
    "http": is_count,
    **USAGE,
}

DERIVED = frozenset({"v", "answered"})
"""Written in addition: the version, which readers compare, and `Interaction.is_answered`, which they ignore."""

INTERACTION: Mapping[str, Check] = {
    "id": is_interaction_id,
    "userId": _is_user_id,
    "model": _is_name,
    "status": _is_name,
    "seconds": is_amount,
    "conversationId": _is_name,
    "requested": _is_name,
    "provider": _is_name,
    "text": _is_text,
    "finish": _is_name,
    "fallback": _is_flag,
    "firstSeconds": is_amount,
    "error": _is_name,
    "usage": _is_usage,
    "attempts": _are_attempts,
    "prompt": _is_text,
    "messages": _are_messages,
    "system": _is_text,
    "asked": _is_name,
    "temperature": is_amount,
    "maxOutputTokens": is_count,
    "topP": is_amount,
    "stop": _are_texts,
    "seed": is_seed,
}


def is_well_formed(document: Any) -> bool:
    """Return whether a value from outside has the types and bounds of a document.

    Every store can hold a document that passes, and return it equal. `interaction_of` decides whether it is an
    interaction.
    """
    return (
        isinstance(document, dict)
        and "id" in document
        and "userId" in document
        and _all_fit(document, INTERACTION)
    )
