"""Slow and stalled answers."""

from infra.selftest.exchange import Exchange
from infra.selftest.fault import FIRST_TEXT, Fault, Faults, healthy

SLOW_ANSWERS = Faults()


@SLOW_ANSWERS.named("silent")
async def silent(exchange: Exchange) -> None:
    """Accepts the request and sends nothing."""
    await exchange.silence()


@SLOW_ANSWERS.named("slow-first-token")
async def slow_first_token(exchange: Exchange) -> None:
    """Sends the head and comments, but no text."""
    await exchange.begin()
    await exchange.wait()
    await exchange.silence()


@SLOW_ANSWERS.named("stall")
async def stall(exchange: Exchange) -> None:
    """Stops in the middle of the answer, with the connection open."""
    await exchange.begin()
    await exchange.text(FIRST_TEXT)
    await exchange.silence()


def _late(seconds: float) -> Fault:
    async def late(exchange: Exchange) -> None:
        if not await exchange.hangs_up_within(seconds):
            await healthy(exchange)

    return late


def _drip(seconds: float) -> Fault:
    async def drip(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.text("drop ")
        while not await exchange.hangs_up_within(seconds):
            await exchange.text("drop ")

    return drip


for _seconds in (0.1, 0.3, 59):
    SLOW_ANSWERS[f"late-{_seconds}s"] = _late(_seconds)
for _seconds in (0.2, 2, 10, 20):
    SLOW_ANSWERS[f"drip-{_seconds}s"] = _drip(_seconds)
