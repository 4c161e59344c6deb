"""Budgets of tokens, in this process's memory."""

from dataclasses import dataclass

from domain.exceptions import RateLimited
from domain.interfaces.clock import Clock
from domain.interfaces.rate_limiter import Reservation, TokenBudget

_DAY_MILLISECONDS = 86_400_000
_BUSY_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Account:
    spent: int = 0
    reserved: int = 0


class MemoryTokenBudget(TokenBudget):
    """The same budget for every caller; all begin anew at midnight UTC."""

    def __init__(self, clock: Clock, *, tokens_per_day: int) -> None:
        self._clock = clock
        self._budget = tokens_per_day
        self._day = 0
        self._accounts: dict[str, _Account] = {}

    def reserve(self, name: str, *, least: int, most: int) -> Reservation:
        self._turn_the_day()
        account = self._accounts.setdefault(name, _Account())
        unspent = self._budget - account.spent
        left = unspent - account.reserved
        if left < least:
            # Others under way may give back what they set aside; what is spent is spent until tomorrow.
            retry_after_seconds = _BUSY_RETRY_SECONDS if unspent >= least else self._to_midnight()
            raise RateLimited(retry_after_seconds, "tokens")
        reservation = Reservation(name, min(most, left), self._day)
        account.reserved += reservation.tokens
        return reservation

    def settle(self, reservation: Reservation, spent: int) -> None:
        self._turn_the_day()
        if reservation.day != self._day:
            return  # it was counted on a day that is over
        account = self._accounts[reservation.name]
        account.reserved -= reservation.tokens
        account.spent += spent

    def _turn_the_day(self) -> None:
        day = self._clock.now_milliseconds() // _DAY_MILLISECONDS
        if day > self._day:  # a clock that steps back gives nobody a second budget
            self._day = day
            self._accounts.clear()

    def _to_midnight(self) -> float:
        return ((self._day + 1) * _DAY_MILLISECONDS - self._clock.now_milliseconds()) / 1000
