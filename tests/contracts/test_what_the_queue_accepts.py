"""Whatever the check of the queue lets pass, every store keeps and gives back; whatever it refuses is a dead letter."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.worker import Worker
from domain.entities.history_query import Order
from domain.entities.interaction import Interaction, Status
from domain.interfaces.history import HistoryRepository
from domain.use_cases.record_interaction import RecordInteraction
from infra.clock import SystemClock
from infra.history.format.documents import document_of
from infra.history.sqlite.outbox.outbox import open_outbox
from infra.history.sqs.envelope import UnreadableMessage, interaction_from
from infra.storage.aws.access import AwsAccess
from tests.contracts.dynamodb_tables import open_table
from tests.contracts.history_stores import READ_SECONDS, mongo, sqlite
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.contracts.sqs_queues import open_queue_harness
from tests.fakes.interactions import an_id, an_interaction, any_interactions
from tests.fakes.queue_observer import RecordingQueueObserver
from tests.fakes.strict_dynamodb import strict
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack

PATIENCE_SECONDS = 120.0
YEAR_10000_MILLISECONDS = 253_402_300_800_000


@asynccontextmanager
async def strict_dynamodb(_folder: Path) -> AsyncIterator[HistoryRepository]:
    """DynamoDB with its own ideas of numbers and keys."""
    stack = deploy_data_stack(shared_emulator())
    async with strict(stack.emulator.url) as proxy:
        access = AwsAccess(endpoint_url=proxy.url, is_emulator=True)
        async with open_table(access, stack.table, read_seconds=READ_SECONDS) as history:
            yield history


def behind_outbox(
    store: Callable[[Path], AbstractAsyncContextManager[Any]],
) -> Callable[[Path], AbstractAsyncContextManager[HistoryRepository]]:
    """Return what opens an outbox before a store."""

    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[HistoryRepository]:
        async with (
            store(folder / "store") as behind,
            open_outbox(
                folder / "host",
                store=behind,
                clock=SystemClock(),
                read_seconds=READ_SECONDS,
                min_free_disk_bytes=0,
            ) as history,
        ):
            yield history

    return opened


STORES = {"sqlite": sqlite, "mongodb": mongo, "dynamodb": strict_dynamodb}
WAYS = STORES | {
    "outbox before mongodb": behind_outbox(mongo),
    "outbox before dynamodb": behind_outbox(strict_dynamodb),
}

_numbers = (
    st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -0.0, 5e-324, 1e-200, 1e200, 1e306, 1.7e308, 2**31, 2**63, 2**64, 1e9])
)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", "\0", "a\0b", "#", "€" * 600, "m" * 512, "\U0010ffff" * 300, "$where", "a.b"]
)
_anything = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_FIELDS = (
    *("v", "userId", "model", "status", "seconds", "answered", "conversationId", "requested"),
    *("provider", "text", "finish", "fallback", "firstSeconds", "error", "usage", "attempts"),
    *("prompt", "messages", "system", "asked", "temperature", "maxOutputTokens", "topP", "stop"),
    *("seed", "items", "inputItems", "options", "previousId", "metadata", "of a newer version"),
)
_ITEM = ("type", "length", "text", "arguments", "output", "isJson", "metadata", "newer")
_USAGE = ("input", "output", "reasoning", "total", "cachedInput", "cacheWrite", "costUsd")


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Return an interaction's document with some of its fields changed to anything at all."""
    document = document_of(draw(any_interactions))
    for name in draw(st.lists(st.sampled_from(_FIELDS), max_size=3, unique=True)):
        document[name] = draw(_anything)
    for name in draw(st.lists(st.sampled_from(_USAGE), max_size=2, unique=True)):
        document["usage"] = {"input": 1, name: draw(_numbers | _anything)}
    if draw(st.booleans()):
        document["seconds"] = draw(_numbers)
    for name in draw(st.lists(st.sampled_from(["items", "inputItems"]), max_size=1)):
        found = document.get(name)
        for item in found if isinstance(found, list) else []:
            for changed in item if isinstance(item, list) else [item]:
                if isinstance(changed, dict):
                    changed[draw(st.sampled_from(_ITEM))] = draw(_numbers | _anything)
    return document


@cache
def made_up(count: int) -> list[dict[str, Any]]:
    """Return so many documents, each with an id of its own; the same ones for every store."""
    found: list[dict[str, Any]] = []

    @settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(documents())
    def remember(document: dict[str, Any]) -> None:
        found.append(document | {"id": an_id(len(found))})

    remember()
    return found


async def accepted_of(documents: list[dict[str, Any]]) -> list[Interaction]:
    """Return what the check lets pass, as it is read."""
    accepted = []
    for document in documents:
        try:
            accepted.append(await interaction_from(enveloped(document)))
        except UnreadableMessage:
            continue
    return accepted


def enveloped(document: dict[str, Any]) -> str:
    return json.dumps({"v": 1, "id": "", "interaction": document})


def of_ana(interactions: list[Interaction]) -> list[Interaction]:
    return [one for one in interactions if one.user_id == "ana"]


@pytest.mark.slow
@pytest.mark.seen("D2")
@pytest.mark.parametrize("way", WAYS)
async def test_every_store_keeps_and_gives_back_whatever_the_check_of_the_queue_accepts(
    way: str, tmp_path: Path
) -> None:
    accepted = await accepted_of(await asyncio.to_thread(made_up, 400))
    assert 60 < len(accepted) < 380, "some pass and some do not"
    async with WAYS[way](tmp_path) as history:
        for start in range(0, len(accepted), 50):
            await history.append_many(accepted[start : start + 50])
        for one in accepted:
            assert await history.find(one.user_id, one.id) == one
        assert await walk(history, asking(order=Order.ASC, statuses=EVERY_STATUS)) == of_ana(
            accepted
        )


def poison(number: int) -> dict[str, Any]:
    """Return one of the documents that no store can keep, or no reader can show."""
    good = document_of(an_interaction(number))
    long_after = an_id(number, milliseconds=YEAR_10000_MILLISECONDS)
    kinds: list[dict[str, Any]] = [
        {"seconds": 1e306},
        {"seconds": -1.0},
        {"seconds": True},
        {"id": long_after},
        {"usage": {"costUsd": 1e200}},
        {"usage": {"input": 2**200}},
        {"usage": {"output": -1}},
        {"seed": 2**63},
        {"maxOutputTokens": 2**63},
        {"temperature": 1e300},
        {"fallback": {"deep": [[[]]]}},
        {"model": "m\0n"},
        {"conversationId": "€" * 512},
        {"conversationId": None},
        {"attempts": [{"provider": "p", "model": "m", "outcome": "ok", "seconds": 1e306}]},
        {"messages": [["user", "a"], ["nobody", "b"]], "prompt": None},
        {"status": ["completed"]},
        {"finish": {}},
        {"userId": "a b"},
        {"text": 7},
        {"items": [{"type": "text", "length": 1}]},
        {"inputItems": [[{"type": "tool_result", "callId": "", "output": "{", "isJson": True}]]},
        {"options": {"reasoningEffort": "of a newer version"}},
        {"finish": "tool_calls"},
    ]
    return good | kinds[number % len(kinds)]


RAW_POISON = (
    '{"v":1,"interaction":{"seconds":NaN}}',
    '{"v":1,"interaction":{"text":"\\ud800"}}',
    '{"v":1,"interaction":' + "[" * 2000 + "]" * 2000 + "}",
    '{"v":1,"interaction":{"seconds":1e400}}',
    "[]",
)


@pytest.mark.slow
@pytest.mark.seen("D1")
@pytest.mark.seen("D2")
@pytest.mark.seen("D3")
@pytest.mark.parametrize("store", STORES)
async def test_of_poison_in_the_queue_every_message_is_buried_with_its_reason_and_all_others_are_stored(
    store: str, tmp_path: Path
) -> None:
    count = 60
    good = [an_interaction(number) for number in range(1000, 1000 + count)]
    wild = await asyncio.to_thread(made_up, 60)
    bad = [enveloped(poison(number)) for number in range(500, 540)] + list(RAW_POISON)
    expected = [*good, *await accepted_of(wild)]
    buried_count = len(bad) + len(wild) - (len(expected) - count)
    bodies: list[str] = [enveloped(document_of(one)) for one in good]
    mixed = [*bodies, *(enveloped(one) for one in wild), *bad]
    mixed = mixed[::3] + mixed[1::3] + mixed[2::3]
    async with open_queue_harness(shared_emulator()) as harness, STORES[store](tmp_path) as history:
        observer = RecordingQueueObserver()
        clock = SystemClock()
        worker = Worker(
            RecordInteraction(harness.queue, history, clock, observer), harness.queue, clock
        )
        running = asyncio.create_task(worker.run())
        try:
            await harness.send(*mixed)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await harness.depths())[0]:
                    assert not running.done(), "the worker goes on"
                    await asyncio.sleep(0.1)
        finally:
            worker.stop()
            await running

        for one in expected:
            assert await history.find(one.user_id, one.id) == one
        assert await harness.depths() == (0, buried_count)
        buried = await harness.received(harness.names.dead_letter_url, buried_count)
        reasons = [one["MessageAttributes"]["reason"]["StringValue"] for one in buried]
        assert len(reasons) == buried_count
        assert set(reasons) <= {
            "not JSON",
            "not an interaction",
            "not an interaction this program knows",
            "not of a version this program knows",
        }
        assert observer.buried.total() == buried_count


@pytest.mark.seen("D3")
@pytest.mark.parametrize("milliseconds", [YEAR_10000_MILLISECONDS, 2**48 - 2_000])
async def test_an_id_of_a_time_beyond_the_year_9999_is_no_id(milliseconds: int) -> None:
    document = document_of(an_interaction()) | {"id": an_id(milliseconds=milliseconds)}
    with pytest.raises(UnreadableMessage, match="not an interaction"):
        await interaction_from(enveloped(document))


@pytest.mark.seen("D3")
@pytest.mark.parametrize("way", WAYS)
async def test_the_last_millisecond_of_the_year_9999_can_be_kept_and_shown(
    way: str, tmp_path: Path
) -> None:
    last = an_interaction(id=an_id(milliseconds=YEAR_10000_MILLISECONDS - 1))
    async with WAYS[way](tmp_path) as history:
        await history.append(last)
        page = await history.search(asking())
        assert [one.asked_at.year for one in page.interactions] == [9999]
        assert last.status is Status.COMPLETED
