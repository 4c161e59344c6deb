"""Tokens are fetched once for all callers, and renewed before they expire."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from domain.exceptions import LLMMisconfigured, LLMUnavailable
from infra.llm.credentials.access_tokens import (
    AccessToken,
    AccessTokens,
    TokenRefused,
    TokenServerUnavailable,
)
from tests.fakes.clock import FakeClock


class Fetch:
    """Returns numbered tokens.

    Attributes:
        errors: Raised instead, one a call.
        count: How many times it was called.
    """

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.count = 0
        self.lifetime_seconds = 3600.0
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self) -> AccessToken:
        self.count += 1
        number = self.count
        assert self.go_on.wait(10.0)
        if self.errors:
            raise self.errors.pop(0)
        return AccessToken(
            headers={"authorization": f"Bearer {number}"}, lifetime_seconds=self.lifetime_seconds
        )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fetch() -> Fetch:
    return Fetch()


@pytest.fixture
async def tokens(fetch: Fetch, clock: FakeClock) -> AsyncIterator[AccessTokens]:
    tokens = AccessTokens(fetch, provider="vertex", clock=clock)
    yield tokens
    fetch.go_on.set()
    await tokens.close()


async def token_of(tokens: AccessTokens) -> str:
    return (await tokens.headers())["authorization"].removeprefix("Bearer ")


async def test_callers_without_a_token_share_one_fetch(tokens: AccessTokens, fetch: Fetch) -> None:
    fetch.go_on.clear()
    callers = [asyncio.create_task(token_of(tokens)) for _ in range(20)]
    await asyncio.sleep(0)
    callers[0].cancel()
    fetch.go_on.set()
    assert await asyncio.gather(*callers[1:]) == ["1"] * 19
    assert fetch.count == 1
    assert callers[0].cancelled()


async def test_a_token_is_renewed_in_the_background_before_it_expires(
    tokens: AccessTokens, fetch: Fetch, clock: FakeClock
) -> None:
    assert await token_of(tokens) == "1"
    clock.advance(3600 - 241)
    assert await token_of(tokens) == "1"
    assert fetch.count == 1
    fetch.go_on.clear()
    clock.advance(2)
    assert [await token_of(tokens) for _ in range(3)] == ["1"] * 3
    fetch.go_on.set()
    assert await tokens.renew() is None
    assert await token_of(tokens) == "2"
    assert fetch.count == 2


async def test_a_renewal_that_fails_leaves_the_old_token_until_it_expires(
    tokens: AccessTokens, fetch: Fetch, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await token_of(tokens)
    fetch.errors = [TokenServerUnavailable("away"), TokenRefused("no")]
    clock.advance(3600 - 200)
    assert await token_of(tokens) == "1"
    await tokens.renew()
    assert [await token_of(tokens) for _ in range(3)] == ["1"] * 3
    assert fetch.count == 2  # the next one after a pause
    clock.advance(6)
    assert await token_of(tokens) == "1"
    await tokens.renew()
    assert fetch.count == 3
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    clock.advance(200)
    assert await token_of(tokens) == "4"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TokenRefused("no"), LLMMisconfigured),
        (TokenServerUnavailable("away"), LLMUnavailable),
        (KeyError("a bug"), LLMUnavailable),
    ],
)
async def test_without_any_token_the_call_fails_so_that_another_route_may_answer(
    tokens: AccessTokens,
    fetch: Fetch,
    error: Exception,
    expected: type[Exception],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fetch.errors = [error]
    with pytest.raises(expected):
        await tokens.headers()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert await token_of(tokens) == "2"


async def test_a_discarded_token_is_fetched_anew_and_an_older_one_changes_nothing(
    tokens: AccessTokens, fetch: Fetch
) -> None:
    first = await tokens.headers()
    tokens.discard(first)
    tokens.discard(first)
    assert await token_of(tokens) == "2"
    tokens.discard(first)
    assert await token_of(tokens) == "2"
    assert fetch.count == 2


async def test_a_short_life_leaves_time_to_use_the_token(
    tokens: AccessTokens, fetch: Fetch, clock: FakeClock
) -> None:
    fetch.lifetime_seconds = 10.0
    await token_of(tokens)
    clock.advance(7.9)
    assert await token_of(tokens) == "1"
    assert fetch.count == 1
    clock.advance(1.7)  # too late for a call that begins now
    assert await token_of(tokens) == "2"


async def test_closing_ends_a_running_fetch_and_may_be_repeated(
    tokens: AccessTokens, fetch: Fetch
) -> None:
    await tokens.close()
    fetch.go_on.clear()
    renewal = tokens.renew()
    await asyncio.sleep(0)
    await tokens.close()
    await tokens.close()
    assert renewal.cancelled()


def test_a_token_is_not_in_its_repr() -> None:
    token = AccessToken(headers={"authorization": "Bearer secret"}, lifetime_seconds=1.0)
    assert "secret" not in repr(token)
