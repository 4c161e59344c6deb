"""A page of conversations from SQLite looks through so many turns and no more."""

from pathlib import Path

import pytest

from domain.entities.conversation import ConversationQuery
from infra.clock import SystemClock
from infra.history.sqlite import conversations as sqlite_conversations
from infra.history.sqlite.store import open_sqlite
from tests.fakes.interactions import an_id, an_interaction


async def test_a_giant_conversation_ends_a_page_early_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_conversations, "SCANNED_TURNS", 5)
    async with open_sqlite(
        tmp_path, clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
    ) as history:
        names = ["old", *["giant"] * 11, "new"]
        await history.append_many(
            [an_interaction(n, conversation_id=name) for n, name in enumerate(names)]
        )
        pages = []
        after_id: str | None = None
        while after_id is not None or not pages:
            page = await history.conversations(
                ConversationQuery(user_id="ana", limit=2, after_id=after_id)
            )
            pages.append([one.id for one in page.conversations])
            after_id = page.next_id
    assert pages == [["new", "giant"], [], ["old"]]


async def test_a_page_that_ends_where_it_stops_looking_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_conversations, "SCANNED_TURNS", 2)
    async with open_sqlite(
        tmp_path, clock=SystemClock(), read_seconds=10.0, min_free_disk_bytes=0
    ) as history:
        await history.append_many([an_interaction(n, conversation_id=f"c{n}") for n in range(3)])
        page = await history.conversations(ConversationQuery(user_id="ana", limit=2))
        assert [one.id for one in page.conversations] == ["c2", "c1"]
        assert page.next_id == an_id(1)
