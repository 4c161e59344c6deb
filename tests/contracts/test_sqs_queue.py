"""The queue and its dead letters, over an emulator of SQS."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest

from domain.entities.items import ToolCall
from domain.exceptions import QueueUnavailable
from domain.interfaces.interaction_queue import DeadLetters, Delivery
from domain.use_cases.redrive_dead_letters import RedriveDeadLetters, RedriveResult
from infra.clock import SystemClock
from infra.configuration import ConfigurationError
from infra.history.sqs.consumer import SqsDeadLetters, SqsQueue
from infra.history.sqs.messages import SqsMessages
from infra.history.sqs.queue_setup import SqsNames
from infra.history.sqs.sender import SqsSender
from tests.contracts.sqs_queues import QueueHarness, ids_of, open_queue_harness, some_names
from tests.fakes.interactions import a_tool_turn, an_id, an_interaction
from tests.support.aws_emulator import pausable_emulator, shared_emulator

PATIENCE_SECONDS = 120.0
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def harness() -> AsyncIterator[QueueHarness]:
    async with open_queue_harness(shared_emulator()) as harness:
        yield harness


async def test_what_is_sent_is_handed_out_once_while_it_is_held(harness: QueueHarness) -> None:
    await harness.send(an_interaction(1), an_interaction(2))
    first = await harness.queue.receive()

    assert sorted(ids_of(first)) == [an_id(1), an_id(2)]
    assert all(one.problem == "" and one.sent_milliseconds > 0 for one in first)
    assert await harness.received(harness.names.queue_url, 1) == []


async def test_turns_of_tools_travel_unchanged(harness: QueueHarness) -> None:
    long = '{"city": "€"}' + " " * 200_000
    turns = [
        a_tool_turn(1),
        a_tool_turn(2, text="", items=(ToolCall(id="a", name="b", arguments=long),)),
    ]
    await harness.send(*turns)
    received = [
        delivery.interaction for delivery in await harness.queue.receive() if delivery.interaction
    ]
    assert sorted(received, key=lambda one: one.id) == turns


async def test_what_is_given_back_comes_again_and_what_is_removed_does_not(
    harness: QueueHarness,
) -> None:
    await harness.send(an_interaction(1), an_interaction(2))
    first = await harness.queue.receive()
    await harness.queue.give_back(first)
    again = await harness.queue.receive()
    assert {one.message_id for one in again} == {one.message_id for one in first}

    await harness.queue.remove(again)
    await harness.queue.remove(again)
    assert await harness.depths() == (0, 0)


async def test_what_is_held_again_stays_held(harness: QueueHarness) -> None:
    await harness.send(an_interaction(1))
    first = await harness.queue.receive()
    await harness.queue.give_back(first)
    again = await harness.queue.receive()
    await harness.queue.hold(again)

    assert await harness.received(harness.names.queue_url, 1) == []


async def test_the_unreadable_is_told_apart_and_buried_with_its_reason(
    harness: QueueHarness,
) -> None:
    await harness.send(an_interaction(1), "{", '{"v": 99}')
    deliveries = await harness.queue.receive()
    bad = [one for one in deliveries if one.interaction is None]
    assert sorted(one.problem for one in bad) == ["not JSON", "not of a version this program knows"]
    for one in bad:
        await harness.queue.bury(one, one.problem)

    assert await harness.depths() == (1, 2)
    buried = await harness.received(harness.names.dead_letter_url, 2)
    assert {one["Body"]: one["MessageAttributes"]["reason"]["StringValue"] for one in buried} == {
        "{": "not JSON",
        '{"v": 99}': "not of a version this program knows",
    }


async def test_the_trace_of_a_message_stays_with_it_wherever_it_goes(harness: QueueHarness) -> None:
    sender = SqsSender(harness.sqs, harness.names.queue_url, clock=SystemClock(), try_seconds=5.0)
    await sender.send("{", traceparent=TRACEPARENT)
    (sent,) = await harness.queue.receive()
    assert sent.traceparent == TRACEPARENT
    await harness.queue.bury(sent, "reason")
    (buried,) = await harness.dead_letters.take()
    assert (buried.traceparent, buried.reason) == (TRACEPARENT, "reason")
    await harness.dead_letters.send_back([buried])
    (back,) = await harness.queue.receive()
    assert (back.traceparent, back.reason) == (TRACEPARENT, "")


async def test_a_message_of_an_older_version_belongs_to_no_trace(harness: QueueHarness) -> None:
    await harness.send(an_interaction(1))
    (delivery,) = await harness.queue.receive()
    assert delivery.traceparent == ""
    assert delivery.interaction is not None


async def test_what_cannot_be_put_elsewhere_stays_where_it_is(harness: QueueHarness) -> None:
    here = SqsMessages(harness.sqs, harness.names.queue_url)
    nowhere = SqsMessages(harness.sqs, f"{harness.names.queue_url}-none")
    await harness.send(an_interaction(1))
    (delivery,) = await harness.queue.receive()
    with pytest.raises(QueueUnavailable):
        await SqsQueue(here, nowhere).bury(delivery, "reason")
    with pytest.raises(QueueUnavailable):
        await SqsDeadLetters(here, nowhere).send_back([delivery])

    assert await harness.depths() == (1, 0)


async def test_a_long_batch_is_sent_in_pieces_sqs_takes(harness: QueueHarness) -> None:
    bodies = ["x" * 250_000] * 9
    deliveries = [
        Delivery(message_id=str(n), receipt="", body=body, sent_milliseconds=0)
        for n, body in enumerate(bodies)
    ]
    await SqsMessages(harness.sqs, harness.names.queue_url).send(deliveries)

    assert await harness.depths() == (9, 0)


@pytest.mark.parametrize("made_by", ["the data stack", "the service"])
async def test_the_queues_are_made_as_documented(made_by: str) -> None:
    emulator = shared_emulator()
    names = some_names(emulator) if made_by == "the service" else None
    async with open_queue_harness(emulator, names) as harness:
        attributes = await attributes_of(harness, harness.names.queue_url)
        dead = await attributes_of(harness, harness.names.dead_letter_url)
    assert attributes["MessageRetentionPeriod"] == str(4 * 24 * 3600)
    assert attributes["VisibilityTimeout"] == "60"
    policy = json.loads(attributes["RedrivePolicy"])
    assert int(policy["maxReceiveCount"]) == 10
    assert policy["deadLetterTargetArn"].endswith("-dlq")
    assert dead["MessageRetentionPeriod"] == str(14 * 24 * 3600)


async def attributes_of(harness: QueueHarness, url: str) -> dict[str, str]:
    answer = await harness.sqs("get_queue_attributes", QueueUrl=url, AttributeNames=["All"])
    attributes: dict[str, str] = answer["Attributes"]
    return attributes


@pytest.mark.parametrize(
    ("queue", "dead"),
    [("", None), ("history", None), ("http://h/1/", None), ("http://h/1/a", "x"), ("http://h/1/a", "http://h/1/a")],
)  # fmt: skip
def test_urls_of_no_queue_are_told_to_the_operator(queue: str, dead: str | None) -> None:
    with pytest.raises(ConfigurationError, match="SQS_"):
        SqsNames.from_urls(queue, dead)


@pytest.mark.slow
async def test_an_outage_is_told_in_time_and_queues_are_made_once_it_is_over() -> None:
    with pausable_emulator() as emulator:
        emulator.pause()
        async with open_queue_harness(emulator, some_names(emulator), is_there=False) as harness:
            with pytest.raises(QueueUnavailable):
                await harness.dead_letters.count()
            emulator.resume()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await _is_there(harness):
                    await asyncio.sleep(0.05)
            await harness.send(an_interaction(1))
            assert ids_of(await harness.queue.receive()) == [an_id(1)]


async def _is_there(harness: QueueHarness) -> bool:
    try:
        await harness.dead_letters.count()
        await SqsMessages(harness.sqs, harness.names.queue_url).count()
    except QueueUnavailable:
        return False
    return True


class Erased:
    """Remembers some as erased."""

    def __init__(self, *ids: str) -> None:
        self._ids = frozenset(ids)

    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        return self._ids & set(interaction_ids) if user_id == "ana" else frozenset()


async def bury_all(harness: QueueHarness, count: int) -> None:
    """Bury everything on the queue."""
    while count:
        for one in await harness.queue.receive():
            await harness.queue.bury(one, one.problem or "the store refuses it")
            count -= 1
    await asyncio.sleep(0.002)  # their time of sending is before that of what comes next


def nobody(_done: int, _whole: int) -> None:
    """Progress nobody looks at."""


async def test_dead_letters_go_back_but_for_the_erased_and_the_unreadable(
    harness: QueueHarness,
) -> None:
    await harness.send(
        *(an_interaction(n) for n in range(25)), "{", an_interaction(30, user_id="bob")
    )
    await bury_all(harness, 27)
    redrive = RedriveDeadLetters(harness.dead_letters, Erased(an_id(3), an_id(30)), SystemClock())
    told: list[tuple[int, int]] = []

    def progress(done: int, whole: int) -> None:
        told.append((done, whole))

    expected = RedriveResult(sent_back=25, erased=1, unreadable=1)
    assert await redrive(is_dry_run=True, progress=nobody) == expected
    assert await harness.depths() == (0, 27)
    assert await redrive(is_dry_run=False, progress=progress) == expected
    assert await harness.depths() == (25, 1)
    assert told[-1] == (27, 27)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert await redrive(is_dry_run=False, progress=nobody) == RedriveResult(unreadable=1)

    back = [one for _ in range(3) for one in ids_of(await harness.queue.receive())]
    assert sorted(back) == sorted({an_id(n) for n in range(25)} - {an_id(3)} | {an_id(30)})


class StopsAfter(DeadLetters):
    """Dies between two steps."""

    def __init__(self, behind: DeadLetters, steps: int) -> None:
        self.behind = behind
        self.steps = steps

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise RuntimeError("killed")

    async def count(self) -> int:
        return await self.behind.count()

    async def take(self) -> Sequence[Delivery]:
        self._step()
        return await self.behind.take()

    async def send_back(self, deliveries: Sequence[Delivery]) -> None:
        self._step()
        await self.behind.send_back(deliveries)

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        self._step()
        await self.behind.remove(deliveries)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        await self.behind.give_back(deliveries)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 6])
async def test_a_redrive_that_dies_loses_nothing(harness: QueueHarness, steps: int) -> None:
    await harness.send(*(an_interaction(n) for n in range(25)))
    await bury_all(harness, 25)
    dying = StopsAfter(harness.dead_letters, steps)
    with pytest.raises(RuntimeError, match="killed"):
        await RedriveDeadLetters(dying, Erased(), SystemClock())(is_dry_run=False, progress=nobody)

    assert sum(await harness.depths()) >= 25
    await RedriveDeadLetters(harness.dead_letters, Erased(), SystemClock())(
        is_dry_run=False, progress=nobody
    )
    waiting, dead = await harness.depths()
    assert dead == 0
    back = [one for _ in range(waiting // 10 + 1) for one in ids_of(await harness.queue.receive())]
    assert set(back) == {an_id(n) for n in range(25)}


async def test_what_is_buried_meanwhile_is_left_for_the_next_time(harness: QueueHarness) -> None:
    await harness.send(an_interaction(1), an_interaction(2))
    await bury_all(harness, 2)

    class Past(SystemClock):
        def now_milliseconds(self) -> int:
            return super().now_milliseconds() - 3_600_000

    redrive = RedriveDeadLetters(harness.dead_letters, Erased(), Past())
    assert await redrive(is_dry_run=False, progress=nobody) == RedriveResult()
    assert await harness.depths() == (0, 2)
