"""Files of the version before items: `tests/data/before_items`, written by that version, is read as it was meant."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from domain.entities.history_query import Order
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import FinishReason, Usage
from domain.entities.statistics import StatisticsQuery
from domain.entities.usage.report import UsageQuery
from domain.entities.words import words_of
from infra.clock import SystemClock
from infra.history.format.documents import interaction_in, record_of
from infra.history.sqlite.outbox.outbox import open_outbox
from infra.history.sqlite.store import SqliteHistory, open_sqlite
from infra.history.sqs.envelope import interaction_from, message_of
from infra.history.transfer.jsonl_format import line_of, read_line
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.fakes.interactions import a_tool_turn, an_id, an_interaction
from tests.unit.infra.history.transfer.test_jsonl_format import as_exported

FILES = Path(__file__).parents[3] / "data" / "before_items"
PATIENCE_SECONDS = 120.0
READ_SECONDS = 60.0

USAGE = Usage(
    input_tokens=12,
    output_tokens=40,
    reasoning_tokens=8,
    total_tokens=52,
    cached_input_tokens=4,
    cost_usd=0.25,
)
WRITTEN = [
    an_interaction(0),
    an_interaction(
        1,
        conversation_id="c|1",
        prompt=Prompt.from_text(
            "zwölf \0 😀?",
            system="Be short.",
            model="alias",
            temperature=0.5,
            max_output_tokens=100,
        ),
        text="",
        status=Status.FAILED,
        finish_reason=FinishReason.ERROR,
        error="provider_timeout",
        requested_model="asked",
        fallback_used=True,
        attempts=(
            Attempt(provider="q", model="asked", outcome="timeout", seconds=1.0),
            Attempt(
                provider="p",
                model="demo",
                outcome="timeout",
                seconds=0.5,
                http_status=504,
                usage=USAGE,
            ),
        ),
        usage=USAGE,
    ),
    an_interaction(
        2,
        conversation_id="c|1",
        prompt=Prompt(
            messages=(
                Message(role=Role.USER, text="a?"),
                Message(role=Role.ASSISTANT, text="b."),
                Message(role=Role.USER, text="c?"),
            ),
            top_p=0.75,
            stop=("END",),
            seed=-7,
        ),
        status=Status.TRUNCATED,
        finish_reason=FinishReason.LENGTH,
        time_to_first_token_seconds=0.5,
        usage=USAGE,
    ),
    an_interaction(
        3,
        status=Status.BLOCKED,
        text="",
        finish_reason=FinishReason.CONTENT_FILTER,
        error="content_blocked",
        provider=None,
    ),
    an_interaction(4, status=Status.CLIENT_CANCELLED, finish_reason=None, text="long " * 60),
]
BEGUN = an_interaction(8, status=Status.INTERRUPTED, text="", finish_reason=None)
ERASED_ID = an_id(9)
EVERYTHING = asking(order=Order.ASC, statuses=EVERY_STATUS)


def unpack(name: str, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(gzip.decompress((FILES / name).read_bytes()))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteHistory]:
    unpack("history.db.gz", tmp_path / "store" / "history.db")
    async with open_sqlite(
        tmp_path / "store", clock=SystemClock(), read_seconds=READ_SECONDS, min_free_disk_bytes=0
    ) as history:
        yield history


async def test_a_history_file_opens_and_takes_turns_of_tools(store: SqliteHistory) -> None:
    assert await walk(store, EVERYTHING) == WRITTEN
    assert await walk(store, asking(words=words_of("long"))) == [WRITTEN[4]]
    groups = await store.statistics(StatisticsQuery(user_id="ana"))
    assert sum(group.cached_input_tokens for group in groups) == 2 * USAGE.cached_input_tokens
    turn = a_tool_turn(20)
    await store.append_many([turn, an_interaction(9)])
    assert await walk(store, EVERYTHING) == [*WRITTEN, turn]
    assert await store.find("ana", ERASED_ID) is None


async def test_a_history_file_counts_in_the_usage_of_all_users(store: SqliteHistory) -> None:
    everything = UsageQuery(from_id=an_id(-1), to_id=an_id(1000))
    found = await store.usage(everything)
    assert {sums.credential for sums in found} == {None}
    for name in ("reasoning_tokens", "cached_input_tokens"):
        in_all = sum(getattr(one.usage, name) or 0 for one in WRITTEN)
        assert sum(getattr(sums.figures, name) for sums in found) == in_all > 0
    assert sum(sums.figures.interactions for sums in found) == len(WRITTEN)


async def test_an_outbox_file_is_delivered(tmp_path: Path) -> None:
    unpack("outbox.db.gz", tmp_path / "host" / "outbox" / "36026e8905f3b423.db")
    async with (
        open_sqlite(
            tmp_path / "store",
            clock=SystemClock(),
            read_seconds=READ_SECONDS,
            min_free_disk_bytes=0,
        ) as store,
        open_outbox(
            tmp_path / "host",
            store=store,
            clock=SystemClock(),
            read_seconds=READ_SECONDS,
            min_free_disk_bytes=0,
            reap_seconds=0.05,
        ) as outbox,
    ):
        turn = a_tool_turn(20)
        await outbox.append(turn)
        expected = [*WRITTEN, BEGUN, turn]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(await walk(store, EVERYTHING)) < len(expected):
                await asyncio.sleep(0.02)
        assert await walk(store, EVERYTHING) == expected


async def test_messages_of_a_queue_are_read_and_written_the_same() -> None:
    messages = json.loads((FILES / "queue.json").read_text())
    expected = [*WRITTEN, an_interaction(5, text="x" * 70_000)]
    assert [json.loads(message)["v"] for message in messages] == [1, 1, 1, 1, 1, 2]
    assert [await interaction_from(message) for message in messages] == expected
    assert [await message_of(interaction) for interaction in expected] == messages


def line_without_cached_tokens(line: bytes) -> bytes:
    """Return a line without the counts that earlier versions did not export."""
    return re.sub(rb',"cachedInputTokens":[0-9]+', b"", line)


def without_cached_tokens(interaction: Interaction) -> Interaction:
    """Return what earlier versions exported of an interaction."""

    def of(usage: Usage) -> Usage:
        return replace(usage, cached_input_tokens=None)

    attempts = [
        attempt if attempt.usage is None else replace(attempt, usage=of(attempt.usage))
        for attempt in interaction.attempts
    ]
    return replace(as_exported(interaction), usage=of(interaction.usage), attempts=tuple(attempts))


def test_an_exported_file_is_imported_and_exported_the_same() -> None:
    lines = (FILES / "export.jsonl").read_bytes().splitlines()
    for line, interaction in zip(lines, WRITTEN, strict=True):
        record, canonical = read_line(line)
        assert canonical == line_of(record) == line
        assert line_without_cached_tokens(line_of(record_of(interaction))) == line
        assert interaction_in(record) == without_cached_tokens(interaction)
