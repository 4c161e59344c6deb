"""Reads prices out of `genai-prices`; run as a process of its own.

The library's data takes 70 MB and half a second of a core, which a server that wants a dozen numbers of it should not
carry around: it gets them as JSON and the process ends. On standard input: `[{"model", "upstream", "url"}]`. On standard
output: `{model: [period…]}` as `Tariff.of` reads them, without the models whose price is not known.
"""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal

_PRICED = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
    "thousand_requests": "requests_kcount",
}


def periods_of(upstream: str, url: str) -> list[dict[str, object]]:
    """Return the prices of one model and when they hold, the one that comes last first; empty when unknown."""
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import ModelPrice

    try:
        _, model = get_snapshot().find_provider_model(upstream, None, None, url)
    except LookupError:
        return []
    if isinstance(model.prices, ModelPrice):
        return [{"steps": list(_steps(model.prices))}]
    periods: list[dict[str, object]] = [
        {**_when(conditional.constraint), "steps": list(_steps(conditional.prices))}
        for conditional in model.prices
    ]
    # as the library does: the last that holds counts, and when none does, the first
    return [*reversed(periods), {"steps": periods[0]["steps"]}]


def _when(constraint: object) -> dict[str, str]:
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    if isinstance(constraint, StartDateConstraint):
        return {"from_date": constraint.start_date.isoformat()}
    if isinstance(constraint, TimeOfDateConstraint):
        return {
            "daily_from": constraint.start_time.isoformat(),
            "daily_to": constraint.end_time.isoformat(),
        }
    return {}


def _steps(prices: object) -> Iterator[dict[str, float]]:
    """Yield the prices from each number of input tokens on, the highest number first."""
    from genai_prices.types import TieredPrices

    found = {name: getattr(prices, key, None) for name, key in _PRICED.items()}
    starts = {
        tier.start
        for price in found.values()
        if isinstance(price, TieredPrices)
        for tier in price.tiers
    }
    for start in sorted({-1, *starts}, reverse=True):
        step: dict[str, float] = {"above_input_tokens": start}
        for name, price in found.items():
            if isinstance(price, TieredPrices):
                holding = [tier.price for tier in price.tiers if tier.start <= start]
                step[name] = float(holding[-1] if holding else price.base)
            elif isinstance(price, Decimal):
                step[name] = float(price)
        yield step


def main() -> None:
    """Answer what stands on standard input."""
    found = {
        wanted["model"]: periods_of(wanted["upstream"], wanted["url"])
        for wanted in json.load(sys.stdin)
    }
    json.dump({model: periods for model, periods in found.items() if periods}, sys.stdout)


if __name__ == "__main__":
    main()
