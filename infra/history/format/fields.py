"""The table of a stored document's fields and the values that each may have; the check of documents follows from it.

`documents.py` writes and reads the fields one by one, because a loop over a table took 7.0 µs instead of 4.7 to write
a document and 18.4 instead of 17.1 to read one. A test compares the names that it writes and reads with this table.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from domain.entities.bounds import is_amount, is_count, is_seed
from domain.entities.caller import is_user_id
from domain.entities.interaction import CREDENTIAL_PATTERN, is_interaction_id
from infra.history.format.items import ATTACHMENT, REASONING, TEXT, TOOL_CALL, TOOL_RESULT

Check = Callable[[Any], bool]
"""Whether every store can hold a value and return it equal, and readers can show it."""

_MAX_NAME_CHARACTERS = 512
_MAX_NAME_BYTES = 1024
"""Names follow a user's id in the keys of DynamoDB's indexes, which take 2 048 bytes."""
_CREDENTIAL = re.compile(CREDENTIAL_PATTERN)


def _is_user_id(value: Any) -> bool:
    return isinstance(value, str) and is_user_id(value)


def _is_name(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= _MAX_NAME_CHARACTERS
        and len(value.encode()) <= _MAX_NAME_BYTES
        and "\0" not in value  # SQLite's functions read a text up to its first NUL
    )


def _is_credential(value: Any) -> bool:
    return isinstance(value, str) and _CREDENTIAL.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and is_count(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _are_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(_are_texts(pair) and len(pair) == 2 for pair in value)


def _is_usage(value: Any) -> bool:
    return isinstance(value, dict) and _all_fit(value, USAGE)


def _are_attempts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(attempt, dict) and _all_fit(attempt, ATTEMPT) for attempt in value
    )


def _is_metadata(value: Any) -> bool:
    return _has_all(value, METADATA)


def _are_output_items(value: Any) -> bool:
    return _are_items(value, OUTPUT_ITEMS)


def _are_items_of_messages(value: Any) -> bool:
    return isinstance(value, list) and all(_are_items(items, ITEMS) for items in value)


def _are_items(value: Any, kinds: Mapping[str, Mapping[str, Check]]) -> bool:
    return isinstance(value, list) and all(_is_item(item, kinds) for item in value)


def are_items_of(value: Any, text: str) -> bool:
    """Return whether a value from outside is the list of the items of a message with this text."""
    return _are_items(value, ITEMS) and _fills(value, text)


def _is_item(value: Any, kinds: Mapping[str, Mapping[str, Check]]) -> bool:
    """Return whether `value` is an item of one of `kinds`.

    Unlike unknown fields, unknown types are refused: the item would be lost.
    """
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    required = kinds.get(value["type"])
    if required is None or not _has_all(value, required):
        return False
    if not _all_fit(value, ATTACHMENT_OPTIONS if value["type"] == ATTACHMENT else OPTIONAL):
        return False
    is_json_here = value["type"] == TOOL_RESULT and value.get("isJson") and "contentId" not in value
    return not is_json_here or can_be_shown(value["output"])


def can_be_shown(text: str) -> bool:
    """Return whether `text` is JSON that can also be written as part of a longer document."""
    try:
        value = orjson.loads(text)
        for _ in range(_LEVELS_ABOVE):
            value = [value]
        orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return False
    return True


_LEVELS_ABOVE = 8
"""orjson reads more levels of nesting than it writes; a page of history has fewer than these around a result."""


def _are_options(value: Any) -> bool:
    return isinstance(value, dict) and _all_fit(value, OPTIONS)


def _are_tools(value: Any) -> bool:
    return isinstance(value, list) and all(
        _has_all(tool, {"name": _is_text}) and _all_fit(tool, TOOL) for tool in value
    )


def _is_choice(value: Any) -> bool:
    return _has_all(value, {"mode": _is_text}) and _all_fit(value, {"names": _are_texts})


def _is_format(value: Any) -> bool:
    return _has_all(value, {"name": _is_text}) and _all_fit(value, FORMAT)


def _has_all(value: Any, fields: Mapping[str, Check]) -> bool:
    """Return whether `value` is an object with a valid value of each field."""
    return isinstance(value, dict) and fields.keys() <= value.keys() and _all_fit(value, fields)


def _all_fit(document: Mapping[str, Any], fields: Mapping[str, Check]) -> bool:
    """Return whether each field that is present has a valid value; unknown fields are ignored."""
    return all(fits(document[name]) for name, fits in fields.items() if name in document)


USAGE: Mapping[str, Check] = {
    "input": is_count,
    "output": is_count,
    "reasoning": is_count,
    "total": is_count,
    "cachedInput": is_count,
    "cacheWrite": is_count,
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

METADATA: Mapping[str, Check] = {"kind": _is_text, "family": _is_text, "value": _is_text}
OUTPUT_ITEMS: Mapping[str, Mapping[str, Check]] = {
    TEXT: {"length": _is_length},
    REASONING: {"text": _is_text},
    TOOL_CALL: {"id": _is_text, "name": _is_text, "arguments": _is_text},
}
"""The fields that an item of each type must have."""
ITEMS = {
    **OUTPUT_ITEMS,
    TOOL_RESULT: {"callId": _is_text, "output": _is_text},
    ATTACHMENT: {"mediaType": _is_text},
}
OPTIONAL: Mapping[str, Check] = {
    "metadata": _is_metadata,
    "isJson": _is_flag,
    "isError": _is_flag,
    "contentId": _is_text,
}
"""The fields that items other than attachments may have."""
ATTACHMENT_OPTIONS: Mapping[str, Check] = {
    "id": _is_text,
    "bytes": _is_length,
    "name": _is_text,
    "url": _is_text,
}

TOOL: Mapping[str, Check] = {
    "description": _is_text,
    "parameters": _is_text,
    "strict": _is_flag,
}
FORMAT: Mapping[str, Check] = {"description": _is_text, "schema": _is_text, "strict": _is_flag}
OPTIONS: Mapping[str, Check] = {
    "tools": _are_tools,
    "toolChoice": _is_choice,
    "parallelToolCalls": _is_flag,
    "responseFormat": _is_format,
    "reasoningEffort": _is_text,
    "keepsInput": _is_flag,
    "systemContentId": _is_text,
    "toolsContentId": _is_text,
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
    "messages": _are_pairs,
    "system": _is_text,
    "asked": _is_name,
    "temperature": is_amount,
    "maxOutputTokens": is_count,
    "topP": is_amount,
    "stop": _are_texts,
    "seed": is_seed,
    "inputItems": _are_items_of_messages,
    "options": _are_options,
    "items": _are_output_items,
    "previousId": is_interaction_id,
    "metadata": _are_pairs,
    "contentStored": _is_flag,
    "background": _is_flag,
    "credential": _is_credential,
}


ITEM_FIELDS = frozenset(
    {"items", "inputItems", "options", "previousId", "metadata", "contentStored", "background"}
)
"""The fields that the version before items does not know, and omits when it passes a document on."""


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
        and _items_fit_texts(document)
    )


def _items_fit_texts(document: Mapping[str, Any]) -> bool:
    """Return whether the text items of an answer and of each message are as long as its text."""
    if not _fills(document.get("items"), document.get("text", "")):
        return False
    items = document.get("inputItems")
    if items is None:
        return True
    prompt = document.get("prompt")
    texts = [text for _, text in document.get("messages", ())] if prompt is None else [prompt]
    return len(items) == len(texts) and all(map(_fills, items, texts))


def _fills(items: Sequence[Mapping[str, Any]] | None, text: str) -> bool:
    """Return whether the text items are as long as `text`; without items there is only the text."""
    return not items or sum(item.get("length", 0) for item in items if item["type"] == TEXT) == len(
        text
    )
