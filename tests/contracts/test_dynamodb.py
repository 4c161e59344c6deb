"""What only the DynamoDB store has to show: long bodies, sifted pages, batches done by halves, outages."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from domain.entities.history_query import HistoryQuery, Order
from domain.entities.interaction import Interaction, Status
from domain.exceptions import HistoryUnavailable, HistoryUnreadable, Unstorable
from infra.clock import SystemClock
from infra.configuration import ConfigurationError
from infra.history.dynamodb.store import DynamoHistory, open_dynamo
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import open_client
from tests.contracts.dynamodb_tables import open_table
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.fakes.grudging_dynamodb import grudging
from tests.fakes.interactions import an_id, an_interaction
from tests.fakes.strict_dynamodb import strict
from tests.support.aws_emulator import AwsEmulator, pausable_emulator, shared_emulator
from tests.support.data_stack import deploy_data_stack
from tests.support.dynamodb_items import items_in, noise

READ_SECONDS = 60.0
PATIENCE_SECONDS = 120.0


def opened(
    access: AwsAccess, table: str, *, read_seconds: float = READ_SECONDS
) -> AbstractAsyncContextManager[DynamoHistory]:
    return open_table(access, table, read_seconds=read_seconds)


@pytest.fixture
def table() -> str:
    return deploy_data_stack(shared_emulator()).table


@pytest.fixture
async def history(table: str) -> AsyncIterator[DynamoHistory]:
    async with opened(shared_emulator().access, table) as history:
        yield history


async def test_a_body_too_long_for_an_item_is_kept_in_parts(
    history: DynamoHistory, table: str
) -> None:
    long = an_interaction(1, text=noise(400_000), conversation_id="c")
    await history.append_many([long, an_interaction(2, conversation_id="c")])
    await history.append(long)

    assert await history.find("ana", long.id) == long
    for filters in ({}, {"model": "demo"}, {"conversation_id": "c"}):
        assert await walk(history, asking(**filters)) == [
            an_interaction(2, conversation_id="c"),
            long,
        ]
    items = await items_in(table)
    parts = [item for item in items if item["pk"]["S"] == "P#ana"]
    assert len(parts) >= 4
    assert all(len(item["body"]["B"]) <= 300 * 1024 for item in items if "body" in item)


async def test_a_long_outcome_replaces_an_interruption_and_is_replaced_by_nothing(
    history: DynamoHistory,
) -> None:
    interrupted = an_interaction(1, text="", status=Status.INTERRUPTED)
    await history.append(interrupted)
    long = an_interaction(1, text=noise(110_000))
    await history.append(long)
    await history.append(interrupted)
    await history.append(an_interaction(1, text=noise(110_000, seed=2)))

    assert await history.find("ana", an_id(1)) == long


async def test_an_outcome_replaces_an_interruption_wherever_it_is_looked_for(
    history: DynamoHistory,
) -> None:
    interrupted = an_interaction(1, text="", status=Status.INTERRUPTED)
    await history.append_many([interrupted, an_interaction(2)])
    late = an_interaction(1, model="other", conversation_id="c")
    await history.append_many([late, interrupted])

    assert await history.find("ana", an_id(1)) == late
    assert await walk(history, asking(model="other", conversation_id="c")) == [late]
    assert await walk(history, asking(model="demo")) == [an_interaction(2)]


async def test_of_an_outcome_and_an_interruption_in_one_batch_the_outcome_stays(
    history: DynamoHistory,
) -> None:
    interrupted = [an_interaction(n, text="", status=Status.INTERRUPTED) for n in (1, 2)]
    outcomes = [an_interaction(n) for n in (1, 2)]
    await history.append_many([interrupted[0], outcomes[0], outcomes[1], interrupted[1]])

    assert await walk(history, asking(statuses=EVERY_STATUS)) == outcomes[::-1]


@pytest.mark.slow
async def test_what_no_transaction_takes_is_refused_for_good_and_the_rest_is_kept(
    history: DynamoHistory,
) -> None:
    with pytest.raises(Unstorable):
        await history.append_many(
            [an_interaction(1), an_interaction(2, text=noise(1_700_000)), an_interaction(3)]
        )

    assert await walk(history, asking()) == [an_interaction(3), an_interaction(1)]
    history.admit()


async def test_of_what_was_erased_nothing_but_marks_is_left(
    history: DynamoHistory, table: str
) -> None:
    long = an_interaction(1, text=noise(120_000))
    await history.append_many([long, an_interaction(2), replace(long, id=an_id(3))])
    await history.erase("ana", an_id(1))
    await history.erase("ana", an_id(2))
    assert {tuple(sorted(i)) for i in await items_in(table) if i["sk"]["S"] < an_id(3)} == {
        ("erased", "pk", "sk")
    }
    assert await history.erase_all("ana", an_id(9)) == 1
    await history.append_many([long, replace(long, id=an_id(4))])

    assert [(item["pk"]["S"], sorted(item)) for item in await items_in(table)] == [
        ("E#ana", ["before", "pk", "sk"])
    ]


async def test_erasing_finishes_what_an_earlier_try_left(
    history: DynamoHistory, table: str
) -> None:
    long = an_interaction(1, text=noise(120_000))
    await history.append(long)
    async with open_client("dynamodb", shared_emulator().access, tries=1) as dynamodb:
        await dynamodb(  # as if the process had died before it deleted the parts
            "put_item",
            TableName=table,
            Item={"pk": {"S": "U#ana"}, "sk": {"S": long.id}, "erased": {"BOOL": True}},
        )
    await history.erase("ana", long.id)

    assert [sorted(item) for item in await items_in(table)] == [["erased", "pk", "sk"]]


async def test_of_two_that_write_the_same_id_at_once_one_stays_whole(table: str) -> None:
    access = shared_emulator().access
    async with opened(access, table) as one, opened(access, table) as other:
        mine = [an_interaction(n, text="mine" * 400) for n in range(200)]
        theirs = [an_interaction(n, text="theirs" * 400) for n in range(200)]
        await asyncio.gather(one.append_many(mine), other.append_many(theirs))
        found = await walk(one, asking(order=Order.ASC))

    assert all(pair[0] in pair[1:] for pair in zip(found, mine, theirs, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize(
    "filters",
    [{"provider": "rare"}, {"statuses": frozenset({Status.FAILED})}, {"model": "demo", "provider": "rare"}],
    ids=str,
)  # fmt: skip
async def test_a_page_looks_through_so_much_and_tells_where_to_go_on(
    history: DynamoHistory, filters: dict[str, object], order: Order
) -> None:
    rare_status = Status.FAILED if "statuses" in filters else Status.COMPLETED

    def numbered(number: int) -> Interaction:
        if number % 250 == 7:
            return an_interaction(number, provider="rare", status=rare_status)
        return an_interaction(number, provider="common")

    everything = [numbered(number) for number in range(600)]
    await history.append_many(everything)
    query = asking(limit=2, order=order, **filters)

    pages, next_id = [], None
    while True:
        page = await history.search(replace(query, after_id=next_id))
        pages.append(list(page.interactions))
        next_id = page.next_id
        if next_id is None:
            break
    found = [one for page in pages for one in page]
    expected = [everything[7], everything[257], everything[507]]
    assert found == (expected if order is Order.ASC else expected[::-1])
    assert len(pages) > 3, "it did not look through everything for one page"


async def test_a_cursor_outside_the_range_ends_the_walk(history: DynamoHistory) -> None:
    await history.append_many([an_interaction(number) for number in range(5)])

    query = HistoryQuery(user_id="ana", order=Order.ASC, after_id=an_id(3))
    ended = replace(query, filter=replace(query.filter, to_id=an_id(2)))
    assert (await history.search(ended)).next_id is None
    assert not (await history.search(ended)).interactions


async def test_a_range_ends_before_the_id_it_ends_with(history: DynamoHistory) -> None:
    await history.append_many([an_interaction(number) for number in range(5)])

    found = await walk(history, asking(from_id=an_id(1), to_id=an_id(3), order=Order.ASC))
    assert found == [an_interaction(1), an_interaction(2)]


async def test_what_a_busy_table_leaves_undone_is_done_in_the_end(table: str) -> None:
    written = [an_interaction(number, text="x" * 2000) for number in range(60)]
    written.append(an_interaction(60, text=noise(230_000)))
    async with grudging(shared_emulator().url) as proxy:
        async with opened(replace(shared_emulator().access, endpoint_url=proxy.url), table) as history:  # fmt: skip
            await history.append_many(written)
            assert await walk(history, asking(model="demo", order=Order.ASC)) == written
            assert await history.erase_all("ana", an_id(49)) == 50
            assert await walk(history, asking(order=Order.ASC)) == written[50:]
        busy = {"BatchExecuteStatement", "BatchGetItem", "BatchWriteItem"}
        assert {one for one in busy if proxy.calls.count(one) > 3} == busy


async def test_where_no_statements_are_allowed_items_are_put_one_by_one(table: str) -> None:
    written = [an_interaction(number) for number in range(30)]
    async with grudging(shared_emulator().url) as proxy:
        proxy.forbidden.add("BatchExecuteStatement")
        async with opened(replace(shared_emulator().access, endpoint_url=proxy.url), table) as history:  # fmt: skip
            await history.append(an_interaction(3, text="", status=Status.INTERRUPTED))
            await history.append_many(written)
            await history.append_many([replace(one, text="second") for one in written])
            assert await walk(history, asking(order=Order.ASC)) == written
        assert proxy.calls.count("BatchExecuteStatement") == 1


@pytest.mark.slow
@pytest.mark.seen("D1")
@pytest.mark.parametrize("text", ["short", "long"])
async def test_of_many_only_what_dynamodb_refuses_fails_and_no_outage_is_seen(
    table: str, text: str
) -> None:
    async with strict(shared_emulator().url) as proxy:
        access = replace(shared_emulator().access, endpoint_url=proxy.url)
        async with opened(access, table) as history:
            written = [
                an_interaction(number, text=noise(230_000) if text == "long" else "")
                for number in range(5)
            ]
            written[3] = replace(written[3], latency_seconds=1e200)
            results = await asyncio.gather(
                *(history.append(one) for one in written), return_exceptions=True
            )
            assert [type(one) for one in results] == [
                Unstorable if number == 3 else type(None) for number in range(5)
            ]
            found = await walk(history, asking(order=Order.ASC))
            assert found == [*written[:3], written[4]]
            history.admit()


@pytest.mark.seen("D1")
async def test_a_table_that_takes_no_item_at_all_is_an_outage_and_no_fault_of_a_row(
    table: str,
) -> None:
    async with strict(shared_emulator().url) as proxy:
        access = replace(shared_emulator().access, endpoint_url=proxy.url)
        async with opened(access, table) as history:
            proxy.other_keys = True
            with pytest.raises(HistoryUnavailable) as caught:
                await history.append(an_interaction(1))
            assert not isinstance(caught.value, Unstorable)


@pytest.mark.seen("D4")
async def test_a_passing_error_of_aws_does_not_end_batches(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_a_role(monkeypatch)
    async with strict(shared_emulator().url) as proxy:
        access = AwsAccess(region="us-east-1", endpoint_url=proxy.url)
        async with opened(access, table) as history:
            proxy.fails_with = [(500, {}), (500, {})]  # the driver tries twice
            with pytest.raises(HistoryUnavailable):
                await history.append(an_interaction(1))
            proxy.operations.clear()
            await history.append(an_interaction(1))
        assert "BatchExecuteStatement" in proxy.operations
        assert "PutItem" not in proxy.operations


@pytest.mark.seen("D4")
async def test_an_endpoint_that_is_not_said_to_be_an_emulator_is_reached_as_a_role_and_nothing_is_made(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_a_role(monkeypatch)
    async with strict(shared_emulator().url) as proxy:
        access = AwsAccess(region="us-east-1", endpoint_url=proxy.url)
        async with opened(access, table) as history:
            await history.append(an_interaction(1))
        async with open_client("sqs", access, tries=1) as sqs:
            assert not sqs.is_emulator
    assert "CreateTable" not in proxy.operations
    assert all("Credential=ROLE/" in one for one in proxy.authorizations)


@pytest.mark.seen("D4")
async def test_said_to_be_an_emulator_it_needs_no_credentials_and_gets_its_table() -> None:
    name = f"made-{secrets.token_hex(6)}"
    async with strict(shared_emulator().url) as proxy:
        access = AwsAccess(endpoint_url=proxy.url, is_emulator=True)
        async with opened(access, name) as history:
            await history.append(an_interaction(1))
    assert proxy.operations[0] == "CreateTable"


def as_a_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let credentials be found, as those of a task's role are."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ROLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")


@pytest.fixture
def emulator() -> Iterator[AwsEmulator]:
    with pausable_emulator() as emulator:
        yield emulator


@pytest.mark.slow
@pytest.mark.realtime
async def test_an_outage_is_told_in_time_and_heals_by_itself(emulator: AwsEmulator) -> None:
    clock, table = SystemClock(), deploy_data_stack(emulator).table
    async with opened(emulator.access, table, read_seconds=0.5) as history:
        await history.append(an_interaction(1))
        emulator.pause()
        started = clock.monotonic()
        reading = await asyncio.gather(
            history.find("ana", an_id(1)),
            history.search(asking()),
            history.erased_among("ana", [an_id(1)]),
            return_exceptions=True,
        )
        assert clock.monotonic() - started < 5
        assert {type(error) for error in reading} == {HistoryUnreadable}
        writing = await asyncio.gather(
            *(history.append_many([an_interaction(number)]) for number in (2, 3)),
            return_exceptions=True,
        )
        assert {type(error) for error in writing} == {HistoryUnavailable}
        with pytest.raises(HistoryUnavailable):
            history.admit()
        assert [one.component for one in history.reachability.degraded()] == ["DynamoDB"]
        with pytest.raises(HistoryUnreadable):
            await history.erase("ana", an_id(1))
        emulator.resume()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while history.reachability.degraded():
                await asyncio.sleep(0.05)
        history.admit()
        await history.append(an_interaction(4))
        assert await history.find("ana", an_id(4)) == an_interaction(4)


async def test_it_starts_while_dynamodb_is_away_and_makes_the_table_later(
    emulator: AwsEmulator,
) -> None:
    table = f"history-{secrets.token_hex(8)}"
    emulator.pause()
    async with open_dynamo(
        emulator.access, table=table, clock=SystemClock(), read_seconds=READ_SECONDS
    ) as history:
        emulator.resume()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await history.append(an_interaction(1))
                    break
                except HistoryUnavailable:
                    await asyncio.sleep(0.05)
        assert await history.find("ana", an_id(1)) == an_interaction(1)


async def test_a_name_that_can_be_no_table_is_told_to_the_operator() -> None:
    with pytest.raises(ConfigurationError, match="DYNAMODB_TABLE"):
        async with open_dynamo(
            shared_emulator().access, table='x" VALUE {}', clock=SystemClock(), read_seconds=1
        ):
            raise AssertionError("opened")
