"""History through SQS: what is queued, what goes past the queue, and an outage of it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from domain.entities.history_query import HistoryFilter, HistoryQuery
from domain.entities.interaction import Interaction, Status
from domain.exceptions import HistoryUnavailable
from infra.clock import SystemClock
from infra.history.sqlite.outbox.outbox import open_outbox
from infra.history.sqlite.store import open_sqlite
from infra.history.sqs.envelope import interaction_from
from infra.history.sqs.queued_history import (
    PATIENCE_SECONDS,
    TRY_SECONDS,
    SqsHistory,
    SqsSink,
    is_turn_of_conversation,
    open_senders,
)
from infra.history.sqs.sender import MAX_CALLS, MAX_MESSAGE_BYTES, SqsSender
from tests.contracts.sqs_queues import QueueHarness, open_queue_harness
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction, begin
from tests.support.aws_emulator import AwsEmulator, pausable_emulator, shared_emulator

PATIENT_SECONDS = 120.0
UNHURRIED_SECONDS = 20.0
"""Far above the product's own limit: a busy test machine is no outage."""


@dataclass(slots=True)
class Front:
    """A queue with everything around it.

    Attributes:
        sends: How many messages each call carried.
    """

    harness: QueueHarness
    history: SqsHistory
    sink: SqsSink
    sender: SqsSender
    backlog: SqsSender
    behind: InMemoryHistory
    sends: list[int]
    ended: list[str]

    async def takes(self, most_bytes: int) -> None:
        """Let the queue take no longer messages than that; without it, it takes 1 MiB."""
        await self.harness.sqs(
            "set_queue_attributes",
            QueueUrl=self.harness.names.queue_url,
            Attributes={"MaximumMessageSize": str(most_bytes)},
        )

    async def queued(self, count: int) -> dict[str, Interaction]:
        """Return what is on the queue: so many, each once or more."""
        messages = await self.harness.received(self.harness.names.queue_url, count)
        found = [await interaction_from(one["Body"]) for one in messages]
        return {one.id: one for one in found}


@asynccontextmanager
async def open_front(
    emulator: AwsEmulator, *, try_seconds: float = TRY_SECONDS
) -> AsyncIterator[Front]:
    async with (
        open_queue_harness(emulator) as harness,
        open_senders(
            harness.access, harness.names, clock=SystemClock(), try_seconds=try_seconds
        ) as senders,
    ):
        await until(lambda: not senders.chats.reachability.is_away)
        sends: list[int] = []

        async def listening(operation: str, **parameters: Any) -> dict[str, Any]:
            if operation == "send_message_batch":
                sends.append(len(parameters["Entries"]))
            return await harness.sqs(operation, **parameters)

        behind, ended = InMemoryHistory(), list[str]()
        await senders.backlog.look()
        senders.chats._sqs = listening  # type: ignore[assignment]
        yield Front(
            harness=harness,
            history=SqsHistory(
                senders.chats, behind, end_marker=ended.append, patience_seconds=2 * try_seconds
            ),
            sink=SqsSink(senders.backlog, behind),
            sender=senders.chats,
            backlog=senders.backlog,
            behind=behind,
            sends=sends,
            ended=ended,
        )


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    async with open_front(shared_emulator(), try_seconds=UNHURRIED_SECONDS) as front:
        yield front


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def noise(characters: int) -> str:
    chance = random.Random(1)
    return "".join([chr(chance.randrange(0x10000, 0x110000)) for _ in range(characters)])


async def test_what_is_appended_is_on_the_queue_and_nowhere_else(front: Front) -> None:
    await front.history.append(an_interaction(1))

    assert await front.queued(1) == {an_id(1): an_interaction(1)}
    assert front.behind.kept == {}


async def test_many_at_once_travel_together(front: Front) -> None:
    await asyncio.gather(*(front.history.append(an_interaction(n)) for n in range(200)))

    assert len(await front.queued(200)) == 200
    assert sum(front.sends) == 200
    assert len(front.sends) <= 30
    assert max(front.sends) == 10


async def test_long_ones_share_no_call_that_would_be_too_long(front: Front) -> None:
    long = [an_interaction(n, text=noise(45_000)) for n in range(8)]
    await asyncio.gather(*(front.history.append(one) for one in [*long, *long]))

    assert front.behind.kept == {}
    assert len(await front.queued(16)) == 8


@pytest.mark.slow
async def test_what_the_queue_does_not_take_goes_past_it(front: Front) -> None:
    front.sender.max_message_bytes = 900_000  # more than the queue takes by now
    await front.takes(256 * 1024)
    refused, small = an_interaction(1, text=noise(120_000)), an_interaction(2)
    await asyncio.gather(front.history.append(refused), front.history.append(small))
    await front.history.append(an_interaction(3, text=noise(400_000)))

    assert await front.queued(1) == {an_id(2): small}
    assert sorted(front.behind.kept) == [an_id(1), an_id(3)]
    assert not front.sender.reachability.is_away


async def test_how_long_a_message_may_be_is_learnt_from_the_queue(front: Front) -> None:
    assert front.sender.max_message_bytes == MAX_MESSAGE_BYTES
    await front.takes(256 * 1024)
    await front.sender.look()
    assert front.sender.max_message_bytes == 256 * 1024
    await front.history.append(an_interaction(1, text=noise(120_000)))

    assert front.sends == []
    assert sorted(front.behind.kept) == [an_id(1)]


async def test_markers_are_kept_behind_and_ended_when_the_queue_has_the_outcome(
    front: Front,
) -> None:
    begun = an_interaction(1, status=Status.INTERRUPTED, text="")
    begin(front.history, begun, lost_after_seconds=1)
    await front.history.append(an_interaction(1))

    assert front.behind.begun == [begun]
    assert front.ended == [an_id(1)]


@pytest.mark.slow
async def test_a_relay_gives_to_the_store_what_the_queue_never_takes(front: Front) -> None:
    await front.takes(256 * 1024)
    await front.backlog.look()
    mixed = [an_interaction(n, text=noise(120_000) if n % 7 == 0 else "short") for n in range(50)]
    await front.sink.append_many(mixed)

    assert sorted(front.behind.kept) == [one.id for one in mixed[::7]]
    assert len(await front.queued(50)) == 42


@pytest.mark.slow
@pytest.mark.realtime  # bounds how long appends wait for an emulator that is stopped
async def test_an_outage_costs_the_first_some_patience_and_the_rest_nothing() -> None:
    with pausable_emulator() as emulator:
        async with open_front(emulator) as front:
            await front.history.append(an_interaction(0))
            emulator.pause()
            loop = asyncio.get_running_loop()
            started = loop.time()
            await asyncio.gather(*(front.history.append(an_interaction(n)) for n in range(1, 101)))
            assert loop.time() - started < 10 * PATIENCE_SECONDS
            assert len(front.behind.kept) == 100
            await until(lambda: front.sender.reachability.is_away)
            before = len(front.sends)
            for number in range(101, 201):
                await front.history.append(an_interaction(number))
            assert len(front.sends) == before, "nobody waits for a queue that is known to be away"
            with pytest.raises(HistoryUnavailable):
                await front.sink.append_many([an_interaction(999)])
            front.history.admit()
            front.behind.is_full = True
            with pytest.raises(HistoryUnavailable):
                front.history.admit()

            emulator.resume()
            await until(lambda: not front.sender.reachability.is_away)
            front.history.admit()
            await front.history.append(an_interaction(201))
            assert an_id(201) not in front.behind.kept
            found = await front.queued(100)  # what was given up may have arrived all the same
            assert {an_id(0), an_id(201)} <= set(found)


@pytest.mark.realtime  # bounds how long an append waits
async def test_a_call_that_hangs_holds_up_nobody_for_longer_than_their_patience() -> None:
    with pausable_emulator() as emulator:
        async with open_front(emulator) as front:
            emulator.pause()
            loop = asyncio.get_running_loop()
            started = loop.time()
            await front.history.append(an_interaction(1))
            assert loop.time() - started < 10 * PATIENCE_SECONDS
            assert sorted(front.behind.kept) == [an_id(1)]
            assert not front.sender.reachability.is_away, "one failure is no outage"
            emulator.resume()
            await front.history.append(an_interaction(2))
            assert an_id(2) in await front.queued(2)


async def test_after_five_calls_that_failed_the_rest_of_a_backlog_is_not_tried() -> None:
    with pausable_emulator() as emulator:
        async with open_front(emulator, try_seconds=0.05) as front:
            emulator.pause()
            sink = SqsSink(front.sender, front.behind)
            with pytest.raises(HistoryUnavailable):
                await sink.append_many([an_interaction(number) for number in range(600)])
            await front.sender.drain()

            assert 5 <= len(front.sends) <= 5 + MAX_CALLS
            assert front.behind.kept == {}


async def test_one_whose_caller_is_gone_before_it_was_sent_is_not_sent(front: Front) -> None:
    appending = [asyncio.create_task(front.history.append(an_interaction(n))) for n in range(60)]
    await asyncio.sleep(0)
    for one in appending[50:]:
        one.cancel()
    await asyncio.gather(*appending, return_exceptions=True)

    assert set(await front.queued(60)) >= {an_id(n) for n in range(50)}


async def test_a_turn_of_a_conversation_is_read_on_its_host_before_a_worker_has_stored_it(
    front: Front, tmp_path: Path
) -> None:
    turn, alone = an_interaction(1, conversation_id="c"), an_interaction(2)
    clock = SystemClock()
    async with (
        open_sqlite(
            tmp_path / "store", clock=clock, read_seconds=UNHURRIED_SECONDS, min_free_disk_bytes=0
        ) as store,
        open_outbox(
            tmp_path / "host",
            store=store,
            sink=front.sink,
            clock=clock,
            read_seconds=UNHURRIED_SECONDS,
            min_free_disk_bytes=0,
        ) as outbox,
    ):
        history = SqsHistory(
            front.sender,
            outbox,
            patience_seconds=UNHURRIED_SECONDS,
            is_read_soon=is_turn_of_conversation,
        )
        await history.append(turn)
        await history.append(alone)
        query = HistoryQuery(user_id="ana", filter=HistoryFilter(conversation_id="c"), limit=10)
        assert list((await history.recall(query)).interactions) == [turn]
        assert await history.find("ana", alone.id) is None
        assert await store.find("ana", turn.id) is None
        assert await front.queued(2) == {turn.id: turn, alone.id: alone}


async def test_a_turn_that_the_outbox_does_not_accept_goes_to_the_queue(front: Front) -> None:
    history = SqsHistory(
        front.sender, front.behind, patience_seconds=UNHURRIED_SECONDS, is_read_soon=lambda _: True
    )
    front.behind.refuses = 1
    await history.append(an_interaction(1, conversation_id="c"))
    await history.append(an_interaction(2, conversation_id="c"))

    assert set(await front.queued(1)) == {an_id(1)}
    assert set(front.behind.kept) == {an_id(2)}


async def test_messages_are_json_of_ascii_with_a_version_and_an_id(front: Front) -> None:
    await front.history.append(an_interaction(1, text="€\x00\ufffe"))
    (message,) = await front.harness.received(front.harness.names.queue_url, 1)

    assert message["Body"].isascii()
    assert json.loads(message["Body"])["v"] == 1
    assert json.loads(message["Body"])["id"] == an_id(1)
