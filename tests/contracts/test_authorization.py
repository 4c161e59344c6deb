"""What every authorization promises to the calls of its provider, streamed or fetched."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from domain.exceptions import LLMMisconfigured
from tests.contracts.authorizations import BUILDERS, AuthorizationUnderTest

Call = Callable[[], Awaitable[None]]


@pytest.fixture(params=BUILDERS)
async def subject(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[AuthorizationUnderTest]:
    async with AsyncExitStack() as stack:
        subject = await BUILDERS[request.param](stack, tmp_path)
        stack.push_async_callback(subject.authorization.close)
        yield subject


@pytest.fixture(params=["streamed", "fetched"])
def call(request: pytest.FixtureRequest, subject: AuthorizationUnderTest) -> Call:
    return subject.stream if request.param == "streamed" else subject.fetch


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0)


async def test_calls_at_once_are_authorised_by_one_lookup(
    subject: AuthorizationUnderTest, call: Call
) -> None:
    await asyncio.gather(*[call() for _ in range(8)])
    assert len(subject.provider.seen) == 8
    assert subject.lookups() == 1


async def test_what_was_prepared_is_used_by_the_first_call(
    subject: AuthorizationUnderTest, call: Call
) -> None:
    subject.authorization.prepare()
    await until(lambda: subject.lookups() == 1)
    await call()
    assert subject.lookups() == 1


async def test_a_caller_that_leaves_ends_no_lookup_of_others(
    subject: AuthorizationUnderTest,
) -> None:
    subject.go_on.clear()
    leaving, staying = (asyncio.create_task(subject.stream()) for _ in range(2))
    await until(lambda: subject.lookups() == 1)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    subject.go_on.set()
    await staying
    assert (len(subject.provider.seen), subject.lookups()) == (1, 1)


async def test_credentials_revoked_before_their_end_are_replaced_within_the_calls(
    subject: AuthorizationUnderTest, call: Call
) -> None:
    await call()
    subject.revoke()
    await asyncio.gather(*[call() for _ in range(8)])
    assert subject.lookups() == 2


async def test_a_call_renews_them_once(subject: AuthorizationUnderTest, call: Call) -> None:
    subject.provider.then(subject.expired, subject.expired)
    with pytest.raises(LLMMisconfigured):
        await call()
    assert len(subject.provider.seen) == 2
    await call()
    assert len(subject.provider.seen) == 3


async def test_a_refusal_for_another_reason_renews_nothing(
    subject: AuthorizationUnderTest, call: Call
) -> None:
    subject.provider.then(subject.forbidden)
    with pytest.raises(LLMMisconfigured):
        await call()
    assert len(subject.provider.seen) == 1
    await call()
    assert subject.lookups() == 1


async def test_closing_ends_a_lookup_and_may_be_repeated(subject: AuthorizationUnderTest) -> None:
    subject.go_on.clear()
    waiting = asyncio.create_task(subject.stream())
    await until(lambda: subject.lookups() == 1)
    for _ in range(2):
        await subject.authorization.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert subject.provider.seen == []
