"""Erasing removes interactions together with their idempotency records."""

import pytest

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord
from domain.exceptions import HistoryUnreadable
from domain.use_cases.erase_history import EraseHistory
from tests.fakes.claims import InMemoryIdempotencyStore
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

UNTIL = 5
"""Number of the id that bounds `EraseHistory.all`."""


def a_key(number: int, user_id: str = "ana") -> IdempotencyKey:
    return IdempotencyKey(principal="p", user_id=user_id, route="/v1/chat", key=f"key {number}")


def a_record(number: int) -> IdempotencyRecord:
    return IdempotencyRecord(
        fingerprint="f",
        interaction_id=an_id(number),
        lease_until_milliseconds=1,
        expires_milliseconds=2**60,
    )


async def add_keyed(
    history: InMemoryHistory, records: InMemoryIdempotencyStore, number: int, user_id: str = "ana"
) -> None:
    """Store an interaction and its idempotency record."""
    await history.append(an_interaction(number, user_id=user_id))
    await records.claim(a_key(number, user_id), a_record(number), now_milliseconds=0)


def record_ids(records: InMemoryIdempotencyStore) -> set[str]:
    return {record.interaction_id for _, record in records.kept.values()}


def erasing(history: InMemoryHistory, records: InMemoryIdempotencyStore) -> EraseHistory:
    return EraseHistory(history=history, idempotency_store=records, new_id=lambda: an_id(UNTIL))


async def test_one_interaction_is_erased_with_its_record_and_no_other() -> None:
    history, records = InMemoryHistory(), InMemoryIdempotencyStore()
    for number in (1, 2):
        await add_keyed(history, records, number)
    await erasing(history, records).one("ana", an_id(1))
    assert set(history.kept) == {an_id(2)}
    assert record_ids(records) == {an_id(2)}


async def test_erasing_one_interaction_twice_changes_nothing_more() -> None:
    history, records = InMemoryHistory(), InMemoryIdempotencyStore()
    await add_keyed(history, records, 1)
    await erasing(history, records).one("ana", an_id(1))
    await erasing(history, records).one("ana", an_id(1))
    assert (history.kept, records.kept) == ({}, {})


async def test_an_interaction_of_another_user_is_not_erased() -> None:
    history, records = InMemoryHistory(), InMemoryIdempotencyStore()
    await add_keyed(history, records, 1, "bob")
    await erasing(history, records).one("ana", an_id(1))
    assert set(history.kept) == {an_id(1)}
    assert record_ids(records) == {an_id(1)}


async def test_without_the_records_an_interaction_is_not_erased() -> None:
    history, records = InMemoryHistory(), InMemoryIdempotencyStore()
    await add_keyed(history, records, 1)
    records.is_away = True
    with pytest.raises(HistoryUnreadable):
        await erasing(history, records).one("ana", an_id(1))
    with pytest.raises(HistoryUnreadable):
        await erasing(history, records).all("ana")
    assert set(history.kept) == {an_id(1)}


async def test_a_record_does_not_outlive_an_erasure_that_stopped_half_way() -> None:
    history, records = InMemoryHistory(), InMemoryIdempotencyStore()
    await add_keyed(history, records, 1)
    history.is_unreadable = True
    with pytest.raises(HistoryUnreadable):
        await erasing(history, records).one("ana", an_id(1))
    assert records.kept == {}
    history.is_unreadable = False
    await erasing(history, records).one("ana", an_id(1))
    assert history.kept == {}


async def test_all_interactions_up_to_now_are_erased_and_counted() -> None:
    history, records = InMemoryHistory(), InMemoryIdempotencyStore()
    for number in range(UNTIL + 3):
        await add_keyed(history, records, number)
    assert await erasing(history, records).all("ana") == UNTIL + 1
    later = {an_id(UNTIL + 1), an_id(UNTIL + 2)}
    assert set(history.kept) == later
    assert record_ids(records) == later


async def test_all_of_one_user_leaves_those_of_others() -> None:
    history, records = InMemoryHistory(), InMemoryIdempotencyStore()
    await add_keyed(history, records, 1)
    await add_keyed(history, records, 2, "bob")
    assert await erasing(history, records).all("ana") == 1
    assert set(history.kept) == {an_id(2)}
    assert record_ids(records) == {an_id(2)}


async def test_erasing_all_twice_erases_nothing_the_second_time() -> None:
    history, records = InMemoryHistory(), InMemoryIdempotencyStore()
    await add_keyed(history, records, 1)
    assert await erasing(history, records).all("ana") == 1
    assert await erasing(history, records).all("ana") == 0


async def test_a_record_that_an_older_chat_writes_meanwhile_is_erased_too() -> None:
    class ClaimedMeanwhile(InMemoryHistory):
        """A chat that began before the bound claims its key while the interactions are erased."""

        async def erase_all(self, user_id: str, until_id: str) -> int:
            await records.claim(a_key(1), a_record(1), now_milliseconds=0)
            return await super().erase_all(user_id, until_id)

    records = InMemoryIdempotencyStore()
    await erasing(ClaimedMeanwhile(), records).all("ana")
    assert records.kept == {}
