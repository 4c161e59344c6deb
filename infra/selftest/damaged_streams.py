"""Event streams that deviate from the formats; some of them are still complete."""

from infra.selftest.exchange import Exchange, Wire
from infra.selftest.fault import FIRST_TEXT, TEXTS, Faults

DAMAGED_STREAMS = Faults()

_HALF_AN_EVENT = b'{"choices": [{"delta": {"cont'


@DAMAGED_STREAMS.named("malformed-chunk")
async def malformed_chunk(exchange: Exchange) -> None:
    """A malformed event in the middle."""
    await exchange.begin()
    await exchange.text(FIRST_TEXT)
    await exchange.event(_HALF_AN_EVENT)
    await exchange.finish()


@DAMAGED_STREAMS.named("malformed-first-chunk")
async def malformed_first_chunk(exchange: Exchange) -> None:
    """A malformed first event."""
    await exchange.begin()
    await exchange.event(_HALF_AN_EVENT)
    await exchange.finish()


@DAMAGED_STREAMS.named("no-done")
async def no_done(exchange: Exchange) -> None:
    """A complete answer without `[DONE]`."""
    await exchange.begin()
    for text in TEXTS:
        await exchange.text(text)
    await exchange.finish(done=False)


@DAMAGED_STREAMS.named("no-finish-reason")
async def no_finish_reason(exchange: Exchange) -> None:
    """The complete text without a finish reason or `[DONE]`."""
    await exchange.begin()
    for text in TEXTS:
        await exchange.text(text)
    await exchange.close_stream()


@DAMAGED_STREAMS.named("comments")
async def comments(exchange: Exchange) -> None:
    """Comments and unused fields between the events."""
    await exchange.begin()
    for text in TEXTS:
        await exchange.raw(b": OPENROUTER PROCESSING\n\n:\n\nevent: message\nid: 7\nretry: 10\n")
        await exchange.text(text)
    await exchange.raw(b": almost there\n\n")
    await exchange.finish()


@DAMAGED_STREAMS.named("single-bytes")
async def single_bytes(exchange: Exchange) -> None:
    """A healthy answer with each byte in a chunk of its own."""
    await exchange.begin()
    for text in (*TEXTS, " Ça va.", "\U0001f642"):
        for byte in exchange.as_event(exchange.piece(text)):
            await exchange.raw(bytes([byte]))
    await exchange.finish()


@DAMAGED_STREAMS.named("carriage-returns")
async def carriage_returns(exchange: Exchange) -> None:
    """Lines that end in CR LF."""
    await exchange.begin()
    for text in TEXTS:
        event = exchange.as_event(exchange.piece(text))
        await exchange.raw(event.replace(b"\n", b"\r\n"))
    await exchange.finish()


@DAMAGED_STREAMS.named("empty")
async def empty(exchange: Exchange) -> None:
    """A complete answer without text."""
    await exchange.answer()


@DAMAGED_STREAMS.named("error-in-200")
async def error_in_200(exchange: Exchange) -> None:
    """A stream whose first event is an error."""
    await exchange.begin()
    await exchange.event({"error": {"code": 502, "message": "upstream broke"}})
    await exchange.close_stream()


@DAMAGED_STREAMS.named("error-mid-stream")
async def error_mid_stream(exchange: Exchange) -> None:
    """An error event after some text, followed by OpenAI's `[DONE]`."""
    await exchange.begin()
    await exchange.text(FIRST_TEXT)
    await exchange.event({"error": {"code": 502, "message": "upstream broke"}})
    if exchange.wire is Wire.OPENAI:
        await exchange.event(b"[DONE]")
    await exchange.close_stream()


@DAMAGED_STREAMS.named("blocked-mid-stream")
async def blocked_mid_stream(exchange: Exchange) -> None:
    """A safety filter ends the answer after some text."""
    await exchange.answer(FIRST_TEXT, reason="content_filter")
