"""Amazon Bedrock's Converse API, as far as this service uses it. AWS's own client is satisfied with it."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

import orjson

from domain.entities.reply import FinishReason, Usage
from infra.selftest.bedrock_rules import check_bedrock
from infra.selftest.event_stream import event, exception
from infra.selftest.request_rules import Violation
from tests.fakes.aws_signatures import IssuedKeys, Keys, Refused
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

REGION = "us-east-1"
STREAM = "application/vnd.amazon.eventstream"

_PATH = re.compile(r"/model/(?P<model>[^/]+)/(?P<operation>converse|converse-stream)")
_FINISH = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTENT_FILTER: "guardrail_intervened",
    FinishReason.TOOL_CALLS: "tool_use",
}
_TYPES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_FRAGMENT = 5
_CACHES = re.compile("claude-(sonnet|opus|haiku)-4|nova")
"""Models whose prompts it caches."""
_NO_CACHE = (
    "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for more"
    " information."
)


class FakeBedrock(FakeProvider):
    """Speaks `ConverseStream` and `Converse`, and refuses what Bedrock would refuse.

    Attributes:
        keys: The credentials that it accepts.
        own: Those of a user, valid for ever.
        signers: Who signed each accepted request, in order.
    """

    def __init__(
        self,
        *behaviours: Behaviour,
        api_key: str | None = "test-key",
        region: str = REGION,
        keys: IssuedKeys | None = None,
    ) -> None:
        super().__init__(*behaviours, api_key=api_key)
        self.region = region
        self.keys = keys or IssuedKeys()
        self.own: Keys = self.keys.issue()
        self.signers: list[Keys] = []
        self._issued: set[tuple[str, str]] = set()

    @property
    def base_url(self) -> str:
        return self.origin

    def model_of(self, seen: Seen) -> str:
        """Return the id or ARN of the model in a request."""
        match = _PATH.fullmatch(seen.raw_path)
        assert match is not None
        return unquote(match["model"])

    def refusal_of(self, seen: Seen) -> Raw | None:
        if _PATH.fullmatch(seen.raw_path) is None:
            return error(404, message="Not Found", kind="UnknownOperationException")
        if seen.headers.get("Authorization") != f"Bearer {self.api_key}":
            try:
                self.signers.append(
                    self.keys.check(
                        seen.headers,
                        method="POST",
                        raw_path=seen.raw_path,
                        body=seen.raw_body,
                        service="bedrock",
                        region=self.region,
                    )
                )
            except Refused as refused:
                return error(403, message=str(refused), kind=refused.code)
        if b'"cachePoint"' in seen.raw_body and not _CACHES.search(self.model_of(seen)):
            return error(403, message=_NO_CACHE)
        try:
            check_bedrock(seen.body, self._issued)
        except Violation as violation:
            return error(400, message=str(violation))
        return None

    def render(self, behaviour: Behaviour, seen: Seen) -> Raw:
        is_stream = not seen.raw_path.endswith("/converse")
        match behaviour:
            case Raw():
                return behaviour
            case Refuses():
                return _refuse(behaviour)
            case Says():
                self._issued |= {(text, signature_of(text)) for text in _thoughts(behaviour.pieces)}
                return _answer(is_stream, behaviour.pieces, behaviour.finish, behaviour.usage)
            case Blocks(pieces):
                return _answer(is_stream, pieces, FinishReason.CONTENT_FILTER, None)
            case Breaks(pieces):
                return stream([*_events(pieces), Cut()]) if is_stream else Raw([Cut()])
            case Hangs(pieces):
                return stream([*_events(pieces), asyncio.Event()])


def stream(steps: Sequence[bytes | asyncio.Event | Cut]) -> Raw:
    """Return an answer in these steps."""
    return Raw(steps, content_type=STREAM)


def whole(document: Any, *, status: int = 200, **headers: str) -> Raw:
    """Return a JSON answer."""
    body = orjson.dumps(document)
    return Raw([body], status=status, content_type="application/json", headers=headers, whole=True)


def error(status: int, *, message: str = "made up", kind: str = "", **headers: str) -> Raw:
    """Return an error answer, whose type is in a header."""
    kind = kind or _TYPES.get(status, "InternalFailure")
    kind = f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    return whole({"message": message}, status=status, **{"x-amzn-ErrorType": kind}, **headers)


def delta(index: int, **fields: Any) -> bytes:
    """Return an event with a part of a block."""
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": fields, "p": "abcdef"})


def call_start(index: int, name: str, call_id: str) -> bytes:
    """Return the event that begins a call."""
    start = {"toolUse": {"toolUseId": call_id, "name": name}}
    return event("contentBlockStart", {"contentBlockIndex": index, "start": start, "p": "ab"})


def stop(index: int) -> bytes:
    """Return the event that ends a block."""
    return event("contentBlockStop", {"contentBlockIndex": index, "p": "abc"})


def ending(stop_reason: str, usage: Usage | None = None) -> list[bytes]:
    """Return the events that end an answer."""
    ended = event("messageStop", {"stopReason": stop_reason, "p": "abcd"})
    if usage is None:
        return [ended]
    metadata = {"usage": counts(usage), "metrics": {"latencyMs": 571}, "p": "a"}
    return [ended, event("metadata", metadata)]


def counts(usage: Usage) -> dict[str, Any]:
    """Return Bedrock's counts, where cached tokens are not contained in the tokens of the input."""
    cached = usage.cached_input_tokens or 0
    found = {
        "inputTokens": usage.input_tokens and usage.input_tokens - cached,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "cacheReadInputTokens": usage.cached_input_tokens,
    }
    return {name: number for name, number in found.items() if number is not None}


def signature_of(text: str) -> str:
    """Return the signature of reasoning."""
    return sha256(text.encode()).hexdigest()


def _refuse(refuses: Refuses) -> Raw:
    status = refuses.status
    if refuses.reason == "bad key":
        return error(
            status,
            message="The security token included in the request is invalid.",
            kind="UnrecognizedClientException",
        )
    if refuses.reason == "too long":
        return error(status, message="Input is too long for requested model.", kind=_TYPES[400])
    if refuses.reason == "rate limit":
        return error(status, kind="ThrottlingException")
    if refuses.reason == "no model":
        return error(status, message="Model not found.", kind="ResourceNotFoundException")
    seconds = refuses.retry_after_seconds
    return error(status, **({} if seconds is None else {"retry-after": str(seconds)}))


def _answer(
    is_stream: bool, pieces: Sequence[Piece], finish: FinishReason, usage: Usage | None
) -> Raw:
    if finish is FinishReason.ERROR:
        failed = exception("modelStreamErrorException", "The model ended abruptly.")
        return stream([*_events(pieces), failed]) if is_stream else error(424)
    if is_stream:
        return stream([*_events(pieces), *ending(_FINISH[finish], usage)])
    document: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": _blocks(pieces)}},
        "stopReason": _FINISH[finish],
        "metrics": {"latencyMs": 257},
    }
    if usage is not None:
        document["usage"] = counts(usage)
    return whole(document)


def _events(pieces: Sequence[Piece]) -> Iterator[bytes | asyncio.Event]:
    yield event("messageStart", {"role": "assistant", "p": "abcdefgh"})
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
        match piece:
            case str():
                yield delta(index, text=piece)
            case Thinks():
                thought.append(piece.text)
                yield delta(index, reasoningContent={"text": piece.text})
            case Calls():
                yield call_start(index, piece.name, piece.id)
                for part in _fragments(piece):
                    yield delta(index, toolUse={"input": part})
    yield from _end(index, kind, thought)


def _end(index: int, kind: type | None, thought: Sequence[str]) -> Iterator[bytes]:
    if kind is Thinks:
        yield delta(index, reasoningContent={"signature": signature_of("".join(thought))})
    if kind is not None:
        yield stop(index)


def _fragments(call: Calls) -> list[str]:
    if call.arguments == "{}":
        return [""]
    if not call.in_fragments:
        return [call.arguments]
    text = call.arguments
    return ["", *(text[at : at + _FRAGMENT] for at in range(0, len(text), _FRAGMENT))]


def _thoughts(pieces: Sequence[Piece]) -> Iterator[str]:
    text = ""
    for piece in (*pieces, ""):
        if isinstance(piece, Thinks):
            text += piece.text
        elif text:
            yield text
            text = ""


def _blocks(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [
        {"reasoningContent": {"reasoningText": {"text": text, "signature": signature_of(text)}}}
        for text in _thoughts(pieces)
    ]
    if text := "".join(piece for piece in pieces if isinstance(piece, str)):
        blocks.append({"text": text})
    for piece in pieces:
        if isinstance(piece, Calls):
            arguments = orjson.loads(piece.arguments)
            call = {"toolUseId": piece.id, "name": piece.name, "input": arguments}
            blocks.append({"toolUse": call})
    return blocks
