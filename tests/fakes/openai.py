"""Chat Completions as OpenAI and OpenRouter speak it. The official client is satisfied with it."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from domain.entities.reply import FinishReason, Usage
from infra.selftest.request_rules import Violation, check_openai
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

DONE = b"data: [DONE]\n\n"

_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


class FakeOpenAI(FakeProvider):
    """Speaks `/chat/completions` under `/api/v1`, and refuses what OpenAI would refuse."""

    @property
    def base_url(self) -> str:
        return f"{self.origin}/api/v1"

    def refusal_of(self, seen: Seen) -> Raw | None:
        if seen.path != "/api/v1/chat/completions":
            return error(404)
        if seen.headers.get("Authorization") != (self.api_key and f"Bearer {self.api_key}"):
            return error(401)
        return self.violation_of(seen)

    def violation_of(self, seen: Seen) -> Raw | None:
        """Return the refusal of a request that breaks the rules."""
        try:
            check_openai(seen.body)
        except Violation as violation:
            return error(400, message=str(violation))
        return None

    def render(self, behaviour: Behaviour, seen: Seen) -> Raw:
        is_stream = bool(seen.body.get("stream"))
        match behaviour:
            case Raw():
                return behaviour
            case Refuses():
                return refuse(behaviour)
            case Says():
                return _answer(seen, behaviour.pieces, behaviour.finish, behaviour.usage)
            case Blocks(pieces) if pieces:
                return _answer(seen, pieces, FinishReason.CONTENT_FILTER, None)
            case Blocks():
                return moderated()
            case Breaks(pieces):
                return Raw([*_events(pieces), Cut()]) if is_stream else Raw([Cut()])
            case Hangs(pieces):
                return Raw([*_events(pieces), asyncio.Event()])


def event(document: Any) -> bytes:
    """Return one event as OpenAI frames it."""
    return b"data: " + orjson.dumps(document) + b"\n\n"


def whole(document: Any, *, status: int = 200, **headers: str) -> Raw:
    """Return a JSON answer."""
    body = orjson.dumps(document)
    return Raw([body], status=status, content_type="application/json", headers=headers, whole=True)


def chunk(
    delta: dict[str, Any] | None = None, finish_reason: str | None = None, **more: Any
) -> dict[str, Any]:
    """Return one `chat.completion.chunk`."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish_reason}
    return {**_head("chat.completion.chunk"), "choices": [choice], "usage": None, **more}


def completion(text: str | None, finish_reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return a whole `chat.completion`."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return {**_head("chat.completion"), "choices": [choice], **more}


def error(status: int, *, message: str = "made up", code: Any = None, **more: Any) -> Raw:
    """Return an error answer in OpenAI's format."""
    headers = more.pop("headers", {})
    body = {
        "message": message,
        "type": "invalid_request_error" if status < 500 else "server_error",
        "param": None,
        "code": code or _CODES.get(status),
        **more,
    }
    return whole({"error": body}, status=status, **headers)


def moderated() -> Raw:
    """Return OpenRouter's refusal of a prompt that was flagged."""
    metadata = {
        "reasons": ["violence"],
        "flagged_input": "made up",
        "provider_name": "Fake",
        "model_slug": "fake",
    }
    return whole({"error": {"code": 403, "message": "flagged", "metadata": metadata}}, status=403)


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-fake", "object": kind, "created": 1_790_000_000, "model": "fake"}


def refuse(refuses: Refuses) -> Raw:
    """Return a refusal in the provider's format."""
    if refuses.reason == "bad key":
        return error(401)
    if refuses.reason == "too long":
        return error(refuses.status, code="context_length_exceeded")
    if refuses.reason == "rate limit":
        return error(refuses.status, code="rate_limit_exceeded", type="tokens")
    if refuses.reason == "no model":
        return error(refuses.status, message="x/y is not a valid model ID", code=refuses.status)
    seconds = refuses.retry_after_seconds
    return error(refuses.status, headers={} if seconds is None else {"Retry-After": str(seconds)})


def _answer(seen: Seen, pieces: Sequence[Piece], finish: FinishReason, usage: Usage | None) -> Raw:
    counts = None if usage is None else _counts(usage)
    reason = "error" if finish is FinishReason.ERROR else finish.value
    if not seen.body.get("stream"):
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        answer = completion(text or None, reason, usage=counts)
        message = answer["choices"][0]["message"]
        if thoughts := "".join(piece.text for piece in pieces if isinstance(piece, Thinks)):
            message["reasoning_content"] = thoughts
        if calls := [piece for piece in pieces if isinstance(piece, Calls)]:
            message["tool_calls"] = [_call(call) for call in calls]
        return whole(answer)
    steps = [*_events(pieces), event(chunk(finish_reason=reason))]
    if counts is not None and seen.body.get("stream_options", {}).get("include_usage"):
        steps.append(event({**_head("chat.completion.chunk"), "choices": [], "usage": counts}))
    return Raw([*steps, DONE])


def _events(pieces: Sequence[Piece]) -> Iterator[bytes | asyncio.Event]:
    yield b": OPENROUTER PROCESSING\n\n"
    yield event(chunk({"role": "assistant", "content": ""}))
    calls = 0
    for piece in pieces:
        match piece:
            case asyncio.Event():
                yield piece
            case str():
                yield event(chunk({"content": piece}))
            case Thinks():
                yield event(chunk({"reasoning_content": piece.text}))
            case Calls():
                for fragment in _fragments(piece):
                    yield event(chunk({"tool_calls": [{"index": calls, **fragment}]}))
                calls += 1


def _call(call: Calls) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _fragments(call: Calls) -> Iterator[dict[str, Any]]:
    if not call.in_fragments:
        yield _call(call)
        return
    yield _call(call) | {"function": {"name": call.name, "arguments": ""}}
    for start in range(0, len(call.arguments), 5):
        yield {"function": {"arguments": call.arguments[start : start + 5]}}


def _counts(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
