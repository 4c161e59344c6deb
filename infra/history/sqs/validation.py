"""Whether a document that came through a queue may be given to a store.

Anybody who may send to the queue can put anything there. What passes here, every store can keep and give back equal,
and readers can show; what does not is a dead letter.
"""

from collections.abc import Callable, Mapping
from typing import Any

from domain.entities.bounds import is_amount, is_count, is_seed
from domain.entities.caller import is_user_id
from domain.entities.interaction import is_interaction_id

_MAX_NAME_CHARACTERS = 512
_MAX_NAME_BYTES = 1024
"""With a user's id before them, names are keys of DynamoDB's indexes, which take 2 048 bytes."""


def is_well_formed(document: Any) -> bool:
    """Return whether it has the types of an interaction; whether it is one, `interaction_of` tells."""
    if not isinstance(document, dict):
        return False
    return (
        is_interaction_id(document.get("id"))
        and _is_user_id(document.get("userId"))
        and _all_fit(document, _FIELDS)
    )


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
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and all(_are_texts(one) and len(one) == 2 for one in value)


def _is_usage(value: Any) -> bool:
    return isinstance(value, dict) and _all_fit(value, _USAGE)


def _are_attempts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and _all_fit(one, _ATTEMPT) for one in value
    )


def _all_fit(document: dict[str, Any], fields: Mapping[str, Callable[[Any], bool]]) -> bool:
    """Return whether each field that is there is as it has to be; others are not read."""
    return all(fits(document[name]) for name, fits in fields.items() if name in document)


_USAGE = {
    "input": is_count,
    "output": is_count,
    "reasoning": is_count,
    "total": is_count,
    "cachedInput": is_count,
    "costUsd": is_amount,
}
_ATTEMPT = {
    "provider": _is_name,
    "model": _is_name,
    "outcome": _is_name,
    "seconds": is_amount,
    "http": is_count,
    **_USAGE,
}
_FIELDS = {
    "model": _is_name,
    "requested": _is_name,
    "asked": _is_name,
    "provider": _is_name,
    "conversationId": _is_name,
    "status": _is_name,
    "finish": _is_name,
    "error": _is_name,
    "text": _is_text,
    "prompt": _is_text,
    "system": _is_text,
    "messages": _are_messages,
    "stop": _are_texts,
    "fallback": _is_flag,
    "seconds": is_amount,
    "firstSeconds": is_amount,
    "temperature": is_amount,
    "topP": is_amount,
    "maxOutputTokens": is_count,
    "seed": is_seed,
    "usage": _is_usage,
    "attempts": _are_attempts,
}
