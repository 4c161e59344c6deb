"""Parses the JSON of providers, including lone surrogates that strict parsers reject."""

import json
import re
from collections.abc import Callable
from typing import Any

import orjson

from infra.llm.transport.errors.answer_errors import UnreadableAnswer

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(data: bytes) -> object:
    """Return the document in `data`; its texts may hold lone surrogates.

    Raises:
        orjson.JSONDecodeError: It is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as refusal:
        return parse_with_surrogates(data, refusal)


def parse_with_surrogates(data: bytes, refusal: orjson.JSONDecodeError) -> object:
    r"""Return a document that orjson rejects only because it escapes half a character, as in `"\ud83d"`.

    A server that cuts its text at a fixed number of UTF-16 units sends such halves, the other one in the next event.

    Raises:
        orjson.JSONDecodeError: `refusal`, where that is not the reason, or where the document is nested too deep.
    """
    if not _ESCAPED_SURROGATE.search(data):
        raise refusal
    try:
        document: object = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise refusal from None
    return document


def json_text(document: object, default: Callable[[Any], object] | None = None) -> str:
    """Return `document` as JSON text; half a character in it becomes U+FFFD.

    Args:
        document: Parsed JSON, whose texts may hold lone surrogates.
        default: Converts values of other types.

    Raises:
        UnreadableAnswer: It is nested too deep.
    """
    try:
        return orjson.dumps(document, default=default).decode()
    except orjson.JSONEncodeError:
        try:
            text = json.dumps(document, default=default, ensure_ascii=False, separators=(",", ":"))
        except RecursionError as exc:
            raise UnreadableAnswer("nested too deep") from exc
        return whole_characters(text)


def whole_characters(text: str) -> str:
    """Return `text` with two halves of a character joined, and a lone one as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def ends_in_half_a_character(text: str) -> bool:
    """Return whether the last character is the first half of one, so that the other half may follow."""
    return "\ud800" <= text[-1:] <= "\udbff"
