"""Dead letters return to the queue, except those that were erased, are invalid or arrived during the run."""

from collections.abc import Sequence

import pytest

from domain.exceptions import HistoryUnreadable
from domain.interfaces.interaction_queue import Delivery
from domain.interfaces.tombstones import Tombstones
from domain.use_cases.redrive_dead_letters import RedriveDeadLetters, RedriveResult
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.fakes.interaction_queue import InMemoryDeadLetters, a_delivery
from tests.fakes.interactions import an_id, an_interaction

EARLIER = START_MILLISECONDS - 1


class ErasedIds(Tombstones):
    """Tombstones of given interactions; `is_unreadable` makes reads fail."""

    def __init__(self, *erased: tuple[str, str]) -> None:
        self.erased = erased
        self.is_unreadable = False

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        if self.is_unreadable:
            raise HistoryUnreadable
        return frozenset(one for one in interaction_ids if (user_id, one) in self.erased)


def a_letter(number: int, *, user_id: str = "ana", sent_milliseconds: int = EARLIER) -> Delivery:
    interaction = an_interaction(number, user_id=user_id)
    return a_delivery(
        interaction,
        message_id=f"{user_id} {number}",
        sent_milliseconds=sent_milliseconds,
    )


def an_invalid_letter() -> Delivery:
    return a_delivery(None, problem="not JSON", sent_milliseconds=EARLIER)


async def redriven(
    letters: InMemoryDeadLetters,
    tombstones: ErasedIds | None = None,
    *,
    is_dry_run: bool = False,
    progress: list[tuple[int, int]] | None = None,
) -> RedriveResult:
    redrive = RedriveDeadLetters(letters, tombstones or ErasedIds(), FakeClock())
    reports = [] if progress is None else progress
    return await redrive(
        is_dry_run=is_dry_run, progress=lambda done, total: reports.append((done, total))
    )


async def test_all_dead_letters_are_sent_back() -> None:
    letters = InMemoryDeadLetters(*(a_letter(number) for number in range(5)))
    assert await redriven(letters) == RedriveResult(sent_back=5)
    assert letters.sent_back == [f"ana {number}" for number in range(5)]
    assert await letters.count() == 0


async def test_a_second_run_finds_nothing() -> None:
    letters = InMemoryDeadLetters(a_letter(1))
    await redriven(letters)
    assert await redriven(letters) == RedriveResult()


async def test_what_was_erased_by_its_user_is_deleted_and_not_sent_back() -> None:
    letters = InMemoryDeadLetters(a_letter(1), a_letter(1, user_id="bob"), a_letter(2))
    result = await redriven(letters, ErasedIds(("ana", an_id(1))))
    assert result == RedriveResult(sent_back=2, erased=1)
    assert letters.sent_back == ["bob 1", "ana 2"]
    assert await letters.count() == 0


async def test_an_invalid_message_stays_and_can_be_taken_again() -> None:
    letters = InMemoryDeadLetters(an_invalid_letter(), a_letter(1))
    assert await redriven(letters) == RedriveResult(sent_back=1, unreadable=1)
    assert set(letters.waiting) == {"invalid"}
    assert letters.held == {}


@pytest.mark.parametrize("milliseconds", [START_MILLISECONDS, START_MILLISECONDS + 1])
async def test_what_became_a_dead_letter_during_the_run_stays(milliseconds: int) -> None:
    letters = InMemoryDeadLetters(a_letter(1, sent_milliseconds=milliseconds))
    assert await redriven(letters) == RedriveResult()
    assert set(letters.waiting) == {"ana 1"}


async def test_a_message_that_returns_at_once_is_not_sent_back_again() -> None:
    class Returning(InMemoryDeadLetters):
        """The store still rejects the message, so the worker returns it immediately."""

        async def send_back(self, deliveries: Sequence[Delivery]) -> None:
            await super().send_back(deliveries)
            self.waiting.update((delivery.message_id, delivery) for delivery in deliveries)

    letters = Returning(a_letter(1))
    assert await redriven(letters) == RedriveResult(sent_back=1)
    assert letters.sent_back == ["ana 1"]


async def test_a_dry_run_counts_and_leaves_everything() -> None:
    letters = InMemoryDeadLetters(a_letter(1), a_letter(2), a_letter(3), an_invalid_letter())
    result = await redriven(letters, ErasedIds(("ana", an_id(1))), is_dry_run=True)
    assert result == RedriveResult(sent_back=2, erased=1, unreadable=1)
    assert letters.sent_back == []
    assert set(letters.waiting) == {"ana 1", "ana 2", "ana 3", "invalid"}


async def test_without_tombstones_nothing_is_sent_back_and_all_can_be_taken_again() -> None:
    letters, tombstones = InMemoryDeadLetters(a_letter(1)), ErasedIds()
    tombstones.is_unreadable = True
    with pytest.raises(HistoryUnreadable):
        await redriven(letters, tombstones)
    assert (letters.sent_back, set(letters.waiting)) == ([], {"ana 1"})


async def test_progress_is_reported_after_each_batch() -> None:
    progress: list[tuple[int, int]] = []
    await redriven(InMemoryDeadLetters(*map(a_letter, range(5))), progress=progress)
    assert progress == [(2, 5), (4, 5), (5, 5)]
