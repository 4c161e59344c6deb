"""Adds the cost to the usage of an answer."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from domain.entities.reply import Usage
from domain.interfaces.clock import Clock
from infra.llm.pricing.tariff import Tariff


class Prices:
    """The tariffs of the catalogue's models."""

    def __init__(
        self, stated: Mapping[str, Tariff], listed: Mapping[str, Tariff], clock: Clock
    ) -> None:
        """Join tariffs.

        Args:
            stated: From the models file, by catalogue id; override the cost that a provider reports.
            listed: From the price list, by catalogue id; used where a provider reports no cost.
            clock: For prices that change with the date or the time of day.
        """
        self._stated = stated
        self._listed = listed
        self._clock = clock

    def calculator(self, model: str) -> Callable[[Usage], Usage]:
        """Return a function that adds the cost to a usage of `model`; an unknown cost stays None.

        It removes `hour_cache_write_tokens`, which only the price needs.
        """
        stated, listed = self._stated.get(model), self._listed.get(model)
        now_milliseconds = self._clock.now_milliseconds

        def with_cost(usage: Usage) -> Usage:
            tariff = stated
            if tariff is None:
                if usage.cost_usd is not None or listed is None:
                    if usage.hour_cache_write_tokens is not None:
                        return replace(usage, hour_cache_write_tokens=None)
                    return usage
                tariff = listed
            # not `replace`, which takes more than twice as long
            return Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                total_tokens=usage.total_tokens,
                cached_input_tokens=usage.cached_input_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                cost_usd=tariff.usd(usage, now_milliseconds()),
            )

        return with_cost
