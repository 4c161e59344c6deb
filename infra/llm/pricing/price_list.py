"""Reads prices from `prices.json`, the list that `make lock` writes from the `genai-prices` library."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from infra.llm.pricing.tariff import Tariff

_PRICE_LIST = Path(__file__).with_name("prices.json")
_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=[-:]|$)")
_OPERATORS: Mapping[str, Callable[[str, Any], bool]] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
    "regex": lambda name, pattern: re.search(pattern, name) is not None,
    "or": lambda name, clauses: any(_matches(clause, name) for clause in clauses),
    "and": lambda name, clauses: all(_matches(clause, name) for clause in clauses),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceQuery:
    """A model whose price is looked up.

    Attributes:
        model: The catalogue id.
        upstream: The provider's name for the model.
        url: The provider's base URL.
    """

    model: str
    upstream: str
    url: str


def look_up(queries: Iterable[PriceQuery]) -> dict[str, Tariff]:
    """Return the tariffs of models by catalogue id, without those whose price is unknown.

    Reads the whole list, which takes some milliseconds, and keeps only the requested tariffs.
    """
    queries = tuple(queries)
    if not queries:
        return {}
    providers = orjson.loads(_PRICE_LIST.read_bytes())["providers"]
    found = {}
    for query in queries:
        if periods := _periods(providers, query.upstream.lower(), query.url):
            found[query.model] = Tariff.from_periods(periods)
    return found


def _periods(providers: list[dict[str, Any]], name: str, url: str) -> list[dict[str, Any]]:
    for provider in providers:
        if re.match(provider["url_pattern"], url):
            break
    else:
        return []
    by_id = {each["id"]: each for each in providers}
    sources = [provider, *(by_id[other] for other in provider["fallbacks"] if other in by_id)]
    for spelling in (name, _COMPACT_DATE.sub(r"-\1-\2-\3", name)):
        for source in sources:
            for model in source["models"]:
                if _matches(model["match"], spelling):
                    periods: list[dict[str, Any]] = model["periods"]
                    return periods
    return []


def _matches(clause: str | Mapping[str, Any], name: str) -> bool:
    """Return whether a clause holds for a name in lower case: an exact name, or one operator with its operand."""
    if isinstance(clause, str):
        return name == clause
    ((operator, operand),) = clause.items()
    return _OPERATORS[operator](name, operand)
