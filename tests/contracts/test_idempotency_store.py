"""What every store of claims keeps to."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from domain.entities.once import Claim, OnceKey
from tests.contracts.idempotency_stores import STORES, Stores

NOW = time.time_ns() // 1_000_000
KEY = OnceKey(principal="key:1", user_id="ana", route="/v1/chat", key="k")


def a_claim(number: int = 1, **changes: int) -> Claim:
    usual = {
        "lease_until_milliseconds": NOW + 70_000,
        "expires_milliseconds": NOW + 86_400_123,
    }
    return Claim(
        fingerprint=f"{number:064x}", interaction_id=f"interaction-{number}", **usual | changes
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
async def test_another_scope_is_another_key(stores: Stores, other: OnceKey) -> None:
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

    await other.forget_interaction("ana", "interaction-1")
    assert await store.claim(keys[1], a_claim(9), now_milliseconds=NOW) is None
    assert await store.claim(keys[0], a_claim(9), now_milliseconds=NOW) == a_claim(0)
    assert await store.claim(bobs, a_claim(9), now_milliseconds=NOW) == a_claim(1)

    await other.forget_user("ana")
    for key in keys:
        assert await store.claim(key, a_claim(7), now_milliseconds=NOW) is None
    assert await store.claim(bobs, a_claim(9), now_milliseconds=NOW) == a_claim(1)


async def test_many_claims_of_one_user_are_all_forgotten(stores: Stores) -> None:
    store, _ = stores
    keys = [replace(KEY, key=f"k{number}") for number in range(120)]
    await asyncio.gather(
        *(
            store.claim(key, a_claim(number), now_milliseconds=NOW)
            for number, key in enumerate(keys)
        )
    )
    await store.forget_user("ana")
    assert await store.claim(keys[119], a_claim(1), now_milliseconds=NOW) is None
    assert await store.claim(keys[0], a_claim(1), now_milliseconds=NOW) is None


async def test_forgetting_where_nothing_was_ever_kept_is_no_error(stores: Stores) -> None:
    await stores[0].forget_user("nobody")
    await stores[0].forget_interaction("nobody", "interaction-1")
