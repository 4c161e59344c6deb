"""Writes the price list of the service from `genai-prices`; `make lock` runs it after the locks.

The library takes half a second and tens of megabytes to import, so the service reads a file of its prices instead.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

PRICE_LIST = Path(__file__).parents[2] / "infra" / "llm" / "pricing" / "prices.json"

_PRICES = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "hour_cache_write": "cache_write_1h_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
    "thousand_requests": "requests_kcount",
}
_OPERATORS = {
    "starts_with": "starts_with",
    "ends_with": "ends_with",
    "contains": "contains",
    "regex": "regex",
    "or_": "or",
    "and_": "and",
}


def price_list() -> str:
    """Return the price list as JSON, one model a line."""
    providers = ",\n".join(_provider(provider) for provider in get_snapshot().providers)
    source = json.dumps(f"genai-prices {version('genai-prices')}")
    return f'{{"source": {source}, "providers": [\n{providers}\n]}}\n'


def _provider(provider: Provider) -> str:
    models = ",\n".join(json.dumps(_model(model)) for model in provider.models)
    url_pattern, fallbacks = provider.api_pattern, provider.fallback_model_providers or []
    return (
        f'{{"id": {json.dumps(provider.id)}, "url_pattern": {json.dumps(url_pattern)},'
        f' "fallbacks": {json.dumps(fallbacks)}, "models": [\n{models}\n]}}'
    )


def _model(model: ModelInfo) -> dict[str, Any]:
    """Return the names of a model and its prices; no prices where they do not cover both input and output."""
    periods = list(_periods(model))
    if "embed" in model.id.lower():
        for step in [step for period in periods for step in period["steps"]]:
            step.setdefault("output", 0.0)  # there is none
    is_complete = all(
        {"input", "output"} <= step.keys() for period in periods for step in period["steps"]
    )
    return {"match": _match(model.match), "periods": periods if is_complete else []}


def _match(clause: Any) -> Any:
    if hasattr(clause, "equals"):
        return clause.equals.lower()
    ((name, value),) = vars(clause).items()
    if isinstance(value, list):
        return {_OPERATORS[name]: [_match(inner) for inner in value]}
    return {_OPERATORS[name]: value if name == "regex" else value.lower()}


def _periods(model: ModelInfo) -> Iterator[dict[str, Any]]:
    """Yield the prices of a model and when they apply; the first period that applies counts."""
    if isinstance(model.prices, ModelPrice):
        yield {"steps": list(_steps(model.prices))}
        return
    # The library takes the last condition that holds, and the first of all prices when none does.
    for conditional in reversed(model.prices):
        yield {**_when(conditional.constraint), "steps": list(_steps(conditional.prices))}
        if conditional.constraint is None:
            return
    yield {"steps": list(_steps(model.prices[0].prices))}


def _when(constraint: object) -> dict[str, str]:
    if isinstance(constraint, StartDateConstraint):
        return {"from_date": constraint.start_date.isoformat()}
    if isinstance(constraint, TimeOfDateConstraint):
        return {
            "daily_from": constraint.start_time.isoformat(),
            "daily_to": constraint.end_time.isoformat(),
        }
    return {}


def _steps(prices: ModelPrice) -> Iterator[dict[str, float]]:
    """Yield the prices above each number of input tokens, the highest number first."""
    found = {name: getattr(prices, key, None) for name, key in _PRICES.items()}
    thresholds = {
        tier.start
        for price in found.values()
        if isinstance(price, TieredPrices)
        for tier in price.tiers
    }
    for threshold in sorted({-1, *thresholds}, reverse=True):
        step: dict[str, float] = {"above_input_tokens": threshold}
        for name, price in found.items():
            if isinstance(price, TieredPrices):
                reached = [tier.price for tier in price.tiers if tier.start <= threshold]
                step[name] = float(reached[-1] if reached else price.base)
            elif isinstance(price, Decimal):
                step[name] = float(price)
        yield step


if __name__ == "__main__":
    PRICE_LIST.write_text(price_list(), encoding="utf-8")
