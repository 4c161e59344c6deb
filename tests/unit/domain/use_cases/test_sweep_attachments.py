"""Sweeps: only references of interactions that stay missing are removed."""

from domain.entities.interaction import Interaction
from domain.entities.statistics import DAY_MILLISECONDS
from domain.exceptions import HistoryDamaged
from domain.interfaces.attachments import StoredContent
from domain.use_cases.sweep_attachments import SweepAttachments, SweepResult
from infra.history.store.retention import Retention
from tests.fakes.attachments import InMemoryAttachments
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction

CONTENT = StoredContent(media_type="image/png", content=b"png")
HOUR_MILLISECONDS = 3_600_000
OLD = START_MILLISECONDS - HOUR_MILLISECONDS - 1000


async def test_references_of_missing_interactions_are_removed_and_others_stay() -> None:
    store, history, clock = InMemoryAttachments(), InMemoryHistory(), FakeClock()
    found = an_interaction(id=an_id(1, milliseconds=OLD))
    await history.append(found)
    missing, young = an_id(2, milliseconds=OLD), an_id(3, milliseconds=START_MILLISECONDS)
    for interaction_id in (found.id, missing, young):
        await store.put(found.user_id, "both", CONTENT, interaction_id=interaction_id)
    await store.put(found.user_id, "dangling", CONTENT, interaction_id=missing)
    sweep = SweepAttachments(store, history, clock)
    assert await sweep() == SweepResult(attachments=2, released=2)
    assert store.references_of == {(found.user_id, "both"): {found.id, young}}
    assert await sweep() == SweepResult(attachments=1, released=0)


async def test_an_old_interaction_that_is_stored_after_its_attachments_keeps_them() -> None:
    store, history = InMemoryAttachments(), InMemoryHistory()
    late = an_interaction(id=an_id(1, milliseconds=OLD))

    class Delivering(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await history.append(late)
            await super().sleep(seconds)

    clock = Delivering()
    await store.put(late.user_id, "one", CONTENT, interaction_id=late.id)
    assert (await SweepAttachments(store, history, clock)()).released == 0
    assert store.references_of == {(late.user_id, "one"): {late.id}}
    assert clock.slept == [60.0]


async def test_an_interaction_that_cannot_be_read_keeps_its_attachments_and_stops_no_sweep() -> (
    None
):
    damaged, missing = an_id(1, milliseconds=OLD), an_id(2, milliseconds=OLD)

    class Damaged(InMemoryHistory):
        async def find(self, user_id: str, interaction_id: str) -> Interaction | None:
            if interaction_id == damaged:
                raise HistoryDamaged("a document cannot be read")
            return await super().find(user_id, interaction_id)

    store = InMemoryAttachments()
    await store.put("ana", "first", CONTENT, interaction_id=damaged)
    await store.put("ana", "second", CONTENT, interaction_id=missing)
    sweep = SweepAttachments(store, Damaged(), FakeClock())
    assert await sweep() == SweepResult(attachments=2, released=1)
    assert store.references_of == {("ana", "first"): {damaged}}


async def test_references_of_expired_interactions_are_removed_whatever_their_grace() -> None:
    store, history, clock = InMemoryAttachments(), InMemoryHistory(), FakeClock()
    expired = an_interaction(id=an_id(1, milliseconds=START_MILLISECONDS - 8 * DAY_MILLISECONDS))
    kept = an_id(2, milliseconds=START_MILLISECONDS - 6 * DAY_MILLISECONDS)
    await history.append(expired)  # the store has not removed it yet
    for interaction_id in (expired.id, kept):
        await store.put(expired.user_id, "both", CONTENT, interaction_id=interaction_id)
    sweep = SweepAttachments(
        store,
        history,
        clock,
        grace_seconds=22 * 86_400.0,
        first_kept_id=Retention(days=7).first_kept_id,
    )
    assert await sweep() == SweepResult(attachments=1, released=1)
    assert store.references_of == {(expired.user_id, "both"): {kept}}
    assert clock.slept == []


async def test_without_anything_to_remove_a_sweep_does_not_wait() -> None:
    store, history, clock = InMemoryAttachments(), InMemoryHistory(), FakeClock()
    assert await SweepAttachments(store, history, clock)() == SweepResult(attachments=0, released=0)
    assert clock.slept == []
