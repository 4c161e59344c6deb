"""Whether a document that came through a queue may be given to a store.

Anybody who may send to the queue can put anything there, and what a store refuses, or a reader chokes on, would come
back for ever.
"""

import re
from typing import Any

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_USER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@|+-]{0,127}")
_MAX_NAME_CHARACTERS = 512

_NAMES = ("model", "status", "conversationId", "requested", "provider", "finish", "error", "asked")
_TEXTS = ("text", "prompt", "system")
_NUMBERS = ("seconds", "firstSeconds", "temperature", "topP", "maxOutputTokens", "seed")


def is_well_formed(document: Any) -> bool:
    """Return whether it has the types of an interaction; whether it is one, `interaction_of` tells."""
    if not isinstance(document, dict):
        return False
    get = document.get
    return (
        _matches(_ID, get("id"))
        and _matches(_USER_ID, get("userId"))
        and all(_is_name(get(name, "")) for name in _NAMES)
        and all(isinstance(get(name, ""), str) for name in _TEXTS)
        and all(isinstance(get(name, 0), (int, float)) for name in _NUMBERS)
        and all(isinstance(one, (int, float)) for one in _values(get("usage", {})))
        and all(isinstance(one, (str, int, float)) for one in _attempted(get("attempts", [])))
        and all(isinstance(one, str) for one in _said(document))
    )


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_NAME_CHARACTERS


def _values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else [None]


def _attempted(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [None]
    return [field for attempt in value for field in _values(attempt)]


def _said(document: dict[str, Any]) -> list[Any]:
    """Return every text of the messages and the stop texts, or something that is none."""
    messages, stops = document.get("messages", []), document.get("stop", [])
    if not isinstance(messages, list) or not isinstance(stops, list):
        return [None]
    pairs = [part for pair in messages for part in (pair if isinstance(pair, list) else [None])]
    return [*pairs, *stops]
