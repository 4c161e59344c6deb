"""While the store is known to be away, a turn does not wait for the record of its conversation."""

import pytest

from domain.exceptions import HistoryDamaged, HistoryUnreadable
from infra.history.sqlite.outbox.store_records import StoreRecords
from infra.history.sqlite.outbox.store_status import TRUSTED_SECONDS, StoreStatus
from tests.fakes.clock import FakeClock
from tests.fakes.conversation_records import InMemoryConversationRecords


async def test_a_store_that_is_away_is_asked_again_only_after_a_while() -> None:
    clock = FakeClock(sleeping_advances=False)
    store = InMemoryConversationRecords()
    status = StoreStatus(clock)
    records = StoreRecords(store, status)
    store.is_away = True
    with pytest.raises(HistoryUnreadable):
        await records.get("ana", "c")
    assert status.is_away()
    store.is_away = False
    with pytest.raises(HistoryUnreadable):  # not asked, although it would answer
        await records.get("ana", "c")
    clock.advance(TRUSTED_SECONDS)
    assert await records.get("ana", "c") is None
    assert not status.is_away()


async def test_a_store_that_returns_what_cannot_be_read_is_not_away() -> None:
    clock = FakeClock()
    status = StoreStatus(clock)
    status.note_failure()
    with pytest.raises(HistoryDamaged), status.observing():
        raise HistoryDamaged
    assert not status.is_away()
    assert status.away_since_milliseconds is None
    with pytest.raises(HistoryUnreadable), status.observing():
        raise HistoryUnreadable
    assert status.is_away()
