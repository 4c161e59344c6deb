"""Sweeps: only references of interactions that stay missing are removed."""

from domain.interfaces.attachments import StoredContent
from domain.use_cases.sweep_attachments import SweepAttachments, SweepResult
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


async def test_without_anything_to_remove_a_sweep_does_not_wait() -> None:
    store, history, clock = InMemoryAttachments(), InMemoryHistory(), FakeClock()
    assert await SweepAttachments(store, history, clock)() == SweepResult(attachments=0, released=0)
    assert clock.slept == []
