"""Attachments go to the store before their interaction, and leave this host after it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from domain.entities.interaction import Interaction
from domain.entities.items import Attachment
from domain.exceptions import AttachmentsUnavailable, HistoryUnreadable
from domain.interfaces.attachments import StoredContent
from infra.attachments.outbox import LATE_SECONDS, AttachmentsFirst
from infra.history.sqlite.outbox.relay import Sink
from tests.fakes.attachments import InMemoryAttachments
from tests.fakes.clock import START_MILLISECONDS, FakeClock
from tests.fakes.interactions import an_id, an_interaction

CONTENT = StoredContent(media_type="image/png", content=b"png")
IMAGE = Attachment(id="a" * 43, media_type="image/png", size_bytes=3)


class Rows(Sink):
    """Notes which references the store has when interactions arrive; a sweep may come in between."""

    def __init__(self, remote: InMemoryAttachments, *, is_swept: bool = False) -> None:
        self._remote = remote
        self._is_swept = is_swept
        self.seen: list[set[str]] = []

    async def append_many(self, interactions: Sequence[Interaction]) -> None:
        for one in interactions:
            self.seen.append(set(self._remote.references_of.get((one.user_id, IMAGE.id or ""), ())))
            if self._is_swept:
                await self._remote.release(one.user_id, one.id, one.content_ids)


class Unremovable(InMemoryAttachments):
    async def release(
        self, user_id: str, interaction_id: str, attachment_ids: Sequence[str]
    ) -> None:
        raise HistoryUnreadable("the disk")


def with_image(milliseconds: int = START_MILLISECONDS) -> Interaction:
    interaction = an_interaction(id=an_id(1, milliseconds=milliseconds))
    message = replace(interaction.prompt.new_message, items=(IMAGE,))
    return replace(interaction, prompt=replace(interaction.prompt, messages=(message,)))


async def accepted(local: InMemoryAttachments, interaction: Interaction) -> None:
    await local.put(interaction.user_id, IMAGE.id or "", CONTENT, interaction_id=interaction.id)


async def test_a_reference_is_there_before_the_interaction_and_gone_from_the_host_after_it() -> (
    None
):
    local, remote, interaction = InMemoryAttachments(), InMemoryAttachments(), with_image()
    await accepted(local, interaction)
    rows = Rows(remote)
    await AttachmentsFirst(rows, local, remote, FakeClock()).append_many([interaction])
    assert rows.seen == [{interaction.id}]
    assert local.kept == {}
    assert remote.kept == {(interaction.user_id, IMAGE.id): CONTENT}


async def test_while_the_store_of_attachments_is_away_no_interaction_is_delivered() -> None:
    local, remote, interaction = InMemoryAttachments(), InMemoryAttachments(), with_image()
    await accepted(local, interaction)
    remote.is_away = True
    rows = Rows(remote)
    with pytest.raises(AttachmentsUnavailable):
        await AttachmentsFirst(rows, local, remote, FakeClock()).append_many([interaction])
    assert rows.seen == []
    assert local.kept


async def test_what_a_sweep_takes_during_a_late_delivery_is_put_back() -> None:
    late = with_image(START_MILLISECONDS - (LATE_SECONDS + 1) * 1000)
    local, remote = InMemoryAttachments(), InMemoryAttachments()
    await accepted(local, late)
    rows = Rows(remote, is_swept=True)
    await AttachmentsFirst(rows, local, remote, FakeClock()).append_many([late])
    assert remote.references_of == {(late.user_id, IMAGE.id): {late.id}}
    assert local.kept == {}


async def test_what_cannot_be_removed_from_the_host_is_delivered_again() -> None:
    local, remote, interaction = Unremovable(), InMemoryAttachments(), with_image()
    await accepted(local, interaction)
    with pytest.raises(AttachmentsUnavailable):
        await AttachmentsFirst(Rows(remote), local, remote, FakeClock()).append_many([interaction])
