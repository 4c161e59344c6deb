"""Daily token budgets over all processes that share a store."""

import asyncio
from dataclasses import dataclass

from domain.interfaces.clock import Clock
from domain.interfaces.rate_limiter import Reservation, TokenBudget
from infra.limits.counters import (
    CountersUnavailable,
    GrantedTokens,
    SharedCounters,
    TokenChange,
)
from infra.limits.store_calls import StoreCalls
from infra.security.token_budget import DAY_MILLISECONDS, MemoryTokenBudget

RETURN_SECONDS = 1.0
"""Interval of the search for tokens to return."""

IDLE_SECONDS = 2.0
"""Unused tokens are returned after their caller has made no call for this time."""

_CALLS_LEFT = 8
"""With fewer calls of the last one's size left, a process takes only what a call needs and returns the rest at once."""


@dataclass(slots=True)
class _Account:
    """The tokens of one caller and day that this process has taken.

    Attributes:
        in_hand: Tokens taken from the budget, neither reserved nor spent; negative after calls while the store was
            unavailable: reserved or spent, but not taken.
        spent: Tokens spent and not reported.
        left: Tokens left in the budget, as last seen.
        most: Tokens wanted for the last call.
        used_seconds: Time of the last call.
    """

    left: int
    in_hand: int = 0
    spent: int = 0
    most: int = 0
    used_seconds: float = 0.0

    @property
    def is_scarce(self) -> bool:
        return self.left < _CALLS_LEFT * self.most


class SharedTokenBudget(TokenBudget):
    """The budget of each caller is in the store; each process takes tokens from it for its calls.

    Unused tokens of a call are kept for the next one, so that most calls need no call of the store. They are
    returned within seconds when the caller pauses, when little of the budget is left, and by `close`; if the process is
    killed they are lost until midnight, as are the reservations of its calls.

    While the store is unavailable, this process applies the budget to its own calls, and reports them afterwards.
    """

    def __init__(
        self, counters: SharedCounters, calls: StoreCalls, clock: Clock, *, tokens_per_day: int
    ) -> None:
        self._counters = counters
        self._calls = calls
        self._clock = clock
        self._budget = tokens_per_day
        self._own = MemoryTokenBudget(clock, tokens_per_day=tokens_per_day)
        self._accounts: dict[tuple[str, int], _Account] = {}
        self._asking: set[asyncio.Task[GrantedTokens]] = set()

    async def reserve(self, name: str, *, least: int, most: int) -> Reservation:
        # This process sees only a part of the calls, so it refuses none that the store would accept.
        own = self._own.set_aside(name, least=least, most=most)
        try:
            tokens = await self._take(name, own.day, least, own.tokens)
        except BaseException:
            self._own.settle(own, 0)
            raise
        return own if tokens == own.tokens else self._own.shrink(own, tokens)

    def settle(self, reservation: Reservation, spent: int) -> None:
        self._own.settle(reservation, spent)
        account = self._account(reservation.name, reservation.day)
        account.in_hand += reservation.tokens - spent
        account.spent += spent
        account.used_seconds = self._clock.monotonic()

    async def return_unused(self) -> None:
        """Return tokens that are not needed soon, and report what was spent; drop the accounts of earlier days."""
        now = self._clock.monotonic()
        today = self._clock.now_milliseconds() // DAY_MILLISECONDS
        for (name, day), account in list(self._accounts.items()):
            is_idle = now - account.used_seconds >= IDLE_SECONDS
            if day < today:
                if is_idle:
                    del self._accounts[name, day]
            elif is_idle or account.is_scarce or account.in_hand < 0:
                await self._return(name, day, account)
                if is_idle and not account.in_hand and not account.spent:
                    self._accounts.pop((name, day), None)

    async def close(self) -> None:
        """Return all unused tokens."""
        for (name, day), account in list(self._accounts.items()):
            await self._return(name, day, account)
        if self._asking:
            await asyncio.wait(self._asking)

    async def _take(self, name: str, day: int, least: int, most: int) -> int:
        """Return how many tokens, from `least` to `most`, were taken.

        Raises:
            RateLimited: Fewer than `least` are left.
        """
        account = self._account(name, day)
        account.most = most
        account.used_seconds = self._clock.monotonic()
        while account.in_hand < most:
            wanted = most - max(0, account.in_hand) + (0 if account.is_scarce else most)
            try:
                granted = await self._ask(name, day, account, least, wanted)
            except CountersUnavailable:
                account.in_hand -= most  # reported when the store is back
                return most
            if granted.granted < wanted and account.in_hand < most:
                if account.in_hand < least:
                    raise self._own.refusal(may_be_released=granted.unspent >= least)
                most = account.in_hand
        account.in_hand -= most
        return most

    async def _ask(
        self, name: str, day: int, account: _Account, least: int, wanted: int
    ) -> GrantedTokens:
        """Take tokens for this process.

        In a task, which continues if the request is cancelled: otherwise the tokens would be lost.
        """
        asking = asyncio.create_task(
            self._change(
                name, day, account, least=max(0, least - max(0, account.in_hand)), wanted=wanted
            )
        )
        self._asking.add(asking)
        asking.add_done_callback(self._forget)
        return await asyncio.shield(asking)

    def _forget(self, asking: asyncio.Task[GrantedTokens]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()  # avoids asyncio's warning if the request was cancelled

    async def _return(self, name: str, day: int, account: _Account) -> None:
        if self._calls.are_paused or not (account.in_hand or account.spent):
            return
        try:
            await self._change(name, day, account, returned=max(0, account.in_hand))
        except CountersUnavailable:
            return

    async def _change(
        self,
        name: str,
        day: int,
        account: _Account,
        *,
        least: int = 0,
        wanted: int = 0,
        returned: int = 0,
    ) -> GrantedTokens:
        """Change the account in the store, and make up for calls made while it was unavailable.

        If the outcome is unknown, tokens that were returned count as lost, and those to make up for as not reported:
        then too many are counted, never too few.
        """
        if self._calls.are_paused:
            raise CountersUnavailable
        owed = max(0, -account.in_hand)
        spent, account.spent = account.spent, 0
        account.in_hand -= returned
        change = TokenChange(
            budget=self._budget,
            least=least,
            wanted=wanted,
            returned=returned - owed,
            spent=spent,
        )
        granted = await self._calls(lambda: self._counters.change_tokens(name, day, change))
        account.in_hand += owed + granted.granted
        account.left = granted.left
        return granted

    def _account(self, name: str, day: int) -> _Account:
        account = self._accounts.get((name, day))
        if account is None:
            account = self._accounts[name, day] = _Account(left=self._budget)
        return account
