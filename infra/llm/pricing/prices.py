"""What answers cost, from a library that others keep up to date."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from domain.entities.reply import Usage
from domain.interfaces.clock import Clock
from infra.llm.pricing.tariff import Tariff

logger = logging.getLogger(__name__)

_READER = Path(__file__).with_name("lookup_process.py")
_READING_SECONDS = 10.0  # answers wait for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model whose price is looked up.

    Attributes:
        model: The catalogue id.
        upstream: The provider's name for it.
        url: Where the provider is reached.
    """

    model: str
    upstream: str
    url: str


class Prices:
    """Knows what the catalogue's models cost, once `loaded`."""

    def __init__(self, stated: Mapping[str, Tariff], clock: Clock) -> None:
        """Start with what the operator stated.

        Args:
            stated: By catalogue id; counts for more than what a provider says it charges.
            clock: Prices change with the date.
        """
        self._stated = stated
        self._found: Mapping[str, Tariff] = {}
        self._clock = clock
        self._loaded = asyncio.Event()

    @property
    def are_loaded(self) -> bool:
        """Whether looking up is over, with or without success."""
        return self._loaded.is_set()

    async def loaded(self) -> None:
        """Return once looking up is over."""
        await self._loaded.wait()

    def of(self, model: str) -> Callable[[Usage], Usage]:
        """Return what adds the cost to a usage of `model`; a cost that is not known stays None."""
        stated = self._stated.get(model)
        clock = self._clock

        def priced(usage: Usage) -> Usage:
            tariff = stated
            if tariff is None:
                if usage.cost_usd is not None:
                    return usage
                tariff = self._found.get(model)
                if tariff is None:
                    return usage
            return _with_cost(usage, tariff.usd(usage, clock.now_milliseconds()))

        return priced

    async def load(self, wanted: Iterable[Wanted]) -> None:
        """Look up the prices of `wanted` in a process of its own; call once. Never fails: an answer is worth more."""
        try:
            question = [
                {"model": one.model, "upstream": one.upstream, "url": one.url}
                for one in wanted
                if one.model not in self._stated
            ]
            if question:
                found = await _read(json.dumps(question).encode())
                tariffs = {
                    model: Tariff.of(periods) for model, periods in json.loads(found).items()
                }
                self._found = {m: tariff for m, tariff in tariffs.items() if tariff is not None}
        except (OSError, TimeoutError, ValueError) as exc:
            logger.warning("prices could not be looked up, costs stay unknown: %s", exc)
        finally:
            self._loaded.set()


def _with_cost(usage: Usage, cost_usd: float | None) -> Usage:
    # spelled out: `dataclasses.replace` takes more than twice as long, and this is done for every answer
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        total_tokens=usage.total_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cost_usd=cost_usd,
    )


@asynccontextmanager
async def open_prices(
    stated: Mapping[str, Tariff], wanted: Iterable[Wanted], clock: Clock
) -> AsyncIterator[Prices]:
    """Yield prices that are being looked up; stops looking at the end."""
    prices = Prices(stated, clock)
    loading = asyncio.create_task(prices.load(wanted), name="look up prices")
    try:
        yield prices
    finally:
        loading.cancel()
        with suppress(asyncio.CancelledError):
            await loading


async def _read(question: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # or the modules beside the reader would hide those of the same name elsewhere
        str(_READER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_without_secrets(os.environ),
    )
    try:
        async with asyncio.timeout(_READING_SECONDS):
            answer, _ = await process.communicate(question)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise OSError(f"the price reader ended with {process.returncode}")
    return answer


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what Python itself may need: a library that knows prices has no business with keys."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(("PYTHON", "LC_")) or name in ("LANG", "PATH", "SYSTEMROOT")
    }
