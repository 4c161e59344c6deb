"""Every fault, named as it is asked for: the name of the upstream model, up to the first `@`."""

import asyncio
from collections.abc import Awaitable, Callable

from infra.selftest.exchange import Exchange, Wire

Fault = Callable[[Exchange], Awaitable[None]]

FAULTS: dict[str, Fault] = {}
_TEXTS = ("All ", "is ", "well.")
WHOLE_TEXT = "".join(_TEXTS)
"""What a healthy provider says."""

FIRST_TEXT = _TEXTS[0]
"""How far an answer comes that breaks."""


def _fault(name: str) -> Callable[[Fault], Fault]:
    def keep(fault: Fault) -> Fault:
        FAULTS[name] = fault
        return fault

    return keep


@_fault("healthy")
async def healthy(exchange: Exchange) -> None:
    """Answers at once."""
    await exchange.answer(*_TEXTS)


@_fault("rate-limited")
async def rate_limited(exchange: Exchange) -> None:
    """429 without a delay, always."""
    await exchange.status(429, exchange.error(429, "RESOURCE_EXHAUSTED", "slow down"))


@_fault("rate-limited-once")
async def rate_limited_at_first(exchange: Exchange) -> None:
    """429 without a delay, then an answer."""
    if exchange.nth == 1:
        await rate_limited(exchange)
    else:
        await exchange.answer(*_TEXTS)


@_fault("rate-limited-once-1s")
async def rate_limited_once(exchange: Exchange) -> None:
    """429 that names a second, then an answer."""
    await _limited_once(exchange, 1)


@_fault("rate-limited-30s")
async def rate_limited_long(exchange: Exchange) -> None:
    """429 that names half a minute, always."""
    await _limited(exchange, 30)


@_fault("503-once")
async def unavailable_once(exchange: Exchange) -> None:
    """503, then an answer."""
    if exchange.nth == 1:
        await unavailable(exchange)
    else:
        await exchange.answer(*_TEXTS)


@_fault("503")
async def unavailable(exchange: Exchange) -> None:
    """503, always."""
    await exchange.status(503, exchange.error(503, "UNAVAILABLE", "overloaded"))


@_fault("503-after-7s")
async def unavailable_with_delay(exchange: Exchange) -> None:
    """503 with a Retry-After, always."""
    await exchange.status(
        503, exchange.error(503, "UNAVAILABLE", "overloaded"), {"retry-after": "7"}
    )


@_fault("reset")
async def reset(exchange: Exchange) -> None:
    """The connection is reset before a byte came."""
    exchange.reset()


@_fault("reset-after-head")
async def reset_after_head(exchange: Exchange) -> None:
    """The connection is reset between the head and the first event."""
    await exchange.begin()
    exchange.reset()


@_fault("silent")
async def silent(exchange: Exchange) -> None:
    """Takes the request and says nothing."""
    await exchange.silence()


@_fault("slow-first-token")
async def slow_first_token(exchange: Exchange) -> None:
    """Sends its head and comments, but no word."""
    await exchange.begin()
    await exchange.raw(b": PROCESSING\n\n")
    await exchange.silence()


@_fault("stall")
async def stall(exchange: Exchange) -> None:
    """Stops in the middle, the socket open."""
    await exchange.begin()
    await exchange.text(_TEXTS[0])
    await exchange.silence()


@_fault("cut")
async def cut(exchange: Exchange) -> None:
    """Ends the stream in the middle of the answer, orderly."""
    await exchange.begin()
    await exchange.text(_TEXTS[0])
    await exchange.close_stream()


@_fault("cut-chunk")
async def cut_chunk(exchange: Exchange) -> None:
    """Ends the connection in the middle of a chunk."""
    await exchange.begin()
    await exchange.text(_TEXTS[0])
    await exchange.write(b"ff\r\ndata: {")
    exchange.writer.close()


@_fault("reset-mid-stream")
async def reset_mid_stream(exchange: Exchange) -> None:
    """Resets the connection in the middle of the answer."""
    await exchange.begin()
    await exchange.text(_TEXTS[0])
    await asyncio.sleep(0.02)  # a reset discards what the peer has not read yet
    exchange.reset()


@_fault("malformed-json")
async def malformed_json(exchange: Exchange) -> None:
    """200 with something that is not JSON."""
    payload = b'{"candidates": [{"cont'
    await exchange.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
        % (len(payload), payload)
    )


@_fault("malformed-chunk")
async def malformed_chunk(exchange: Exchange) -> None:
    """An event in the middle that cannot be read."""
    await exchange.begin()
    await exchange.text(_TEXTS[0])
    await exchange.event(b'{"choices": [{"delta": {"cont')
    await exchange.finish()


@_fault("no-done")
async def no_done(exchange: Exchange) -> None:
    """A finished answer without `[DONE]`."""
    await exchange.begin()
    for text in _TEXTS:
        await exchange.text(text)
    await exchange.finish(done=False)


@_fault("empty")
async def empty(exchange: Exchange) -> None:
    """Stops before a word."""
    await exchange.answer()


@_fault("error-in-200")
async def error_in_200(exchange: Exchange) -> None:
    """A stream whose first event is an error."""
    await exchange.begin()
    await exchange.event({"error": {"code": 502, "message": "upstream broke"}})
    await exchange.close_stream()


@_fault("blocked")
async def blocked(exchange: Exchange) -> None:
    """A safety filter refuses the prompt."""
    if exchange.wire is Wire.GEMINI:
        await exchange.begin()
        await exchange.event({"promptFeedback": {"blockReason": "SAFETY"}})
        await exchange.close_stream()
        return
    document = exchange.error(403, "403", "flagged")
    document["error"]["metadata"] = {"reasons": ["violence"], "flagged_input": "…"}
    await exchange.status(403, document)


@_fault("blocked-mid-stream")
async def blocked_mid_stream(exchange: Exchange) -> None:
    """A safety filter ends the answer after some words."""
    await exchange.answer(_TEXTS[0], reason="content_filter")


@_fault("context-too-long")
async def context_too_long(exchange: Exchange) -> None:
    """More than the model's window."""
    if exchange.wire is Wire.GEMINI:
        message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
        await exchange.status(400, exchange.error(400, "INVALID_ARGUMENT", message))
        return
    message = "This model's maximum context length is 8192 tokens."
    await exchange.status(400, exchange.error(400, "context_length_exceeded", message))


@_fault("rejected")
async def rejected(exchange: Exchange) -> None:
    """The provider refuses this request."""
    await exchange.status(400, exchange.error(400, "INVALID_ARGUMENT", "no"))


@_fault("bad-key")
async def bad_key(exchange: Exchange) -> None:
    """Our key is refused."""
    if exchange.wire is Wire.GEMINI:
        reason = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        }
        await exchange.status(
            400, exchange.error(400, "INVALID_ARGUMENT", "API key not valid.", [reason])
        )
        return
    await exchange.status(401, exchange.error(401, "invalid_api_key", "No auth credentials found"))


@_fault("redirect")
async def redirect(exchange: Exchange) -> None:
    """Points elsewhere."""
    await exchange.status(302, {}, {"location": "http://127.0.0.1:1/"})


async def _limited_once(exchange: Exchange, seconds: int) -> None:
    if exchange.nth == 1:
        await _limited(exchange, seconds)
    else:
        await exchange.answer(*_TEXTS)


async def _limited(exchange: Exchange, seconds: int) -> None:
    if exchange.wire is Wire.GEMINI:
        info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"}
        await exchange.status(429, exchange.error(429, "RESOURCE_EXHAUSTED", "slow down", [info]))
        return
    await exchange.status(
        429, exchange.error(429, "rate_limited", "slow down"), {"retry-after": str(seconds)}
    )
