"""Listing conversations out of turns: how much is read, and what a page holds."""

from collections.abc import Collection, Mapping, Sequence

import pytest

from domain.entities.conversation import ConversationQuery
from infra.history.queries import conversation_pages as conversation_walk
from infra.history.queries.conversation_pages import ConversationSpan, TurnReader, Turns, walk


class Remembered(TurnReader):
    """Turns by id; the newest is the last. Counts what is read."""

    def __init__(self, *conversation_ids: str) -> None:
        self.all = {f"{n:04d}": name for n, name in enumerate(conversation_ids)}
        self.read = 0
        self.gone: set[str] = set()

    async def turns(self, after_id: str | None, at_most: int) -> Turns:
        older = [
            one for one in sorted(self.all, reverse=True) if after_id is None or one < after_id
        ]
        found = older[:at_most]
        self.read += len(found)
        return Turns(
            conversation_ids=[self.all[one] for one in found],
            next_id=found[-1] if len(older) > at_most else None,
        )

    async def spans(self, conversation_ids: Collection[str]) -> Sequence[ConversationSpan]:
        spans = []
        for name in set(conversation_ids) - self.gone:
            ids = sorted(one for one, of in self.all.items() if of == name)
            spans.append(
                ConversationSpan(
                    conversation_id=name, turns=len(ids), first_id=ids[0], last_id=ids[-1]
                )
            )
        return spans

    async def openings(self, interaction_ids: Collection[str]) -> Mapping[str, str]:
        return {one: f"opening {one}" for one in interaction_ids if one not in self.gone}


async def page(reader: Remembered, limit: int, after_id: str | None = None) -> list[object]:
    found = await walk(ConversationQuery(user_id="ana", limit=limit, after_id=after_id), reader)
    return [*(one.id for one in found.conversations), found.next_id]


async def test_only_what_a_page_needs_is_read() -> None:
    reader = Remembered(*(f"c{n}" for n in range(1000)))
    assert await page(reader, 2) == ["c999", "c998", "0998"]
    assert reader.read == 12
    assert await page(reader, 2, "0998") == ["c997", "c996", "0996"]


async def test_more_is_read_at_a_time_while_a_long_conversation_fills_what_is() -> None:
    reader = Remembered("old", *["long"] * 100)
    assert await page(reader, 1) == ["long", "0100"]
    assert reader.read == 8 + 32 + 61


async def test_a_page_ends_early_in_a_giant_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_walk, "SCANNED_TURNS", 8)
    reader = Remembered("old", *["giant"] * 20)
    assert await page(reader, 1) == ["giant", "0013"]
    assert await page(reader, 1, "0013") == ["0005"]
    assert await page(reader, 1, "0005") == ["old", None]


async def test_one_that_was_active_later_was_listed_before() -> None:
    reader = Remembered("a", "b", "a", "c")
    assert await page(reader, 1) == ["c", "0003"]
    assert await page(reader, 1, "0003") == ["a", "0002"]
    assert await page(reader, 1, "0002") == ["b", None]


async def test_what_goes_while_it_is_read_is_left_out() -> None:
    reader = Remembered("a", "b")
    reader.gone = {"b"}
    assert await page(reader, 5) == ["a", None]
    reader.gone = {"0000"}
    found = await walk(ConversationQuery(user_id="ana"), reader)
    assert [one.opening for one in found.conversations] == ["opening 0001", ""]
