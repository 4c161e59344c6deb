"""Google's Generative Language API, as far as this service uses it. The official client is satisfied with it."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from domain.entities.reply import FinishReason, Usage
from infra.selftest.request_rules import Violation, check_gemini
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
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.ERROR: "OTHER",
    FinishReason.TOOL_CALLS: "STOP",
}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CALL = re.compile(r"/v1(beta)?/models/[^/]+:(?P<verb>generateContent|streamGenerateContent)")


class FakeGemini(FakeProvider):
    """Speaks `generateContent` and `streamGenerateContent`, and refuses what Google would refuse."""

    def __init__(self, *behaviours: Behaviour, api_key: str | None = "test-key") -> None:
        super().__init__(*behaviours, api_key=api_key)
        self._issued: dict[str, str] = {}

    @property
    def base_url(self) -> str:
        return self.origin

    def refusal_of(self, seen: Seen) -> Raw | None:
        call = _CALL.fullmatch(seen.path)
        if call is None:
            return error(404)
        if call["verb"] == "streamGenerateContent" and seen.query.get("alt") != "sse":
            return error(400)
        if self.api_key is not None and seen.headers.get("x-goog-api-key") != self.api_key:
            return bad_key()
        try:
            check_gemini(seen.body, self._issued)
        except Violation as violation:
            return error(400, message=str(violation))
        return None

    def render(self, behaviour: Behaviour, seen: Seen) -> Raw:
        is_stream = "streamGenerateContent" in seen.path
        match behaviour:
            case Raw():
                return behaviour
            case Refuses():
                return refuse(behaviour)
            case Says():
                self.issue(behaviour.pieces)
                return _answer(is_stream, behaviour.pieces, behaviour.finish, behaviour.usage)
            case Blocks(pieces) if pieces:
                return _answer(is_stream, pieces, FinishReason.CONTENT_FILTER, None)
            case Blocks():
                feedback = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
                return Raw([event(feedback)]) if is_stream else whole(feedback)
            case Breaks(pieces):
                self.issue(pieces)
                return Raw([*_events(pieces), Cut()])
            case Hangs(pieces):
                self.issue(pieces)
                return Raw([*_events(pieces), asyncio.Event()])

    def issue(self, pieces: Sequence[Piece]) -> None:
        """Accept the signatures in `pieces` from now on."""
        for piece in pieces:
            if isinstance(piece, Calls) and piece.signature:
                self._issued[piece.signature] = piece.name


def event(document: Any) -> bytes:
    """Return one event as Google frames it."""
    return b"data: " + orjson.dumps(document) + b"\r\n\r\n"


def whole(document: Any, *, status: int = 200) -> Raw:
    """Return a JSON answer."""
    body = orjson.dumps(document)
    return Raw([body], status=status, content_type="application/json; charset=UTF-8", whole=True)


def candidate(text: str | None, **more: Any) -> dict[str, Any]:
    """Return a response with one candidate."""
    content: dict[str, Any] = {"role": "model"}
    if text is not None:
        content["parts"] = [{"text": text}]
    return {"candidates": [{"content": content, "index": 0, **more}], "modelVersion": "fake"}


def error(status: int, *details: dict[str, Any], message: str = "made up", word: str = "") -> Raw:
    """Return an error answer."""
    body = {
        "error": {
            "code": status,
            "message": message,
            "status": word or _STATUS.get(status, "UNKNOWN"),
            "details": list(details),
        }
    }
    return whole(body, status=status)


def bad_key() -> Raw:
    """Return what Google says to a wrong key: a 400, of all things."""
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
    }
    return error(400, detail, message="API key not valid. Please pass a valid API key.")


def refuse(refuses: Refuses) -> Raw:
    """Return a refusal in the provider's format."""
    if refuses.reason == "bad key":
        return bad_key()
    if refuses.reason == "too long":
        return error(
            refuses.status,
            message="The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        )
    if refuses.reason == "rate limit":
        return error(refuses.status, message="Resource exhausted", word="RESOURCE_EXHAUSTED")
    if refuses.reason == "no model":
        return error(refuses.status, message="models/x is not a valid model")
    if refuses.retry_after_seconds is None:
        return error(refuses.status)
    delay = f"{refuses.retry_after_seconds}s"
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return error(refuses.status, detail)


def _answer(
    is_stream: bool, pieces: Sequence[Piece], finish: FinishReason, usage: Usage | None
) -> Raw:
    ending: dict[str, Any] = {"finishReason": _FINISH[finish]}
    counts = {} if usage is None else {"usageMetadata": _counts(usage)}
    if not is_stream:
        parts = [part for piece in pieces for part in _parts(piece)]
        return whole({**of_parts(parts, **ending), **counts})
    return Raw([*_events(pieces), event({**candidate(None, **ending), **counts})])


def of_parts(parts: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return a response with one candidate of these parts."""
    content: dict[str, Any] = {"role": "model"}
    if parts:
        content["parts"] = list(parts)
    return {"candidates": [{"content": content, "index": 0, **more}], "modelVersion": "fake"}


def _events(pieces: Sequence[Piece]) -> Iterator[bytes | asyncio.Event]:
    for piece in pieces:
        if isinstance(piece, asyncio.Event):
            yield piece
        elif isinstance(piece, Calls) and piece.in_fragments:
            for part in _fragments(piece):
                yield event(of_parts([part]))
        else:
            yield event(of_parts(list(_parts(piece))))


def _parts(piece: Piece) -> Iterator[dict[str, Any]]:
    match piece:
        case str():
            yield {"text": piece}
        case Thinks():
            yield {"text": piece.text, "thought": True}
        case Calls():
            call = {"name": piece.name, "args": orjson.loads(piece.arguments)}
            yield {"functionCall": call | _id_of(piece)} | _signature_of(piece)


def _fragments(call: Calls) -> Iterator[dict[str, Any]]:
    """Yield the parts of a call as Vertex sends them: strings in two pieces."""
    start = {"name": call.name, "willContinue": True}
    yield {"functionCall": start | _id_of(call)} | _signature_of(call)
    for name, value in orjson.loads(call.arguments).items():
        path = f"$.{name}"
        if isinstance(value, str):
            middle = len(value) // 2
            for text, continues in ((value[:middle], True), (value[middle:], False)):
                yield _partial({"jsonPath": path, "stringValue": text, "willContinue": continues})
        elif isinstance(value, bool):
            yield _partial({"jsonPath": path, "boolValue": value})
        elif value is None:
            yield _partial({"jsonPath": path, "nullValue": "NULL_VALUE"})
        else:
            yield _partial({"jsonPath": path, "numberValue": value})
    yield {"functionCall": {}}


def _partial(argument: dict[str, Any]) -> dict[str, Any]:
    return {"functionCall": {"partialArgs": [argument], "willContinue": True}}


def _id_of(call: Calls) -> dict[str, str]:
    return {"id": call.id} if call.id else {}


def _signature_of(call: Calls) -> dict[str, str]:
    return {"thoughtSignature": call.signature} if call.signature else {}


def _counts(usage: Usage) -> dict[str, int]:
    """Return Google's counts, where thoughts are not contained in the candidates' count."""
    thoughts = usage.reasoning_tokens or 0
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens and usage.output_tokens - thoughts,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
        "cachedContentTokenCount": usage.cached_input_tokens,
    }
    return {name: number for name, number in counts.items() if number is not None}
