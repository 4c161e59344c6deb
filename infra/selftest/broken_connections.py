"""Connections that break at different points of an answer."""

import asyncio

from infra.selftest.exchange import Exchange
from infra.selftest.fault import FIRST_TEXT, Faults

BROKEN_CONNECTIONS = Faults()

_UNTIL_READ_SECONDS = 0.02
"""Pause before a reset, since a reset discards data that the peer has not read yet."""


@BROKEN_CONNECTIONS.named("reset")
async def reset(exchange: Exchange) -> None:
    """Resets the connection before the first byte."""
    exchange.reset()


@BROKEN_CONNECTIONS.named("reset-after-head")
async def reset_after_head(exchange: Exchange) -> None:
    """Resets the connection between the head and the first event."""
    await exchange.begin()
    await asyncio.sleep(_UNTIL_READ_SECONDS)
    exchange.reset()


@BROKEN_CONNECTIONS.named("reset-mid-stream")
async def reset_mid_stream(exchange: Exchange) -> None:
    """Resets the connection in the middle of the answer."""
    await exchange.begin()
    await exchange.text(FIRST_TEXT)
    await asyncio.sleep(_UNTIL_READ_SECONDS)
    exchange.reset()


@BROKEN_CONNECTIONS.named("cut-before-text")
async def cut_before_text(exchange: Exchange) -> None:
    """Ends the stream normally before the first text."""
    await exchange.begin()
    await exchange.close_stream()


@BROKEN_CONNECTIONS.named("cut")
async def cut(exchange: Exchange) -> None:
    """Ends the stream normally in the middle of the answer."""
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
