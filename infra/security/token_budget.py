"""Daily token budgets, in the memory of this process."""

from dataclasses import dataclass, replace

from domain.exceptions import RateLimited
from domain.interfaces.clock import Clock
from domain.interfaces.rate_limiter import Reservation, TokenBudget

DAY_MILLISECONDS = 86_400_000
_BUSY_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Account:
    spent: int = 0
    reserved: int = 0


class MemoryTokenBudget(TokenBudget):
    """The same budget for every caller, reset at midnight UTC."""

    def __init__(self, clock: Clock, *, tokens_per_day: int) -> None:
        self._clock = clock
        self._budget = tokens_per_day
        self._day = 0
        self._accounts: dict[str, _Account] = {}

    async def reserve(self, name: str, *, least: int, most: int) -> Reservation:
        return self.set_aside(name, least=least, most=most)

    def set_aside(self, name: str, *, least: int, most: int) -> Reservation:
        """Reserve without waiting."""
        self._reset_on_new_day()
        account = self._accounts.setdefault(name, _Account())
        unspent = self._budget - account.spent
        left = unspent - account.reserved
        if left < least:
            # Reservations of running calls may be released soon; spent tokens only at midnight.
            raise self.refusal(may_be_released=unspent >= least)
        reservation = Reservation(name, min(most, left), self._day)
        account.reserved += reservation.tokens
        return reservation

    def settle(self, reservation: Reservation, spent: int) -> None:
        self._reset_on_new_day()
        if reservation.day != self._day:
            return  # the budget of that day no longer counts
        account = self._accounts[reservation.name]
        account.reserved -= reservation.tokens
        account.spent += spent

    def shrink(self, reservation: Reservation, tokens: int) -> Reservation:
        """Return the reservation with fewer tokens; the others are left again."""
        self._reset_on_new_day()
        if reservation.day == self._day:
            self._accounts[reservation.name].reserved -= reservation.tokens - tokens
        return replace(reservation, tokens=tokens)

    def refusal(self, *, may_be_released: bool) -> RateLimited:
        """Return the error for too few tokens, of which some may be released soon or all are spent."""
        return RateLimited(
            _BUSY_RETRY_SECONDS if may_be_released else self._seconds_to_midnight(), "tokens"
        )

    def _reset_on_new_day(self) -> None:
        day = self._clock.now_milliseconds() // DAY_MILLISECONDS
        if day > self._day:  # a clock that steps back must not reset the budgets
            self._day = day
            self._accounts.clear()

    def _seconds_to_midnight(self) -> float:
        return ((self._day + 1) * DAY_MILLISECONDS - self._clock.now_milliseconds()) / 1000
