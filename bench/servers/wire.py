"""Prepared answers of the mock provider, in the formats of Gemini and OpenAI."""

import re
from dataclasses import dataclass
from functools import lru_cache

_WORDS = "An event loop waits for whatever is ready and runs it "
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nVary: Origin, X-Origin, Referer\r\n"
    b"Transfer-Encoding: chunked\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nServer: scaffolding on HTTPServer2\r\n"
    b"X-XSS-Protection: 0\r\nX-Frame-Options: SAMEORIGIN\r\nX-Content-Type-Options: nosniff\r\n"
    b'Server-Timing: gfet4t7; dur=412\r\nAlt-Svc: h3=":443"; ma=2592000\r\n\r\n'
)
_STREAM = re.compile(rb'"stream":\s*true')
_OPTIONS = re.compile(rb"mock\(([a-z0-9.,=]*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the mock answers one request.

    A prompt can ask for it: `mock(chunks=30,latency=2,gap=0.01,fault=503)`.

    Attributes:
        chunks: Events in an answer.
        latency_seconds: Before the first of them.
        gap_seconds: Between two; 0 sends all of them in one write.
        fault: A status to refuse with, `cut` to break off in the middle of an answer, `reset` to disconnect without a word; `flaky-…`
            does so every second time only.
    """

    chunks: int = 8
    latency_seconds: float = 0.0
    gap_seconds: float = 0.0
    fault: str = ""

    @classmethod
    def of(cls, body: bytes) -> "Manner":
        """Return the behaviour requested in the prompt in `body`, or the default."""
        options = _OPTIONS.search(body)
        return _DEFAULT if options is None else _manner(options[1])


def is_stream(request: bytes) -> bool:
    """Return whether a request asks for a stream, by its address or in its body."""
    return b"streamGenerateContent" in request[:256] or _STREAM.search(request) is not None


_DEFAULT = Manner()


@lru_cache(maxsize=256)
def _manner(options: bytes) -> Manner:
    named = dict(part.split("=", 1) for part in options.decode().split(",") if part)
    return Manner(
        chunks=int(named.get("chunks", 8)),
        latency_seconds=float(named.get("latency", 0)),
        gap_seconds=float(named.get("gap", 0)),
        fault=named.get("fault", ""),
    )


@lru_cache(maxsize=256)
def frames_of(chunks: int, *, is_gemini: bool) -> tuple[bytes, ...]:
    """Return an answer as one write per event; joined they are one write."""
    event = _gemini_event if is_gemini else _openai_event
    events = [event(number, is_last=number == chunks - 1) for number in range(chunks)]
    if not is_gemini:
        events.append(b"data: [DONE]\n\n")
    frames = [b"%x\r\n%s\r\n" % (len(event), event) for event in events]
    frames[0] = _HEAD + frames[0]
    frames[-1] += b"0\r\n\r\n"
    return tuple(frames)


@lru_cache(maxsize=256)
def completion_of(chunks: int) -> bytes:
    """Return an answer in OpenAI's format to a request that does not ask for a stream."""
    body = (
        '{"id":"gen-1","object":"chat.completion","created":1763812800,"model":"openai/gpt-5.4-mini",'
        f'"choices":[{{"index":0,"message":{{"role":"assistant","content":"{_WORDS * chunks}"}},"finish_reason":"stop"}}],'
        '"usage":{"prompt_tokens":7,"completion_tokens":88,"total_tokens":95}}'
    ).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


def refusal_of(status: int) -> bytes:
    """Return a refusal with this status."""
    body = (
        b'{"error":{"code":%d,"message":"requested by the prompt","status":"UNAVAILABLE"}}' % status
    )
    return (
        b"HTTP/1.1 %d Refused\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (status, len(body), body)
    )


def _gemini_event(number: int, *, is_last: bool) -> bytes:
    finish = ',"finishReason": "STOP"' if is_last else ""
    return (
        f'data: {{"candidates": [{{"content": {{"parts": [{{"text": "{_WORDS}"}}],"role": "model"}}{finish},"index": 0}}],'
        f'"usageMetadata": {{"promptTokenCount": 7,"candidatesTokenCount": {11 * (number + 1)},"totalTokenCount": {40 + 11 * number},'
        '"promptTokensDetails": [{"modality": "TEXT","tokenCount": 7}],"thoughtsTokenCount": 22},'
        '"modelVersion": "gemini-3.8-flash","responseId": "vYwhadKYEYfXz7IPk4aTuQk"}\r\n\r\n'
    ).encode()


def _openai_event(number: int, *, is_last: bool) -> bytes:
    finish = '"stop"' if is_last else "null"
    usage = (
        ',"usage":{"prompt_tokens":7,"completion_tokens":88,"total_tokens":95}' if is_last else ""
    )
    return (
        'data: {"id":"gen-1","object":"chat.completion.chunk","created":1763812800,"model":"openai/gpt-5.4-mini",'
        f'"choices":[{{"index":0,"delta":{{"role":"assistant","content":"{_WORDS}"}},"finish_reason":{finish}}}]{usage}}}\n\n'
    ).encode()
