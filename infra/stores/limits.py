"""Opens the limits of callers: counted by all processes in the store, or by this one alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from domain.interfaces.clock import Clock
from domain.interfaces.rate_limiter import RateLimiter, TokenBudget
from infra.security.request_limits import MemoryRateLimiter
from infra.security.token_budget import MemoryTokenBudget
from infra.settings import Settings
from infra.settings.limits import LimitSettings
from infra.stores.registry import configured_store
from infra.tasks.supervised import repeating, running_tasks


@dataclass(frozen=True, slots=True)
class OpenedLimits:
    """The limits of callers.

    Attributes:
        tokens: None if there is no limit.
    """

    requests: RateLimiter
    tokens: TokenBudget | None


def memory_limiter(settings: LimitSettings, clock: Clock) -> MemoryRateLimiter:
    """Return a limit of the requests of this process."""
    return MemoryRateLimiter(
        clock,
        requests_per_minute=settings.caller_requests_per_minute,
        concurrent_requests=settings.caller_concurrent_requests,
        readers=settings.caller_readers,
    )


def memory_budget(settings: LimitSettings, clock: Clock) -> MemoryTokenBudget | None:
    """Return a limit of the tokens of this process; None if there is none."""
    if settings.caller_daily_tokens is None:
        return None
    return MemoryTokenBudget(clock, tokens_per_day=settings.caller_daily_tokens)


@asynccontextmanager
async def open_limits(settings: Settings, clock: Clock) -> AsyncIterator[OpenedLimits]:
    """Count in the store where several processes may share it, and in this process otherwise.

    Raises:
        ConfigurationError: The settings contradict each other, or the store cannot be opened.
    """
    open_counters = configured_store(settings).open_counters
    if open_counters is None or not settings.limits_shared:
        yield OpenedLimits(memory_limiter(settings, clock), memory_budget(settings, clock))
        return
    from infra.limits.rate_limiter import SharedRateLimiter
    from infra.limits.store_calls import StoreCalls
    from infra.limits.token_budget import RETURN_SECONDS, SharedTokenBudget

    async with open_counters(settings, settings.limits_wait_seconds) as counters:
        calls = StoreCalls(clock)
        requests = SharedRateLimiter(
            counters,
            calls,
            clock,
            requests_per_minute=settings.caller_requests_per_minute,
            concurrent_requests=settings.caller_concurrent_requests,
            readers=settings.caller_readers,
        )
        if settings.caller_daily_tokens is None:
            yield OpenedLimits(requests, None)
            return
        tokens = SharedTokenBudget(
            counters, calls, clock, tokens_per_day=settings.caller_daily_tokens
        )
        async with running_tasks(
            repeating(tokens.return_unused, seconds=RETURN_SECONDS, clock=clock)
        ):
            try:
                yield OpenedLimits(requests, tokens)
            finally:
                await tokens.close()
