"""Connections that break, at every point of an answer."""

import asyncio

from infra.selftest.exchange import Exchange
from infra.selftest.fault import FIRST_TEXT, Faults

BROKEN_CONNECTIONS = Faults()

_UNTIL_READ_SECONDS = 0.02
"""A reset discards what the other side has not read yet."""


@BROKEN_CONNECTIONS.named("reset")
async def reset(exchange: Exchange) -> None:
    """Is reset before a byte came."""
    exchange.reset()


@BROKEN_CONNECTIONS.named("reset-after-head")
async def reset_after_head(exchange: Exchange) -> None:
    """Is reset between the head and the first event."""
    await exchange.begin()
    await asyncio.sleep(_UNTIL_READ_SECONDS)
    exchange.reset()


@BROKEN_CONNECTIONS.named("reset-mid-stream")
async def reset_mid_stream(exchange: Exchange) -> None:
    """Is reset in the middle of the answer."""
    await exchange.begin()
    await exchange.text(FIRST_TEXT)
    await asyncio.sleep(_UNTIL_READ_SECONDS)
    exchange.reset()


@BROKEN_CONNECTIONS.named("cut-before-text")
async def cut_before_text(exchange: Exchange) -> None:
    """Ends the stream in an orderly way before the first word."""
    await exchange.begin()
    await exchange.close_stream()


@BROKEN_CONNECTIONS.named("cut")
async def cut(exchange: Exchange) -> None:
    """Ends the stream in an orderly way in the middle of the answer."""
    await exchange.begin()
    await exchange.text(FIRST_TEXT)
    await exchange.close_stream()


@BROKEN_CONNECTIONS.named("cut-chunk")
async def cut_chunk(exchange: Exchange) -> None:
    """Ends the connection in the middle of a chunk."""
    await exchange.begin()
    await exchange.text(FIRST_TEXT)
    await exchange.write(b"ff\r\ndata: {")
    exchange.writer.close()
