"""A message leaves the queue once its interaction is stored, or as a dead letter if it cannot be."""

import pytest

from domain.exceptions import HistoryUnavailable
from domain.interfaces.interaction_queue import Delivery
from domain.use_cases.record_interaction import (
    BREAKS_STORE,
    FAILS_ALONE,
    MOST_RECEIVES,
    RecordInteraction,
)
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interaction_queue import InMemoryQueue, a_delivery
from tests.fakes.interactions import an_id, an_interaction
from tests.fakes.queue_observer import RecordingQueueObserver
from tests.fakes.unreliable_store import UnreliableStore


class Recording:
    """The use case over a queue that holds some deliveries, and a store that can fail."""

    def __init__(self, *deliveries: Delivery) -> None:
        self.deliveries = deliveries
        self.queue = InMemoryQueue(*deliveries)
        self.history = InMemoryHistory()
        self.store = UnreliableStore(self.history)  # type: ignore[arg-type]
        self.clock = FakeClock()
        self.observer = RecordingQueueObserver()
        self.record = RecordInteraction(self.queue, self.store, self.clock, self.observer)

    async def run(self) -> None:
        await self.record(self.deliveries)

    @property
    def stored(self) -> list[str]:
        return sorted(self.history.kept)


def deliveries(count: int, **changes: int) -> list[Delivery]:
    return [a_delivery(an_interaction(number), **changes) for number in range(count)]


async def test_messages_are_stored_and_then_removed() -> None:
    recording = Recording(*deliveries(3))
    await recording.run()
    assert recording.stored == [an_id(0), an_id(1), an_id(2)]
    assert (recording.queue.messages, recording.queue.dead_letters) == ({}, {})


async def test_a_second_delivery_changes_nothing() -> None:
    recording = Recording(*deliveries(1))
    await recording.run()
    await recording.run()
    assert recording.stored == [an_id(0)]
    assert (recording.queue.messages, recording.queue.dead_letters) == ({}, {})


async def test_the_lag_is_the_time_since_a_message_was_sent_and_never_negative() -> None:
    recording = Recording(
        a_delivery(an_interaction(0), sent_milliseconds=START_MILLISECONDS - 1500),
        a_delivery(an_interaction(1), sent_milliseconds=START_MILLISECONDS + 1500),
    )
    await recording.run()
    assert recording.observer.lags_seconds == [1.5, 0.0]


async def test_an_invalid_message_is_a_dead_letter_and_the_others_are_stored() -> None:
    recording = Recording(a_delivery(None, problem="not JSON"), *deliveries(2))
    await recording.run()
    assert recording.stored == [an_id(0), an_id(1)]
    assert recording.queue.dead_letters == {"invalid": "not JSON"}
    assert recording.observer.buried == {"not JSON": 1}
    assert recording.queue.messages == {}


@pytest.mark.parametrize("rejected", [{0}, {6}, {2, 3}, {0, 1, 2, 3, 4, 5, 6}])
async def test_exactly_the_messages_that_the_store_rejects_are_dead_letters(
    rejected: set[int],
) -> None:
    recording = Recording(*deliveries(7))
    recording.store.refused = {an_id(number) for number in rejected}
    await recording.run()
    assert set(recording.queue.dead_letters) == recording.store.refused
    assert recording.stored == [an_id(number) for number in range(7) if number not in rejected]
    assert recording.queue.messages == {}


async def test_while_the_store_is_away_all_messages_stay_in_the_queue() -> None:
    recording = Recording(*deliveries(3, receives=MOST_RECEIVES))
    recording.store.is_away = True
    with pytest.raises(HistoryUnavailable):
        await recording.run()
    assert len(recording.queue.messages) == 3
    assert recording.queue.dead_letters == {}
    recording.store.is_away = False
    await recording.run()
    assert recording.queue.messages == {}


@pytest.mark.parametrize("receives", [1, MOST_RECEIVES - 1, MOST_RECEIVES])
async def test_a_message_that_breaks_the_store_is_a_dead_letter_at_the_fifth_delivery(
    receives: int,
) -> None:
    recording = Recording(*deliveries(3, receives=receives))
    recording.store.breaking = {an_id(1)}
    await recording.run()
    assert recording.stored == [an_id(0), an_id(2)]
    is_last = receives == MOST_RECEIVES
    assert recording.queue.dead_letters == ({an_id(1): BREAKS_STORE} if is_last else {})
    assert set(recording.queue.messages) == (set() if is_last else {an_id(1)})


async def test_a_store_that_fails_for_every_message_is_taken_for_unavailable() -> None:
    recording = Recording(*deliveries(3, receives=MOST_RECEIVES))
    recording.store.error = RuntimeError("a bug of the driver")
    with pytest.raises(HistoryUnavailable):
        await recording.run()
    assert len(recording.queue.messages) == 3
    assert recording.queue.dead_letters == {}


@pytest.mark.parametrize("receives", [1, MOST_RECEIVES])
async def test_message_by_message_one_that_fails_does_not_keep_the_others(receives: int) -> None:
    recording = Recording(*deliveries(3, receives=receives))
    recording.store.failing = {an_id(1)}
    await recording.record.each(recording.deliveries)
    assert recording.stored == [an_id(0), an_id(2)]
    is_last = receives == MOST_RECEIVES
    assert recording.queue.dead_letters == ({an_id(1): FAILS_ALONE} if is_last else {})
    assert set(recording.queue.messages) == (set() if is_last else {an_id(1)})


async def test_message_by_message_an_invalid_one_is_a_dead_letter() -> None:
    recording = Recording(a_delivery(None, problem="not JSON"), *deliveries(1))
    await recording.record.each(recording.deliveries)
    assert recording.stored == [an_id(0)]
    assert recording.queue.dead_letters == {"invalid": "not JSON"}
