"""What every store of claims keeps to."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord
from domain.exceptions import IdempotencyUnavailable
from domain.interfaces.idempotency import IdempotencyStore
from tests.contracts.idempotency_stores import STORES, Stores, dynamodb, mongo, sqlite
from tests.fakes.interactions import an_id

AT_ONCE = pytest.mark.parametrize(
    "stores",
    [
        pytest.param(name, marks=pytest.mark.realtime) if name in ("mongo", "dynamodb") else name
        for name in STORES
    ],
    indirect=True,
)
"""All stores; those reached over a connection fail calls that a starved server does not answer in time."""

NOW = time.time_ns() // 1_000_000
KEY = IdempotencyKey(principal="key:1", user_id="ana", route="/v1/chat", key="k")


def a_claim(number: int = 1, **changes: int) -> IdempotencyRecord:
    usual = {
        "lease_until_milliseconds": NOW + 70_000,
        "expires_milliseconds": NOW + 86_400_123,
    }
    return IdempotencyRecord(
        fingerprint=f"{number:064x}", interaction_id=an_id(number), **usual | changes
    )


@pytest.fixture(params=STORES)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    async with STORES[request.param](tmp_path / "data") as stores:
        yield stores


async def test_the_first_claim_is_kept_and_shown_to_whoever_comes_later(stores: Stores) -> None:
    one, other = stores
    assert await one.claim(KEY, a_claim(1), now_milliseconds=NOW) is None
    for store in stores:
        assert await store.claim(KEY, a_claim(2), now_milliseconds=NOW + 1) == a_claim(1)
    assert await other.claim(replace(KEY, key="k2"), a_claim(2), now_milliseconds=NOW) is None


@AT_ONCE
async def test_of_many_at_once_one_gets_the_key(stores: Stores) -> None:
    claims = [a_claim(number) for number in range(50)]
    found = await asyncio.gather(
        *(
            stores[number % 2].claim(KEY, claim, now_milliseconds=NOW)
            for number, claim in enumerate(claims)
        )
    )
    winners = [claim for claim, kept in zip(claims, found, strict=True) if kept is None]
    assert len(winners) == 1
    assert {kept for kept in found if kept is not None} == set(winners)


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, principal="key:2"),
        replace(KEY, user_id="bob"),
        replace(KEY, route="/v1/chat/completions"),
        replace(KEY, key="l"),
        replace(KEY, principal="key:1ana", user_id=""),
        replace(KEY, principal="key:", user_id="1ana"),
    ],
)
async def test_another_scope_is_another_key(stores: Stores, other: IdempotencyKey) -> None:
    assert await stores[0].claim(KEY, a_claim(1), now_milliseconds=NOW) is None
    assert await stores[0].claim(other, a_claim(2), now_milliseconds=NOW) is None


async def test_a_released_key_is_free_and_only_its_holder_releases_it(stores: Stores) -> None:
    one, other = stores
    await one.claim(KEY, a_claim(1), now_milliseconds=NOW)
    await other.release(KEY, a_claim(2))
    await other.release(KEY, a_claim(1, lease_until_milliseconds=NOW + 1))
    assert await other.claim(KEY, a_claim(2), now_milliseconds=NOW) == a_claim(1)
    await one.release(KEY, a_claim(1))
    await one.release(KEY, a_claim(1))
    assert await other.claim(KEY, a_claim(2), now_milliseconds=NOW) is None


async def test_of_two_who_replace_what_they_saw_one_does(stores: Stores) -> None:
    await stores[0].claim(KEY, a_claim(1), now_milliseconds=NOW)
    anew = [a_claim(2), a_claim(3)]
    done = await asyncio.gather(
        *(store.replace(KEY, a_claim(1), claim) for store, claim in zip(stores, anew, strict=True))
    )
    assert sorted(done) == [False, True]
    kept = await stores[0].claim(KEY, a_claim(4), now_milliseconds=NOW)
    assert kept == anew[done.index(True)]


async def test_a_lease_can_be_taken_over_for_the_same_interaction(stores: Stores) -> None:
    await stores[0].claim(KEY, a_claim(1), now_milliseconds=NOW)
    longer = a_claim(1, lease_until_milliseconds=NOW + 140_000)
    assert await stores[1].replace(KEY, a_claim(1), longer)
    assert not await stores[0].replace(KEY, a_claim(1), longer)
    assert await stores[0].claim(KEY, a_claim(2), now_milliseconds=NOW) == longer


async def test_nothing_is_replaced_where_nothing_is(stores: Stores) -> None:
    assert not await stores[0].replace(KEY, a_claim(1), a_claim(2))
    await stores[0].release(KEY, a_claim(1))
    assert await stores[0].claim(KEY, a_claim(3), now_milliseconds=NOW) is None


async def test_an_expired_key_is_free(stores: Stores) -> None:
    one, other = stores
    await one.claim(KEY, a_claim(1), now_milliseconds=NOW)
    expiry = a_claim(1).expires_milliseconds
    assert await other.claim(KEY, a_claim(2), now_milliseconds=expiry - 1) == a_claim(1)
    later = a_claim(2, expires_milliseconds=expiry + 86_400_000)
    assert await other.claim(KEY, later, now_milliseconds=expiry) is None
    assert await one.claim(KEY, a_claim(3), now_milliseconds=expiry) == later


async def test_what_was_erased_is_forgotten_and_nothing_else(stores: Stores) -> None:
    store, other = stores
    keys = [replace(KEY, key=f"k{number}") for number in range(3)]
    for number, key in enumerate(keys):
        await store.claim(key, a_claim(number), now_milliseconds=NOW)
    bobs = replace(KEY, user_id="bob")
    await store.claim(bobs, a_claim(1), now_milliseconds=NOW)

    await other.forget_interaction("ana", an_id(1))
    assert await store.claim(keys[1], a_claim(9), now_milliseconds=NOW) is None
    assert await store.claim(keys[0], a_claim(9), now_milliseconds=NOW) == a_claim(0)
    assert await store.claim(bobs, a_claim(9), now_milliseconds=NOW) == a_claim(1)

    await other.forget_user("ana", an_id(9))
    for key in keys:
        assert await store.claim(key, a_claim(7), now_milliseconds=NOW) is None
    assert await store.claim(bobs, a_claim(9), now_milliseconds=NOW) == a_claim(1)


@AT_ONCE
async def test_many_claims_of_one_user_are_all_forgotten(stores: Stores) -> None:
    store, _ = stores
    keys = [replace(KEY, key=f"k{number}") for number in range(120)]
    await asyncio.gather(
        *(
            store.claim(key, a_claim(number), now_milliseconds=NOW)
            for number, key in enumerate(keys)
        )
    )
    await store.forget_user("ana", an_id(119))
    assert await store.claim(keys[119], a_claim(1), now_milliseconds=NOW) is None
    assert await store.claim(keys[0], a_claim(1), now_milliseconds=NOW) is None


async def test_forgetting_where_nothing_was_ever_kept_is_no_error(stores: Stores) -> None:
    await stores[0].forget_user("nobody", an_id(1))
    await stores[0].forget_interaction("nobody", an_id(1))


@pytest.mark.seen("D5")
async def test_of_a_user_only_claims_up_to_the_millisecond_of_the_bound_are_forgotten(
    stores: Stores,
) -> None:
    store, other = stores
    keys = [replace(KEY, key=f"k{number}") for number in range(4)]
    for number, key in enumerate(keys):
        await store.claim(key, a_claim(number), now_milliseconds=NOW)
    same_millisecond = an_id(2)[:-12] + "f" * 12
    late = replace(a_claim(2), interaction_id=same_millisecond)
    await store.claim(replace(KEY, key="late"), late, now_milliseconds=NOW)
    await other.forget_user("ana", an_id(2))
    found = [await store.claim(key, a_claim(9), now_milliseconds=NOW) for key in keys]
    assert found == [None, None, None, a_claim(3)]
    assert await store.claim(replace(KEY, key="late"), a_claim(9), now_milliseconds=NOW) is None


@pytest.mark.seen("D12")
@pytest.mark.parametrize("opened", [sqlite, mongo, dynamodb])
async def test_a_store_that_closes_under_its_calls_is_unavailable_and_nothing_else(
    opened: Callable[[Path], AbstractAsyncContextManager[Stores]], tmp_path: Path
) -> None:
    async def ask(store: IdempotencyStore, number: int) -> None:
        key = replace(KEY, key=f"k{number}")
        await store.claim(key, a_claim(number), now_milliseconds=NOW)
        await store.replace(key, a_claim(number), a_claim(number))
        await store.release(key, a_claim(number))
        await store.forget_interaction("ana", an_id(number))
        await store.forget_user("ana", an_id(number))

    async with opened(tmp_path / "data") as stores:
        await ask(stores[0], 0)
        under_way = [asyncio.create_task(ask(store, n)) for n in range(5) for store in stores]
        await asyncio.sleep(0)
    for task in under_way:
        with suppress(IdempotencyUnavailable):
            await task
    for store in stores:
        for call in (
            store.claim(KEY, a_claim(1), now_milliseconds=NOW),
            store.replace(KEY, a_claim(1), a_claim(2)),
            store.release(KEY, a_claim(1)),
            store.forget_interaction("ana", an_id(1)),
            store.forget_user("ana", an_id(1)),
        ):
            with pytest.raises(IdempotencyUnavailable):
                await call
