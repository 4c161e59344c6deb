"""Anthropic's Messages API, as far as this service uses it. The official client is satisfied with it."""

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import orjson

from domain.entities.reply import FinishReason, Usage
from infra.selftest.request_rules import Violation
from tests.fakes.anthropic_rules import check_anthropic
from tests.fakes.behaviour import (
    Behaviour,
    Blocks,
    Breaks,
    Calls,
    Cut,
    Hangs,
    Piece,
    Raw,
    Refuses,
    Says,
    Thinks,
)
from tests.fakes.http_provider import FakeProvider, Seen

_FINISH = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.TOOL_CALLS: "tool_use",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_FRAGMENT = 5
WITHOUT_SAMPLING = "2026-10-21"
"""The version of the API, that of the official client, in which requests have neither temperature nor `top_p`."""


class FakeAnthropic(FakeProvider):
    """Speaks `/v1/messages`, and refuses what Anthropic would refuse: thinking that it did not sign, too."""

    def __init__(self, *behaviours: Behaviour, api_key: str | None = "test-key") -> None:
        super().__init__(*behaviours, api_key=api_key)
        self._issued: set[tuple[str, str]] = set()

    @property
    def base_url(self) -> str:
        return self.origin

    def refusal_of(self, seen: Seen) -> Raw | None:
        if seen.path != "/v1/messages":
            return error(404, message="Not Found")
        given = (seen.headers.get("x-api-key"), seen.headers.get("Authorization"))
        if self.api_key is not None and given not in (
            (self.api_key, None),
            (None, f"Bearer {self.api_key}"),
        ):
            return error(401, message="invalid x-api-key")
        version = seen.headers.get("anthropic-version")
        if version not in ("2023-06-01", WITHOUT_SAMPLING):
            return error(400, message="anthropic-version: header is required")
        if version == WITHOUT_SAMPLING and not seen.body.keys().isdisjoint(
            ("temperature", "top_p")
        ):
            return error(400, message="temperature: Extra inputs are not permitted")
        try:
            check_anthropic(seen.body, self._issued)
        except Violation as violation:
            return error(400, message=str(violation))
        return None

    def render(self, behaviour: Behaviour, seen: Seen) -> Raw:
        is_stream = bool(seen.body.get("stream"))
        match behaviour:
            case Raw():
                return behaviour
            case Refuses():
                return _refuse(behaviour)
            case Says():
                blocks = _blocks(behaviour.pieces)
                self._issued |= {
                    (block["thinking"], block["signature"])
                    for block in blocks
                    if block["type"] == "thinking"
                }
                return _answer(is_stream, behaviour.pieces, behaviour.finish, behaviour.usage)
            case Blocks(pieces):
                return _answer(is_stream, pieces, FinishReason.CONTENT_FILTER, None)
            case Breaks(pieces):
                return Raw([*_begun(pieces), Cut()]) if is_stream else Raw([Cut()])
            case Hangs(pieces):
                return Raw([*_begun(pieces), asyncio.Event()])


def event(document: Any) -> bytes:
    """Return one event as Anthropic frames it: with its type as its name."""
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), orjson.dumps(document))


def whole(document: Any, *, status: int = 200, **headers: str) -> Raw:
    """Return a JSON answer."""
    body = orjson.dumps(document)
    return Raw([body], status=status, content_type="application/json", headers=headers, whole=True)


def message(
    content: Sequence[dict[str, Any]], stop_reason: str | None, usage: Usage | None
) -> dict[str, Any]:
    """Return a message."""
    counts = {} if usage is None else {"usage": _counts(usage)}
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": "fake",
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        **counts,
    }


def error(status: int, *, message: str = "made up", kind: str = "", **headers: str) -> Raw:
    """Return an error answer."""
    return whole(error_body(status, message, kind), status=status, **headers)


def error_body(status: int, message: str = "made up", kind: str = "") -> dict[str, Any]:
    """Return the body of an error, which is an event too."""
    inner = {"type": kind or _TYPES.get(status, "api_error"), "message": message}
    return {"type": "error", "error": inner, "request_id": "req_fake"}


def start(index: int, block: dict[str, Any]) -> bytes:
    """Return the event that begins a block."""
    return event({"type": "content_block_start", "index": index, "content_block": block})


def delta(index: int, **fields: Any) -> bytes:
    """Return an event with a part of a block."""
    return event({"type": "content_block_delta", "index": index, "delta": fields})


def stop(index: int) -> bytes:
    """Return the event that ends a block."""
    return event({"type": "content_block_stop", "index": index})


def ending(stop_reason: str, usage: Usage | None = None) -> list[bytes]:
    """Return the events that end a message."""
    counts = {} if usage is None else {"usage": _counts(usage)}
    changes = {"stop_reason": stop_reason, "stop_sequence": None}
    return [
        event({"type": "message_delta", "delta": changes, **counts}),
        event({"type": "message_stop"}),
    ]


def _refuse(refuses: Refuses) -> Raw:
    status = refuses.status
    if refuses.reason == "bad key":
        return error(401, message="invalid x-api-key")
    if refuses.reason == "too long":
        text = "prompt is too long: 213462 tokens > 200000 maximum"
        return error(status, message=text, kind="invalid_request_error")
    if refuses.reason == "rate limit":
        return error(status, kind="rate_limit_error")
    if refuses.reason == "no model":
        return error(status, message="model: x", kind="not_found_error")
    seconds = refuses.retry_after_seconds
    return error(status, **({} if seconds is None else {"retry-after": str(seconds)}))


def _answer(
    is_stream: bool, pieces: Sequence[Piece], finish: FinishReason, usage: Usage | None
) -> Raw:
    if finish is FinishReason.ERROR:
        failed = error_body(529, "Overloaded")
        return Raw([*_begun(pieces), event(failed)]) if is_stream else whole(failed, status=529)
    if not is_stream:
        return whole(message(_blocks(pieces), _FINISH[finish], usage))
    return Raw([*_events(pieces, usage), *ending(_FINISH[finish], usage)])


def _begun(pieces: Sequence[Piece]) -> Iterator[bytes | asyncio.Event]:
    """Yield the events of an answer that does not end."""
    *events, last = _events(pieces, Usage(input_tokens=15, output_tokens=1))
    yield from events
    if not pieces:
        yield last


def _events(pieces: Sequence[Piece], usage: Usage | None) -> Iterator[bytes | asyncio.Event]:
    counts = None
    if usage is not None and usage.input_tokens is not None:
        counts = Usage(input_tokens=usage.input_tokens, output_tokens=1)
    started = message((), None, counts)
    yield event({"type": "message_start", "message": started})
    yield event({"type": "ping"})
    index = -1
    thought: list[str] = []
    kind: type | None = None
    for piece in pieces:
        if isinstance(piece, asyncio.Event):
            yield piece
            continue
        if type(piece) is not kind or kind is Calls:
            yield from _end(index, kind, thought)
            index, kind, thought = index + 1, type(piece), []
            yield start(index, _begin(piece))
        match piece:
            case str():
                yield delta(index, type="text_delta", text=piece)
            case Thinks():
                thought.append(piece.text)
                yield delta(index, type="thinking_delta", thinking=piece.text)
            case Calls():
                for part in _fragments(piece):
                    yield delta(index, type="input_json_delta", partial_json=part)
    yield from _end(index, kind, thought)


def _end(index: int, kind: type | None, thought: Sequence[str]) -> Iterator[bytes]:
    if kind is Thinks:
        yield delta(index, type="signature_delta", signature=signature_of("".join(thought)))
    if kind is not None:
        yield stop(index)


def _begin(piece: str | Thinks | Calls) -> dict[str, Any]:
    match piece:
        case str():
            return {"type": "text", "text": ""}
        case Thinks():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case Calls():
            return {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}


def _fragments(call: Calls) -> list[str]:
    if call.arguments == "{}":
        return [""]
    if not call.in_fragments:
        return [call.arguments]
    text = call.arguments
    return ["", *(text[at : at + _FRAGMENT] for at in range(0, len(text), _FRAGMENT))]


def _blocks(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for piece in pieces:
        last: dict[str, Any] = blocks[-1] if blocks else {"type": None}
        match piece:
            case str() if last["type"] == "text":
                last["text"] += piece
            case str():
                blocks.append({"type": "text", "text": piece})
            case Thinks():
                if last["type"] != "thinking":
                    last = {"type": "thinking", "thinking": ""}
                    blocks.append(last)
                last["thinking"] += piece.text
                last["signature"] = signature_of(last["thinking"])
            case Calls():
                arguments = orjson.loads(piece.arguments)
                blocks.append(
                    {"type": "tool_use", "id": piece.id, "name": piece.name, "input": arguments}
                )
    return blocks


def signature_of(thinking: str) -> str:
    """Return the signature of a thinking block."""
    return sha256(thinking.encode()).hexdigest()


def _counts(usage: Usage) -> dict[str, Any]:
    """Return Anthropic's counts, where cached tokens are not contained in the tokens of the input."""
    cached = usage.cached_input_tokens or 0
    counts: dict[str, Any] = {
        "input_tokens": usage.input_tokens and usage.input_tokens - cached,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens is not None:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return {name: number for name, number in counts.items() if number is not None}
