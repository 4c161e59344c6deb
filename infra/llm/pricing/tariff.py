"""The prices of one model, by number of input tokens, date and time of day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from domain.entities.reply import Usage

_MILLION = 1_000_000
_THOUSAND = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Prices in US dollars, of one token or one call.

    Attributes:
        above_input_tokens: The rates apply to all tokens of a call with more input than this.
        cached_input: Of input read from a cache; None: the price of other input.
        cache_write: Of input written to a cache; None: the price of other input.
        hour_cache_write: Of input written to a cache for an hour; None: `cache_write`.
        reasoning: Of the reasoning share of the output; None: the price of other output.
    """

    above_input_tokens: int = -1
    input: float
    cached_input: float | None = None
    cache_write: float | None = None
    hour_cache_write: float | None = None
    output: float
    reasoning: float | None = None
    request: float = 0.0

    def usd(self, usage: Usage, input_tokens: int, output_tokens: int) -> float:
        """Return the price of one call."""
        cost = self.request + input_tokens * self.input + output_tokens * self.output
        cached_tokens = 0
        if usage.cached_input_tokens:
            cached_tokens = min(usage.cached_input_tokens, input_tokens)
            if self.cached_input is not None:
                cost += cached_tokens * (self.cached_input - self.input)
        if usage.cache_write_tokens and self.cache_write is not None:
            written_tokens = min(usage.cache_write_tokens, input_tokens - cached_tokens)
            cost += written_tokens * (self.cache_write - self.input)
            if usage.hour_cache_write_tokens and self.hour_cache_write is not None:
                hour_tokens = min(usage.hour_cache_write_tokens, written_tokens)
                cost += hour_tokens * (self.hour_cache_write - self.cache_write)
        if self.reasoning is not None and usage.reasoning_tokens:
            reasoning_tokens = min(usage.reasoning_tokens, output_tokens)
            cost += reasoning_tokens * (self.reasoning - self.output)
        return cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """When some rates apply; always where neither bound is set.

    Attributes:
        steps: Rates by number of input tokens, the highest number first.
        from_date: The first day, in UTC.
        daily: Start (inclusive) and end (exclusive) in UTC; past midnight where the end is earlier.
    """

    steps: tuple[Rates, ...]
    from_date: date | None = None
    daily: tuple[time, time] | None = None

    def contains(self, now: datetime) -> bool:
        """Return whether the rates apply at `now`, in UTC."""
        if self.from_date is not None:
            return now.date() >= self.from_date
        if self.daily is None:
            return True
        start, end = self.daily
        if end < start:
            return not end <= now.time() < start
        return start <= now.time() < end


class Tariff:
    """The prices of one model. Caches the current period until the next one may begin."""

    def __init__(self, periods: Sequence[Period]) -> None:
        """Join periods.

        Args:
            periods: The first that contains the current moment counts; the last contains every moment.
        """
        self._periods = periods
        self._steps: tuple[Rates, ...] = ()
        self._cached_from_milliseconds = 0
        self._cached_until_milliseconds = 0

    @classmethod
    def fixed(
        cls,
        input_usd_per_million: float,
        output_usd_per_million: float,
        cached_input_usd_per_million: float | None = None,
        cache_write_usd_per_million: float | None = None,
    ) -> "Tariff":
        """Return a tariff of prices that always apply; without prices of its own, a cache's input costs as much as any other."""
        rates = Rates(
            input=input_usd_per_million / _MILLION,
            output=output_usd_per_million / _MILLION,
            cached_input=_per_token(cached_input_usd_per_million),
            cache_write=_per_token(cache_write_usd_per_million),
        )
        return cls((Period(steps=(rates,)),))

    @classmethod
    def from_periods(cls, periods: Sequence[dict[str, Any]]) -> "Tariff":
        """Return the tariff of a model's periods in the price list."""
        return cls([_period(period) for period in periods])

    def usd(self, usage: Usage, now_milliseconds: int) -> float | None:
        """Return the price of a call that ends now; None where input or output tokens are unknown."""
        input_tokens, output_tokens = usage.input_tokens, usage.output_tokens
        if input_tokens is None or output_tokens is None:
            return None
        if not self._cached_from_milliseconds <= now_milliseconds < self._cached_until_milliseconds:
            self._update_steps(now_milliseconds)
        for rates in self._steps:
            if input_tokens > rates.above_input_tokens:
                return rates.usd(usage, input_tokens, output_tokens)
        return None

    def _update_steps(self, now_milliseconds: int) -> None:
        now = datetime.fromtimestamp(now_milliseconds / 1000, UTC)
        self._steps = next(period.steps for period in self._periods if period.contains(now))
        if any(period.daily for period in self._periods):
            start, length = now.replace(second=0, microsecond=0), timedelta(minutes=1)
        else:
            start, length = datetime.combine(now.date(), time(), UTC), timedelta(days=1)
        # bounded on both sides, since the host's clock may be set back
        self._cached_from_milliseconds = _milliseconds(start)
        self._cached_until_milliseconds = _milliseconds(start + length)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _period(listed: dict[str, Any]) -> Period:
    daily = None
    if "daily_from" in listed:
        daily = (_utc_time(listed["daily_from"]), _utc_time(listed["daily_to"]))
    from_date = date.fromisoformat(listed["from_date"]) if "from_date" in listed else None
    steps = tuple(_rates(step) for step in listed["steps"])
    return Period(steps=steps, from_date=from_date, daily=daily)


def _rates(step: dict[str, Any]) -> Rates:
    return Rates(
        above_input_tokens=step["above_input_tokens"],
        input=step["input"] / _MILLION,
        cached_input=_per_token(step.get("cached_input")),
        cache_write=_per_token(step.get("cache_write")),
        hour_cache_write=_per_token(step.get("hour_cache_write")),
        output=step["output"] / _MILLION,
        reasoning=_per_token(step.get("reasoning")),
        request=step.get("thousand_requests", 0.0) / _THOUSAND,
    )


def _per_token(usd_per_million: float | None) -> float | None:
    return None if usd_per_million is None else usd_per_million / _MILLION


def _utc_time(text: str) -> time:
    moment = datetime.combine(date(1970, 1, 1), time.fromisoformat(text))
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).time()
