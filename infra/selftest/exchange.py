"""One request to the fault provider, and the ways to answer it in each format."""

import asyncio
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from infra.selftest import event_stream

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing the socket then sends a reset instead of an orderly end."""


_GEMINI_REASONS = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "tool_calls": "STOP",
}


_BEDROCK_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "guardrail_intervened",
    "tool_calls": "tool_use",
}
_BEDROCK_ERRORS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


class Wire(StrEnum):
    """Format of a request."""

    GEMINI = "gemini"
    OPENAI = "openai"
    BEDROCK = "bedrock"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request and the connection to answer on.

    Attributes:
        model: Upstream model of the request; selects the fault.
        nth: Ordinal number, from 1, among the requests with the same model and question.
        headers: Headers with lower-case names.
    """

    wire: Wire
    model: str
    nth: int
    headers: Mapping[str, str]
    body: Any
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def status(
        self, status: int, document: Any, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with one JSON document."""
        headers = dict(headers or {})
        if self.wire is Wire.BEDROCK and status in _BEDROCK_ERRORS:
            headers.setdefault("x-amzn-errortype", _BEDROCK_ERRORS[status])
        await self.document(orjson.dumps(document), "application/json", headers, status=status)

    async def document(
        self,
        payload: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        *,
        status: int = 200,
    ) -> None:
        """Answer with any bytes as the body, with a Content-Length."""
        lines = {"content-type": content_type, "content-length": str(len(payload))}
        await self.write(_head(status, {**lines, **(headers or {})}) + payload)

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send a response head."""
        await self.write(_head(status, headers))

    async def begin(self, content_type: str = "") -> None:
        """Send the head of a stream with chunked encoding."""
        if not content_type:
            is_framed = self.wire is Wire.BEDROCK
            content_type = (
                "application/vnd.amazon.eventstream" if is_framed else "text/event-stream"
            )
        await self.head(200, {"content-type": content_type, "transfer-encoding": "chunked"})

    async def wait(self) -> None:
        """Send what a provider sends before it has text: a comment, or Bedrock's first event."""
        if self.wire is Wire.BEDROCK:
            await self.event({"messageStart": {"role": "assistant"}})
        else:
            await self.raw(b": PROCESSING\n\n")

    async def event(self, document: Any) -> None:
        """Send one event."""
        await self.raw(self.as_event(document))

    def as_event(self, document: Any) -> bytes:
        """Return the bytes of one event; `document` may be bytes already."""
        if self.wire is Wire.BEDROCK:
            return _framed(document)
        data = document if isinstance(document, bytes) else orjson.dumps(document)
        return b"data: " + data + b"\n\n"

    async def raw(self, payload: bytes) -> None:
        """Send bytes of the stream as one chunk."""
        await self.write(b"%x\r\n%s\r\n" % (len(payload), payload))

    async def text(self, text: str) -> None:
        """Send a piece of text."""
        await self.event(self.piece(text))

    async def finish(self, reason: str = "stop", *, done: bool = True) -> None:
        """Send finish reason, usage, and the end of the stream.

        Args:
            reason: `stop`, `length`, `content_filter` or `tool_calls`.
            done: Whether OpenAI's `[DONE]` is sent; Gemini has none.
        """
        await self.event(self.end(reason))
        if self.wire is Wire.OPENAI:
            await self.event(
                {
                    "choices": [],
                    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
                }
            )
            if done:
                await self.event(b"[DONE]")
        elif self.wire is Wire.BEDROCK:
            usage = {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}
            await self.event({"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}})
        await self.close_stream()

    async def close_stream(self) -> None:
        """Send the last chunk."""
        await self.write(b"0\r\n\r\n")

    async def answer(self, *texts: str, reason: str = "stop") -> None:
        """Answer as a healthy provider does."""
        await self.begin()
        for text in texts:
            await self.text(text)
        await self.finish(reason)

    def piece(self, text: str) -> dict[str, Any]:
        """Return the event that contains `text`."""
        if self.wire is Wire.GEMINI:
            return _parts({"text": text})
        if self.wire is Wire.BEDROCK:
            return _block_delta({"text": text})
        return _delta({"content": text})

    def thought(self, text: str) -> dict[str, Any]:
        """Return the event that contains reasoning."""
        if self.wire is Wire.GEMINI:
            return _parts({"text": text, "thought": True})
        if self.wire is Wire.BEDROCK:
            return _block_delta({"reasoningContent": {"text": text}})
        return _delta({"reasoning_content": text})

    def call(
        self, name: str, arguments: str, *, call_id: str, signature: str = ""
    ) -> Sequence[dict[str, Any]]:
        """Return the events of a tool call: one of Gemini's, or one and fragments of the arguments.

        Args:
            name: Of the tool.
            arguments: JSON text of an object.
            call_id: Unique within the answer.
            signature: Gemini's; empty for none.
        """
        if self.wire is Wire.GEMINI:
            call = {"id": call_id, "name": name, "args": orjson.loads(arguments)}
            signed = {"thoughtSignature": signature} if signature else {}
            return (_parts({"functionCall": call, **signed}),)
        fragments = [arguments[at : at + 8] for at in range(0, len(arguments), 8)]
        if self.wire is Wire.BEDROCK:
            call = {"toolUse": {"toolUseId": call_id, "name": name}}
            return (
                {"contentBlockStart": {"contentBlockIndex": 1, "start": call}},
                *[_block_delta({"toolUse": {"input": each}}, index=1) for each in fragments],
                {"contentBlockStop": {"contentBlockIndex": 1}},
            )
        start = {"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        return (
            _delta({"tool_calls": [{"index": 0, **start}]}),
            *[
                _delta({"tool_calls": [{"index": 0, "function": {"arguments": fragment}}]})
                for fragment in fragments
            ],
        )

    def end(self, reason: str) -> dict[str, Any]:
        """Return the event that ends the answer."""
        if self.wire is Wire.GEMINI:
            name = _GEMINI_REASONS[reason]
            return {
                "candidates": [{"content": {"role": "model"}, "finishReason": name}],
                "usageMetadata": {
                    "promptTokenCount": 7,
                    "candidatesTokenCount": 5,
                    "totalTokenCount": 12,
                },
            }
        if self.wire is Wire.BEDROCK:
            return {"messageStop": {"stopReason": _BEDROCK_REASONS[reason]}}
        return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}

    def error(
        self, status: int, name: str, message: str, details: Sequence[Any] = ()
    ) -> dict[str, Any]:
        """Return an error document in the format of the request."""
        if self.wire is Wire.GEMINI:
            error: dict[str, Any] = {"code": status, "message": message, "status": name}
            if details:
                error["details"] = list(details)
            return {"error": error}
        if self.wire is Wire.BEDROCK:
            return {"message": message}
        return {"error": {"code": name, "message": message, "type": "error", "param": None}}

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()

    async def silence(self) -> None:
        """Send nothing until the peer closes the connection."""
        while await self.reader.read(1024):
            pass

    async def hangs_up_within(self, seconds: float) -> bool:
        """Send nothing for `seconds`; return whether the peer closed the connection meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self.silence()
        except TimeoutError:
            return False
        return True

    async def write(self, payload: bytes) -> None:
        """Send raw bytes."""
        self.writer.write(payload)
        await self.writer.drain()


def _parts(part: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [part]}}]}


def _block_delta(delta: dict[str, Any], *, index: int = 0) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}}


def _framed(document: Any) -> bytes:
    """Return Bedrock's message of an event; bytes are the payload of a delta, and errors an exception."""
    if isinstance(document, bytes):
        return event_stream.event("contentBlockDelta", document)
    ((kind, payload),) = document.items()
    if kind == "error":
        return event_stream.exception("internalServerException", payload["message"])
    return event_stream.event(kind, payload)


def _delta(delta: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
