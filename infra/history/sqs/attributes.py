"""Message attributes; readers ignore unknown ones."""

from collections.abc import Mapping
from typing import Any

REASON = "reason"
"""The reason why a message is a dead letter."""

TRACEPARENT = "traceparent"
"""The span that sent a message, in the form of W3C Trace Context; absent without tracing."""

Attributes = dict[str, dict[str, str]]

_TEXT = "String"


def attributes_of(values: Mapping[str, str | None]) -> dict[str, Attributes]:
    """Return the attributes as parameters of a send; empty values are omitted."""
    attributes = {
        name: {"DataType": _TEXT, "StringValue": value} for name, value in values.items() if value
    }
    return {"MessageAttributes": attributes} if attributes else {}


def size_of(values: Mapping[str, str | None]) -> int:
    """Return the size of the attributes in bytes: SQS counts names, types and values."""
    return sum(
        [len(name) + len(_TEXT) + len(value.encode()) for name, value in values.items() if value]
    )


def value_in(message: Mapping[str, Any], name: str) -> str:
    """Return an attribute of a received message; empty if it is absent."""
    value: str = message.get("MessageAttributes", {}).get(name, {}).get("StringValue", "")
    return value
