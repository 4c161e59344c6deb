"""An interaction in progress is replaced by its outcome once, in whatever order both arrive, in every store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import permutations, product
from pathlib import Path

import pytest

from domain.entities.conversation import ConversationQuery
from domain.entities.interaction import PROVISIONAL, Interaction, Status, replaced_by, replaces
from domain.entities.statistics import GroupBy, StatisticsQuery
from domain.entities.words import words_of
from domain.interfaces.history import HistoryRepository
from infra.history.dynamodb.store import DynamoHistory
from tests.contracts.archives import ARCHIVES, opened
from tests.contracts.dynamodb_tables import open_table
from tests.contracts.history_stores import FORGETS_WHAT_BEGAN, READ_SECONDS, STORES
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.fakes.interactions import an_id, an_interaction, begin
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.dynamodb_items import items_in, noise

IN_PROGRESS = frozenset({Status.IN_PROGRESS})
OUTCOMES = [status for status in Status if status not in PROVISIONAL]
PATIENCE_SECONDS = 120.0


@pytest.fixture(params=STORES)
async def history(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[HistoryRepository]:
    if "remembering" in request.fixturenames and request.param in FORGETS_WHAT_BEGAN:
        pytest.skip("keeps no start markers, as its docstring says")
    async with STORES[request.param](tmp_path) as history:
        yield history


@pytest.fixture
def remembering(history: HistoryRepository) -> HistoryRepository:
    """A history that keeps start markers."""
    return history


def copy_of(number: int, status: Status) -> Interaction:
    """Return interaction number so-and-so as it is stored with a status; each status has a model of its own."""
    text = "" if status in PROVISIONAL else f"answer {number}"
    return an_interaction(number, status=status, text=text, model=status.value)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # type: ignore[misc]
            await asyncio.sleep(0.01)


def test_the_statuses_that_one_replaces_are_those_of_the_rule() -> None:
    for new, stored in product(Status, Status):
        assert (stored in replaced_by(new)) == replaces(new, stored)
    assert [replaced_by(status) for status in OUTCOMES] == [PROVISIONAL] * len(OUTCOMES)
    assert replaced_by(Status.INTERRUPTED) == IN_PROGRESS
    assert replaced_by(Status.IN_PROGRESS) == frozenset()


@pytest.mark.slow
async def test_every_pair_of_statuses_follows_the_rule(history: HistoryRepository) -> None:
    pairs = list(enumerate(product(Status, Status)))
    await history.append_many([copy_of(number, stored) for number, (stored, _) in pairs])
    await history.append_many([copy_of(number, new) for number, (_, new) in pairs])

    expected = [
        copy_of(number, new if replaces(new, stored) else stored) for number, (stored, new) in pairs
    ]
    assert await walk(history, asking(statuses=EVERY_STATUS)) == expected[::-1]


@pytest.mark.parametrize("is_batch", [False, True], ids=["one by one", "in one batch"])
async def test_the_order_of_arrival_makes_no_difference(
    history: HistoryRepository, is_batch: bool
) -> None:
    statuses = (Status.IN_PROGRESS, Status.INTERRUPTED, Status.COMPLETED)
    orders = list(enumerate(permutations(statuses)))
    arrivals = [
        copy_of(number, status) for number, order in orders for status in (*order, *order[::-1])
    ]
    if is_batch:
        await history.append_many(arrivals)
        await history.append_many(arrivals[::-1])
    else:
        for interaction in arrivals:
            await history.append(interaction)

    outcomes = [copy_of(number, Status.COMPLETED) for number, _ in reversed(orders)]
    assert await walk(history, asking(statuses=EVERY_STATUS)) == outcomes
    assert await walk(history, asking(model="completed")) == outcomes
    for status in PROVISIONAL:
        assert await walk(history, asking(statuses=frozenset({status}))) == []
        assert await walk(history, asking(model=status.value, statuses=EVERY_STATUS)) == []


async def test_it_is_listed_when_its_status_is_asked_for(history: HistoryRepository) -> None:
    running = an_interaction(2, status=Status.IN_PROGRESS, text="", conversation_id="c")
    await history.append_many([an_interaction(1), running, copy_of(3, Status.FAILED)])

    assert await history.find("ana", an_id(2)) == running
    assert await walk(history, asking()) == [an_interaction(1)]
    assert await walk(history, asking(conversation_id="c")) == []
    for filters in ({}, {"conversation_id": "c"}, {"model": "demo"}, {"words": words_of("2")}):
        assert await walk(history, asking(statuses=IN_PROGRESS, **filters)) == [running]
    unanswered = frozenset({Status.IN_PROGRESS, Status.FAILED})
    assert await walk(history, asking(statuses=unanswered)) == [copy_of(3, Status.FAILED), running]


async def test_the_words_of_its_outcome_are_found(history: HistoryRepository) -> None:
    await history.append(an_interaction(1, status=Status.IN_PROGRESS, text=""))
    outcome = an_interaction(1, text="cafe\u0301")
    await history.append(outcome)

    for text in ("question", "caf\u00e9"):
        assert await walk(history, asking(words=words_of(text))) == [outcome]


async def test_it_counts_as_an_interaction_and_not_as_a_failure(history: HistoryRepository) -> None:
    query = StatisticsQuery(user_id="ana", by=GroupBy.PROVIDER)
    await history.append_many([copy_of(1, Status.IN_PROGRESS), copy_of(2, Status.INTERRUPTED)])
    (group,) = await history.statistics(query)
    assert (group.interactions, group.failures, group.p50_seconds) == (2, 1, None)

    await history.append(copy_of(1, Status.COMPLETED))
    (group,) = await history.statistics(query)
    assert (group.interactions, group.failures, group.p50_seconds) == (2, 1, 1.25)


async def test_it_is_one_turn_of_its_conversation_before_and_after(
    history: HistoryRepository,
) -> None:
    for status in (Status.IN_PROGRESS, Status.COMPLETED):
        await history.append(an_interaction(1, status=status, conversation_id="c"))
        page = await history.conversations(ConversationQuery(user_id="ana"))
        assert [(found.id, found.turns) for found in page.conversations] == [("c", 1)]


async def test_an_erased_one_gets_no_outcome(history: HistoryRepository) -> None:
    await history.append(copy_of(1, Status.IN_PROGRESS))
    await history.erase("ana", an_id(1))
    await history.append(copy_of(1, Status.COMPLETED))

    assert await history.find("ana", an_id(1)) is None


async def test_a_start_marker_does_not_interrupt_it(remembering: HistoryRepository) -> None:
    running = copy_of(1, Status.IN_PROGRESS)
    await remembering.append(running)
    for number in (1, 2):
        marker = copy_of(number, Status.INTERRUPTED)
        begin(remembering, marker, lost_after_seconds=-1e9)

    await until(lambda: remembering.find("ana", an_id(2)))
    assert await remembering.find("ana", an_id(1)) == running


async def test_it_ends_its_start_marker(remembering: HistoryRepository) -> None:
    """The marker would be stored once the outcome is gone from this host."""
    running = copy_of(1, Status.IN_PROGRESS)
    begin(remembering, copy_of(1, Status.INTERRUPTED), lost_after_seconds=-1e9)
    await remembering.append(running)
    begin(remembering, copy_of(2, Status.INTERRUPTED), lost_after_seconds=-1e9)

    await until(lambda: remembering.find("ana", an_id(2)))
    assert await remembering.find("ana", an_id(1)) == running


@pytest.mark.parametrize("kind", ARCHIVES)
async def test_copies_of_whole_stores_follow_the_rule(kind: str, tmp_path: Path) -> None:
    async with (
        opened(kind, tmp_path / "target") as (target, history),
        opened("sqlite", tmp_path / "source") as (source, source_history),
    ):
        pairs = list(enumerate(product(Status, Status)))
        await history.append_many([copy_of(number, stored) for number, (stored, _) in pairs])
        await source_history.append_many([copy_of(number, new) for number, (_, new) in pairs])
        await source_history.append(copy_of(999, Status.IN_PROGRESS))
        records = [record async for page in source.pages() for record in page.records]
        for _ in range(2):
            await target.write(records)

        expected = [
            copy_of(number, new if replaces(new, stored) else stored)
            for number, (stored, new) in pairs
        ]
        expected.append(copy_of(999, Status.IN_PROGRESS))
        assert await walk(history, asking(statuses=EVERY_STATUS)) == expected[::-1]


@pytest.mark.slow
async def test_long_ones_follow_the_rule_in_dynamodb() -> None:
    """Bodies in several parts are written in transactions."""
    stack = deploy_data_stack(shared_emulator())
    async with open_table(stack.emulator.access, stack.table, read_seconds=READ_SECONDS) as history:
        assert isinstance(history, DynamoHistory)
        long = noise(110_000)
        for number, order in enumerate(permutations((Status.IN_PROGRESS, Status.COMPLETED))):
            for status in (*order, *order):
                await history.append(an_interaction(number, status=status, text=long))
            found = await history.find("ana", an_id(number))
            assert found == an_interaction(number, text=long)
        await history.append(an_interaction(5, status=Status.IN_PROGRESS, text=long))
        await history.append(an_interaction(5))
        assert await history.find("ana", an_id(5)) == an_interaction(5)
        await history.erase_all("ana", an_id(9))
        assert [item["pk"]["S"] for item in await items_in(stack.table)] == ["E#ana"]
