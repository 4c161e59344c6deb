"""Rate limits, with the different forms of the requested pause."""

import time
from collections.abc import Mapping
from email.utils import formatdate

from infra.selftest.exchange import Exchange, Wire
from infra.selftest.fault import Fault, Faults, healthy

RATE_LIMITS = Faults()


async def _limited(exchange: Exchange, headers: Mapping[str, str] | None = None) -> None:
    name = "RESOURCE_EXHAUSTED" if exchange.wire is Wire.GEMINI else "rate_limited"
    await exchange.status(429, exchange.error(429, name, "slow down"), headers)


async def _limited_for(exchange: Exchange, seconds: str) -> None:
    """Send the pause in the provider's form: Gemini in the body, the others in a header."""
    if exchange.wire is Wire.GEMINI:
        info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"}
        document = exchange.error(429, "RESOURCE_EXHAUSTED", "slow down", [info])
        await exchange.status(429, document)
    else:
        await _limited(exchange, {"retry-after": seconds})


async def _limited_until(exchange: Exchange, seconds: int) -> None:
    now = int(time.time())
    dates = {
        "date": formatdate(now, usegmt=True),
        "retry-after": formatdate(now + seconds, usegmt=True),
    }
    await _limited(exchange, dates)


def _once(fault: Fault) -> Fault:
    async def once(exchange: Exchange) -> None:
        await (fault if exchange.nth == 1 else healthy)(exchange)

    return once


def _for(seconds: str) -> Fault:
    async def limited(exchange: Exchange) -> None:
        await _limited_for(exchange, seconds)

    return limited


def _until(seconds: int) -> Fault:
    async def limited(exchange: Exchange) -> None:
        await _limited_until(exchange, seconds)

    return limited


RATE_LIMITS["rate-limited"] = _limited
RATE_LIMITS["rate-limited-30s"] = _for("30")
RATE_LIMITS["rate-limited-once"] = _once(_limited)
for _seconds in ("1", "1.2", "45.837906927", "-1", "1e9", "1000000000"):
    RATE_LIMITS[f"rate-limited-once-{_seconds}s"] = _once(_for(_seconds))
for _whole_seconds in (1, 30):
    RATE_LIMITS[f"rate-limited-once-until-{_whole_seconds}s"] = _once(_until(_whole_seconds))
