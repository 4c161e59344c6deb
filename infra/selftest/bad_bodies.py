"""Responses of status 200 with invalid bodies: malformed, empty, huge, compressed, or in another encoding."""

import zlib
from functools import cache

import orjson

from infra.selftest.exchange import Exchange, Wire
from infra.selftest.fault import WHOLE_TEXT, Faults

BAD_BODIES = Faults()

HUGE_BYTES = 50 * 1024 * 1024
_BLOCK = b"more and " * (64 * 1024 // 9)
_JSON = "application/json"


@BAD_BODIES.named("malformed-json")
async def malformed_json(exchange: Exchange) -> None:
    """An incomplete JSON document."""
    await exchange.document(b'{"candidates": [{"cont')


@BAD_BODIES.named("error-document")
async def error_document(exchange: Exchange) -> None:
    """An error document with status 200."""
    await exchange.status(200, {"error": {"code": 502, "message": "upstream broke"}})


@BAD_BODIES.named("no-choices")
async def no_choices(exchange: Exchange) -> None:
    """A document without an answer in it."""
    names = {Wire.GEMINI: "candidates", Wire.OPENAI: "choices", Wire.BEDROCK: "results"}
    await exchange.status(200, {names[exchange.wire]: []})


@BAD_BODIES.named("latin-1")
async def latin_1(exchange: Exchange) -> None:
    """Events in Latin-1 instead of UTF-8."""
    await exchange.begin("text/event-stream; charset=iso-8859-1")
    document = orjson.dumps(exchange.piece("Tudo está bem.")).decode()
    await exchange.event(document.encode("latin-1"))
    await exchange.finish()


@BAD_BODIES.named("utf-16")
async def utf_16(exchange: Exchange) -> None:
    """A document in UTF-16."""
    document = orjson.dumps(exchange.piece(WHOLE_TEXT)).decode()
    await exchange.document(document.encode("utf-16"), "application/json; charset=utf-16")


@BAD_BODIES.named("huge-event")
async def huge_event(exchange: Exchange) -> None:
    """An event of 50 MB."""
    await exchange.begin()
    await exchange.raw(b'data: {"text": "')
    for _ in range(HUGE_BYTES // len(_BLOCK)):
        await exchange.raw(_BLOCK)
    await exchange.raw(b'"}\n\n')
    await exchange.finish()


@BAD_BODIES.named("huge-document")
async def huge_document(exchange: Exchange) -> None:
    """A document of 50 MB with a Content-Length."""
    await exchange.head(200, {"content-type": _JSON, "content-length": str(HUGE_BYTES)})
    await exchange.write(b"{")
    for _ in range(HUGE_BYTES // len(_BLOCK)):
        await exchange.write(_BLOCK)


@BAD_BODIES.named("huge-answer")
async def huge_answer(exchange: Exchange) -> None:
    """50 MB of valid events."""
    await exchange.begin()
    text = _BLOCK.decode()
    for _ in range(HUGE_BYTES // len(_BLOCK)):
        await exchange.text(text)
    await exchange.finish()


@BAD_BODIES.named("huge-refusal")
async def huge_refusal(exchange: Exchange) -> None:
    """A 503 with a body of 50 MB."""
    await exchange.head(503, {"content-type": _JSON, "content-length": str(HUGE_BYTES)})
    for _ in range(HUGE_BYTES // len(_BLOCK)):
        await exchange.write(_BLOCK)


@BAD_BODIES.named("gzip-bomb")
async def gzip_bomb(exchange: Exchange) -> None:
    """50 KB of gzip that expand to 50 MB, without an Accept-Encoding in the request."""
    await exchange.document(
        _bomb(), "text/event-stream", {"content-encoding": "gzip", "vary": "accept-encoding"}
    )


@BAD_BODIES.named("gzip-bomb-unnamed")
async def gzip_bomb_unnamed(exchange: Exchange) -> None:
    """The same bytes without a Content-Encoding."""
    await exchange.document(_bomb(), "text/event-stream")


@cache
def _bomb() -> bytes:
    squeezed = zlib.compressobj(wbits=31)  # a gzip header
    blank = b" " * (1024 * 1024)
    head, again = (squeezed.compress(blank) + squeezed.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    # A full flush makes each block independent, so one block can be repeated. The wrong checksum is only at the end.
    return head + 49 * again + squeezed.flush()
