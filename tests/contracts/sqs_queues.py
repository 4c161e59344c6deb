"""The queues of a data stack on an emulator, fresh for each test."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from domain.entities.interaction import Interaction
from domain.interfaces.interaction_queue import Delivery
from infra.clock import SystemClock
from infra.history.sqs.consumer import SqsDeadLetters, SqsQueue, open_queues
from infra.history.sqs.envelope import message_of
from infra.history.sqs.queue_setup import SqsNames
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import AwsClient, open_client
from tests.support.aws_emulator import AwsEmulator
from tests.support.data_stack import deploy_data_stack

PATIENT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class QueueHarness:
    """A queue with its dead letters, and a client of SQS that bypasses the adapters."""

    access: AwsAccess
    names: SqsNames
    queue: SqsQueue
    dead_letters: SqsDeadLetters
    sqs: AwsClient

    async def send(self, *what: Interaction | str) -> None:
        """Put interactions, or bodies as they are, on the queue."""
        bodies = [one if isinstance(one, str) else await message_of(one) for one in what]
        for start in range(0, len(bodies), 10):
            await self.sqs(
                "send_message_batch",
                QueueUrl=self.names.queue_url,
                Entries=[
                    {"Id": str(number), "MessageBody": body}
                    for number, body in enumerate(bodies[start : start + 10])
                ],
            )

    async def depths(self) -> tuple[int, int]:
        """Return how many messages wait or are held on the queue, and how many are dead letters."""
        return await self._depth(self.names.queue_url), await self._depth(
            self.names.dead_letter_url
        )

    async def received(self, url: str, count: int) -> list[dict[str, Any]]:
        """Return so many raw messages of a queue, or what there is, and hold them."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            answer = await self.sqs(
                "receive_message",
                QueueUrl=url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=1,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
            if "Messages" not in answer:
                break
            found += answer["Messages"]
        return found

    async def _depth(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.sqs("get_queue_attributes", QueueUrl=url, AttributeNames=names)
        return sum([int(answer["Attributes"][name]) for name in names])


def some_names(emulator: AwsEmulator) -> SqsNames:
    """Return queues that are not there, and are nobody else's later."""
    return SqsNames.from_urls(emulator.queue_url(f"history-{secrets.token_hex(8)}"), None)


@asynccontextmanager
async def open_queue_harness(
    emulator: AwsEmulator,
    names: SqsNames | None = None,
    *,
    hold_seconds: int = 60,
    wait_seconds: int = 1,
    is_there: bool = True,
) -> AsyncIterator[QueueHarness]:
    """Open the queues of a data stack of one's own, or those of `names`; return once they are there, unless the emulator is away."""
    names = names or deploy_data_stack(emulator).queues
    async with (
        open_queues(
            emulator.access,
            names,
            clock=SystemClock(),
            hold_seconds=hold_seconds,
            wait_seconds=wait_seconds,
        ) as queues,
        open_client("sqs", emulator.access, tries=1) as sqs,
    ):
        harness = QueueHarness(emulator.access, names, queues.queue, queues.dead_letters, sqs)
        if is_there:
            async with asyncio.timeout(PATIENT_SECONDS):
                while not await _is_there(harness):
                    await asyncio.sleep(0.05)
        yield harness


async def _is_there(harness: QueueHarness) -> bool:
    try:
        await harness.depths()
    except ClientError:
        return False
    return True


def ids_of(deliveries: list[Delivery]) -> list[str]:
    """Return the ids of what deliveries carry."""
    return [one.interaction.id for one in deliveries if one.interaction is not None]
