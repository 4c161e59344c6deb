"""What one model costs, and when."""

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
        above_input_tokens: They hold for calls with more input than this, for all of its tokens.
        cached_input: None: as any other input.
        reasoning: Of the thoughts' share of the output; None: as any other output.
    """

    above_input_tokens: int = -1
    input: float
    cached_input: float | None = None
    output: float
    reasoning: float | None = None
    request: float = 0.0

    def usd(self, usage: Usage, input_tokens: int, output_tokens: int) -> float:
        """Return the price of one call."""
        cost = self.request + input_tokens * self.input + output_tokens * self.output
        if self.cached_input is not None and usage.cached_input_tokens:
            cached_tokens = min(usage.cached_input_tokens, input_tokens)
            cost += cached_tokens * (self.cached_input - self.input)
        if self.reasoning is not None and usage.reasoning_tokens:
            reasoning_tokens = min(usage.reasoning_tokens, output_tokens)
            cost += reasoning_tokens * (self.reasoning - self.output)
        return cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """When some rates hold; without any bound, always.

    Attributes:
        steps: For every number of input tokens, the highest first.
        from_date: The first day, in UTC.
        daily: From the one time of day up to the other, in UTC; past midnight when the second is earlier.
    """

    steps: tuple[Rates, ...]
    from_date: date | None = None
    daily: tuple[time, time] | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether the rates hold at `now`, in UTC."""
        if self.from_date is not None:
            return now.date() >= self.from_date
        if self.daily is None:
            return True
        start, end = self.daily
        if end < start:
            return not end <= now.time() < start
        return start <= now.time() < end


class Tariff:
    """The prices of one model. Which of them hold is looked up again only when that may have changed."""

    def __init__(self, periods: Sequence[Period]) -> None:
        """Join periods.

        Args:
            periods: The first that holds counts; the last holds always.
        """
        self._periods = periods
        self._steps: tuple[Rates, ...] = ()
        self._good_from_milliseconds = 0
        self._good_until_milliseconds = 0

    @classmethod
    def fixed(cls, input_usd_per_million: float, output_usd_per_million: float) -> "Tariff":
        """Return a tariff of two prices that hold always; cached input costs as much as any other."""
        rates = Rates(
            input=input_usd_per_million / _MILLION, output=output_usd_per_million / _MILLION
        )
        return cls((Period(steps=(rates,)),))

    @classmethod
    def of(cls, periods: Sequence[dict[str, Any]]) -> "Tariff | None":
        """Return what `price_reader` found; None when it is not enough to price an answer."""
        read = [_period(period) for period in periods]
        if any(period is None for period in read):
            return None
        return cls([period for period in read if period is not None])

    def usd(self, usage: Usage, now_milliseconds: int) -> float | None:
        """Return the price of a call that ends now; None when the provider did not say what was used."""
        input_tokens, output_tokens = usage.input_tokens, usage.output_tokens
        if input_tokens is None or output_tokens is None:
            return None
        if not self._good_from_milliseconds <= now_milliseconds < self._good_until_milliseconds:
            self._look_up(now_milliseconds)
        for rates in self._steps:
            if input_tokens > rates.above_input_tokens:
                return rates.usd(usage, input_tokens, output_tokens)
        return None

    def _look_up(self, now_milliseconds: int) -> None:
        now = datetime.fromtimestamp(now_milliseconds / 1000, UTC)
        self._steps = next(period.steps for period in self._periods if period.holds(now))
        if any(period.daily for period in self._periods):
            start, length = now.replace(second=0, microsecond=0), timedelta(minutes=1)
        else:
            start, length = datetime.combine(now.date(), time(), UTC), timedelta(days=1)
        # both ends, since the host's clock may be set back
        self._good_from_milliseconds = _milliseconds(start)
        self._good_until_milliseconds = _milliseconds(start + length)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _period(found: dict[str, Any]) -> Period | None:
    steps = []
    for step in found["steps"]:
        if "input" not in step or "output" not in step:
            return None
        steps.append(
            Rates(
                above_input_tokens=step["above_input_tokens"],
                input=step["input"] / _MILLION,
                cached_input=_per_token(step.get("cached_input")),
                output=step["output"] / _MILLION,
                reasoning=_per_token(step.get("reasoning")),
                request=step.get("thousand_requests", 0.0) / _THOUSAND,
            )
        )
    daily = None
    if "daily_from" in found:
        daily = (_utc_time(found["daily_from"]), _utc_time(found["daily_to"]))
    from_date = date.fromisoformat(found["from_date"]) if "from_date" in found else None
    return Period(steps=tuple(steps), from_date=from_date, daily=daily)


def _per_token(usd_per_million: float | None) -> float | None:
    return None if usd_per_million is None else usd_per_million / _MILLION


def _utc_time(text: str) -> time:
    told = datetime.combine(date(1970, 1, 1), time.fromisoformat(text))
    return (told if told.tzinfo is None else told.astimezone(UTC)).time()
