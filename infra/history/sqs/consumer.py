"""The queue for the worker, and the dead-letter queue for the command `redrive`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from domain.interfaces.clock import Clock
from domain.interfaces.interaction_queue import DeadLetters, Delivery, InteractionQueue
from infra.history.sqs.messages import SqsMessages
from infra.history.sqs.queue_setup import (
    HOLD_SECONDS,
    SqsNames,
    keep_making_queues,
    try_to_make_queues,
)
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import open_client
from infra.tasks.supervised import Work, running_tasks

WAIT_SECONDS = 20
TAKE_WAIT_SECONDS = 1
TAKE_SECONDS = 600

_SILENCE_SECONDS = WAIT_SECONDS + 5.0


class SqsQueue(InteractionQueue):
    """Receives up to ten messages at a time, with long polling of 20 s by default."""

    def __init__(
        self,
        queue: SqsMessages,
        dead_letters: SqsMessages,
        *,
        hold_seconds: int = HOLD_SECONDS,
        wait_seconds: int = WAIT_SECONDS,
    ) -> None:
        self._wait_seconds = wait_seconds
        self._queue = queue
        self._dead_letters = dead_letters
        self._hold_seconds = hold_seconds

    @property
    def hold_seconds(self) -> float:
        return self._hold_seconds

    async def receive(self) -> Sequence[Delivery]:
        return await self._queue.receive(
            wait_seconds=self._wait_seconds, hold_seconds=self._hold_seconds
        )

    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        await self._queue.hold(deliveries, self._hold_seconds)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        await self._queue.hold(deliveries, 0)

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        await self._queue.remove(deliveries)

    async def bury(self, delivery: Delivery, reason: str) -> None:
        await self._dead_letters.send([delivery], reason=reason)
        await self._queue.remove([delivery])

    async def count(self) -> int:
        return await self._queue.count()


class SqsDeadLetters(DeadLetters):
    """Messages that SQS moved after too many receives or a worker rejected with a reason."""

    def __init__(self, dead_letters: SqsMessages, queue: SqsMessages) -> None:
        self._dead_letters = dead_letters
        self._queue = queue

    async def count(self) -> int:
        return await self._dead_letters.count()

    async def take(self) -> Sequence[Delivery]:
        return await self._dead_letters.receive(
            wait_seconds=TAKE_WAIT_SECONDS, hold_seconds=TAKE_SECONDS
        )

    async def send_back(self, deliveries: Sequence[Delivery]) -> None:
        await self._queue.send(deliveries)
        await self._dead_letters.remove(deliveries)

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        await self._dead_letters.remove(deliveries)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        await self._dead_letters.hold(deliveries, 0)


@dataclass(frozen=True, slots=True)
class Queues:
    """The opened queue and dead-letter queue."""

    queue: SqsQueue
    dead_letters: SqsDeadLetters


@asynccontextmanager
async def open_queues(
    access: AwsAccess,
    names: SqsNames,
    *,
    clock: Clock,
    hold_seconds: int = HOLD_SECONDS,
    wait_seconds: int = WAIT_SECONDS,
) -> AsyncIterator[Queues]:
    """Open a queue for receiving; it need not be reachable yet. An emulator's is created if missing.

    Args:
        access: Endpoint, region and credentials.
        names: The queue and the dead-letter queue.
        clock: For pauses.
        hold_seconds: Visibility timeout of a delivery.
        wait_seconds: Long-polling time of a receive.

    Raises:
        ConfigurationError: No region is known.
    """
    async with open_client(
        "sqs", names.reached_by(access), tries=1, read_seconds=_SILENCE_SECONDS
    ) as sqs:
        works: list[Work] = []
        if access.is_emulator and not await try_to_make_queues(sqs, names):
            works.append(partial(keep_making_queues, sqs, names, clock))
        queue, dead_letters = (
            SqsMessages(sqs, names.queue_url),
            SqsMessages(sqs, names.dead_letter_url),
        )
        async with running_tasks(*works):
            yield Queues(
                SqsQueue(queue, dead_letters, hold_seconds=hold_seconds, wait_seconds=wait_seconds),
                SqsDeadLetters(dead_letters, queue),
            )
