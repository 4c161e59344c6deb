"""What only the event logs in DynamoDB promise: fencing by conditional puts, and what a death in between leaves."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from domain.entities.background.answer import AnswerLease, BackgroundAnswer
from domain.exceptions import HistoryUnavailable, HistoryUnreadable, LeaseLost, Unstorable
from infra.answers.chunks import Chunk
from infra.answers.dynamodb import logs
from infra.answers.dynamodb.items import (
    LEASE_PARTITIONS,
    chunk_items,
    header_partition,
    key_of_lease,
    lease_key,
)
from infra.answers.dynamodb.store import DynamoAnswerLog, open_dynamo_answers
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import open_client
from infra.storage.aws.dynamodb_table import Item, Table
from tests.fakes.clock import FakeClock
from tests.fakes.interactions import an_interaction
from tests.support.aws_emulator import shared_emulator
from tests.support.data_stack import deploy_data_stack

ANSWER = BackgroundAnswer(interaction=an_interaction())
KEY = ANSWER.key


class CountedTable(Table):
    """Counts the items that queries return, and those that they read."""

    returned = 0
    scanned = 0

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer = await super().call(operation, **parameters)
        if operation == "query":
            self.returned += len(answer["Items"])
            self.scanned += answer["ScannedCount"]
        return answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def table() -> AsyncIterator[CountedTable]:
    stack = deploy_data_stack(shared_emulator())
    async with open_client("dynamodb", stack.emulator.access, tries=2) as client:
        yield CountedTable(client, stack.table)


@pytest.fixture
def log(table: CountedTable, clock: FakeClock) -> DynamoAnswerLog:
    return DynamoAnswerLog(table, clock, keep_seconds=3600.0, read_seconds=10.0)


async def shown(log: DynamoAnswerLog) -> tuple[object, ...]:
    page = await log.read(KEY, after=-1, limit=100)
    assert page is not None
    return tuple(page.events)


async def begun(log: DynamoAnswerLog) -> AnswerLease:
    return await log.begin(ANSWER, lease_seconds=10.0)


async def items_of(table: Table) -> list[Item]:
    pages = [
        await table.call(
            "query",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
        )
        for pk in (header_partition(KEY.user_id), f"A#{KEY.user_id}", *LEASE_PARTITIONS)
    ]
    return [item for page in pages for item in page["Items"]]


def dies(log: DynamoAnswerLog, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step of the log fail until the end of the patch."""

    async def fail(*_: object, **__: object) -> None:
        raise ConnectionClosedError(endpoint_url="http://localhost")

    monkeypatch.setattr(log._logs, step, fail)


async def test_what_the_old_writer_added_before_the_fence_is_part_of_the_takeover(
    log: DynamoAnswerLog, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await begun(log)
    await log.append(lease, ["a"])
    clock.advance(10.0)
    put = log._logs._put_free
    late = iter(("b", "c"))

    async def put_later(items: Sequence[Item]) -> bool:
        if (text := next(late, None)) is not None:
            position = int(items[0]["sk"]["S"].rpartition("#")[2])
            chunk = Chunk(
                key=KEY,
                position=position,
                epoch=1,
                first_number=position,
                next_number=position + 1,
                count=1,
                is_last=False,
                body=f'["{text}"]'.encode(),
            )
            assert await put(chunk_items(chunk, written_milliseconds=1, expires_seconds=2**40))
        return await put(items)

    monkeypatch.setattr(log._logs, "_put_free", put_later)
    found = await log.take_over(KEY, lease_seconds=10.0)
    assert found is not None
    assert found.records == ["a", "b", "c"]
    assert found.lease.next_number == 3
    with pytest.raises(LeaseLost):
        await log.append(replace(lease, next_position=3, next_number=3), ["late"])
    await log.append(found.lease, ["d"])
    assert await shown(log) == ("a", "b", "c", "d")


async def test_a_death_after_the_last_chunk_is_completed_by_the_next_takeover(
    log: DynamoAnswerLog, table: Table, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await begun(log)
    with monkeypatch.context() as patch:
        dies(log, "_finish", patch)
        with pytest.raises(HistoryUnavailable):
            await log.end(lease, ["a", ANSWER.interaction])
    assert await shown(log) == ("a", ANSWER.interaction)
    clock.advance(10.0)
    assert list(await log.abandoned(limit=5)) == [KEY]
    assert await log.take_over(KEY, lease_seconds=10.0) is None
    assert list(await log.abandoned(limit=5)) == []
    page = await log.read(KEY, after=1, limit=5)
    assert page is not None
    assert page.is_ended
    assert not [item for item in await items_of(table) if item["pk"]["S"] in LEASE_PARTITIONS]


async def test_an_end_that_failed_half_way_is_repeated(
    log: DynamoAnswerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await begun(log)
    with monkeypatch.context() as patch:
        dies(log, "_finish", patch)
        with pytest.raises(HistoryUnavailable):
            await log.end(lease, [ANSWER.interaction])
    await log.end(lease, [ANSWER.interaction])
    assert await shown(log) == (ANSWER.interaction,)
    assert not await log.stop(KEY)


async def test_chunks_and_ended_logs_expire(log: DynamoAnswerLog, table: Table) -> None:
    lease = await begun(log)
    await log.append(lease, ["a"])
    running = {item["sk"]["S"] for item in await items_of(table) if "expiresAt" not in item}
    assert KEY.interaction_id in running
    await log.end(lease, [ANSWER.interaction])
    lasting = [item["sk"]["S"] for item in await items_of(table) if "expiresAt" not in item]
    assert lasting == []


async def test_a_log_can_be_erased_as_long_as_its_text_is_there(
    log: DynamoAnswerLog, table: Table
) -> None:
    lease = await begun(log)
    await log.append(lease, ["a canary"])
    await log.end(lease, [ANSWER.interaction])
    first_to_expire = min(
        int(item["expiresAt"]["N"]) for item in await items_of(table) if "first" in item
    )
    for item in await items_of(table):  # as the table does it, with a delay of days
        if int(item["expiresAt"]["N"]) <= first_to_expire + 3 * 86_400 and "first" not in item:
            await table.delete_many([{"pk": item["pk"], "sk": item["sk"]}])
    await log.erase_all(KEY.user_id, KEY.interaction_id)
    assert "canary" not in str(await items_of(table))


async def test_erasing_a_user_reads_no_text_of_erased_logs(
    log: DynamoAnswerLog, table: CountedTable
) -> None:
    lease = await begun(log)
    for text in "abc":
        await log.append(lease, [text])
    await log.erase_all(KEY.user_id, KEY.interaction_id)
    table.scanned = 0
    await log.erase_all(KEY.user_id, KEY.interaction_id)
    assert table.scanned == 1


async def test_an_erased_log_has_no_content_left_and_expires(
    log: DynamoAnswerLog, table: Table
) -> None:
    lease = await begun(log)
    await log.append(lease, ["a canary"])
    await log.append(lease, ["another canary"])
    await log.erase(KEY)
    items = await items_of(table)
    assert len(items) == 4  # the log, its two chunks, and the position after them
    assert "canary" not in str(items)
    assert all("expiresAt" in item for item in items)


async def test_more_logs_than_are_looked_up_at_once_are_erased(
    log: DynamoAnswerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "ERASED_AT_ONCE", 2)
    answers = [BackgroundAnswer(interaction=an_interaction(number)) for number in range(5)]
    for answer in answers:
        await log.begin(answer, lease_seconds=10.0)
    await log.erase(answers[1].key)
    await log.erase_all("ana", answers[3].key.interaction_id)
    left = [await log.read(answer.key, after=-1, limit=1) is not None for answer in answers]
    assert left == [False] * 4 + [True]


async def test_an_erasure_that_was_cut_off_is_completed_with_the_users(
    log: DynamoAnswerLog, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await begun(log)
    await log.append(lease, ["a canary"])
    with monkeypatch.context() as patch:
        dies(log, "_close", patch)
        with pytest.raises(HistoryUnavailable):
            await log.erase(KEY)
    assert await log.read(KEY, after=-1, limit=5) is None
    await log.erase_all(KEY.user_id, KEY.interaction_id)
    assert "canary" not in str(await items_of(table))


async def test_a_reader_at_the_end_does_not_read_the_log_from_its_beginning(
    log: DynamoAnswerLog, table: CountedTable
) -> None:
    lease = await begun(log)
    for number in range(20):
        await log.append(lease, [str(number)])
    assert len(await shown(log)) == 20
    for number in range(20, 23):
        await log.append(lease, [str(number), f"{number} more"])
        table.returned = 0
        seen = 20 + 2 * (number - 20)
        first = await log.read(KEY, after=seen - 1, limit=1)
        second = await log.read(KEY, after=seen, limit=5)
        assert first is not None
        assert second is not None
        assert (*first.events, *second.events) == (str(number), f"{number} more")
        assert table.returned == 2


async def test_a_lease_names_its_log() -> None:
    for number in range(20):
        key = replace(KEY, interaction_id=an_interaction(number).id)
        assert key_of_lease(lease_key(key)) == key
    partitions = {
        lease_key(BackgroundAnswer(interaction=an_interaction(number)).key)["pk"]["S"]
        for number in range(100)
    }
    assert partitions == set(LEASE_PARTITIONS)


async def test_records_longer_than_a_transaction_are_refused_for_good(
    log: DynamoAnswerLog,
) -> None:
    lease = await begun(log)
    with pytest.raises(Unstorable):
        await log.append(lease, [Random(1).randbytes(4 * 1024 * 1024).hex()])
    await log.append(lease, ["a"])
    assert await shown(log) == ("a",)


async def test_a_table_that_is_away_is_an_error_of_history(clock: FakeClock) -> None:
    access = AwsAccess(endpoint_url="http://127.0.0.1:9", is_emulator=True)
    async with open_dynamo_answers(
        access, table="nowhere", clock=clock, keep_seconds=1.0, read_seconds=0.2
    ) as log:
        for call in (
            log.begin(ANSWER, lease_seconds=1.0),
            log.append(AnswerLease(key=KEY, epoch=1), ["a"]),
            log.look([AnswerLease(key=KEY, epoch=1)]),
            log.erase_all("ana", KEY.interaction_id),
        ):
            with pytest.raises(HistoryUnavailable):
                await call
        for call in (log.stop(KEY), log.read(KEY, after=-1, limit=1)):
            with pytest.raises(HistoryUnreadable):
                await call
