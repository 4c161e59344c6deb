"""What travels beside a message's body; whoever does not know an attribute leaves it alone."""

from collections.abc import Mapping
from typing import Any

REASON = "reason"
"""Of a dead letter: why it is one."""

TRACEPARENT = "traceparent"
"""The span a message was sent in, as W3C Trace Context writes it; missing where nobody follows it."""

Attributes = dict[str, dict[str, str]]

_TEXT = "String"


def attributes_of(values: Mapping[str, str | None]) -> dict[str, Attributes]:
    """Return the part of a message that says these; nothing for those that are empty."""
    said = {
        name: {"DataType": _TEXT, "StringValue": value} for name, value in values.items() if value
    }
    return {"MessageAttributes": said} if said else {}


def size_of(values: Mapping[str, str | None]) -> int:
    """Return their share of a message's size in bytes: SQS counts names, types and values."""
    return sum(
        [len(name) + len(_TEXT) + len(value.encode()) for name, value in values.items() if value]
    )


def value_in(message: Mapping[str, Any], name: str) -> str:
    """Return an attribute of a received message; empty when it has none of that name."""
    value: str = message.get("MessageAttributes", {}).get(name, {}).get("StringValue", "")
    return value
