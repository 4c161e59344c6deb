"""Tokens are fetched once for all callers, and renewed before they expire."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping

import pytest
from yarl import URL

from domain.exceptions import LLMMisconfigured, LLMUnavailable
from infra.llm.credentials.access_tokens import (
    AccessToken,
    AccessTokens,
    TokenRefused,
    TokenServerUnavailable,
)
from infra.llm.transport.errors.body import WireError
from tests.fakes.clock import FakeClock

REFUSAL = WireError.parse(None)


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
        assert self.go_on.wait(120)
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


async def headers_of(tokens: AccessTokens) -> Mapping[str, str]:
    return await tokens.headers(URL("https://vertex.example/"), "application/json", b"{}")


async def token_of(tokens: AccessTokens) -> str:
    return (await headers_of(tokens))["authorization"].removeprefix("Bearer ")


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
    assert await tokens.start_fetch() is None
    assert await token_of(tokens) == "2"
    assert fetch.count == 2


async def test_a_renewal_that_fails_leaves_the_old_token_until_it_expires(
    tokens: AccessTokens, fetch: Fetch, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await token_of(tokens)
    fetch.errors = [TokenServerUnavailable("away"), TokenRefused("no")]
    clock.advance(3600 - 200)
    assert await token_of(tokens) == "1"
    await tokens.start_fetch()
    assert [await token_of(tokens) for _ in range(3)] == ["1"] * 3
    assert fetch.count == 2  # the next one after a pause
    clock.advance(6)
    assert await token_of(tokens) == "1"
    await tokens.start_fetch()
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
        await headers_of(tokens)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert await token_of(tokens) == "2"


async def test_a_token_that_was_refused_is_fetched_anew_and_an_older_one_changes_nothing(
    tokens: AccessTokens, fetch: Fetch
) -> None:
    first = await headers_of(tokens)
    assert tokens.renews(401, REFUSAL, first)
    assert tokens.renews(401, REFUSAL, first)
    assert await token_of(tokens) == "2"
    assert tokens.renews(401, REFUSAL, first)
    assert await token_of(tokens) == "2"
    assert fetch.count == 2


@pytest.mark.parametrize("status", [400, 403, 429, 500])
async def test_another_refusal_keeps_the_token(
    tokens: AccessTokens, fetch: Fetch, status: int
) -> None:
    assert not tokens.renews(status, REFUSAL, await headers_of(tokens))
    assert await token_of(tokens) == "1"
    assert fetch.count == 1


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
    renewal = tokens.start_fetch()
    await asyncio.sleep(0)
    await tokens.close()
    await tokens.close()
    assert renewal.cancelled()


def test_a_token_is_not_in_its_repr() -> None:
    token = AccessToken(headers={"authorization": "Bearer secret"}, lifetime_seconds=1.0)
    assert "secret" not in repr(token)
