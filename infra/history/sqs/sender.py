"""Batched sending of messages to SQS."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from domain.exceptions import HistoryUnavailable
from domain.interfaces.clock import Clock
from infra.history.sqs.attributes import TRACEPARENT, attributes_of, size_of
from infra.history.sqs.envelope import MAX_MESSAGE_BYTES
from infra.history.store.reachability import Reachability
from infra.storage.aws.client import AwsClient
from infra.storage.aws.errors import translate_errors

logger = logging.getLogger(__name__)

MAX_BATCH_MESSAGES = 10
MAX_BATCH_BYTES = 1024 * 1024
MAX_CALLS = 4
TRIES = 2
FAILURES_TO_BE_AWAY = 5
PROBE_SECONDS = 1.0


class MessageRefused(Exception):
    """SQS refuses this message permanently."""


@dataclass(eq=False, slots=True)
class _Message:
    body: str
    attributes: Mapping[str, str | None]
    sent: "asyncio.Future[None]"


class SqsSender:
    """Sends messages in batches of at most ten messages and 1 MiB, with at most four concurrent calls.

    Batching adds no delay: a batch is formed from messages that arrive while all calls are in progress. After five
    consecutive failures nothing is sent until a probe succeeds.
    """

    def __init__(self, sqs: AwsClient, queue_url: str, *, clock: Clock, try_seconds: float) -> None:
        """Send to one queue.

        Args:
            sqs: The client.
            queue_url: The URL of the queue.
            clock: For pauses between probes.
            try_seconds: Time limit of one call; each message is sent at most twice.
        """
        self.reachability = Reachability("SQS", self.probe, clock, failures=FAILURES_TO_BE_AWAY)
        self.max_message_bytes = MAX_MESSAGE_BYTES
        self._sqs = sqs
        self._queue_url = queue_url
        self._try_seconds = try_seconds
        self._waiting: list[_Message] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def send(self, body: str, *, traceparent: str | None = None) -> None:
        """Return once SQS has the message; a cancelled message that is still pending is not sent.

        Args:
            body: The message.
            traceparent: The span that sends it; None without tracing.

        Raises:
            HistoryUnavailable: Not acknowledged, although SQS may have received it.
            MessageRefused: SQS refuses it permanently.
        """
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Message(body, {TRACEPARENT: traceparent}, sent))
        self._start_calls()
        await sent

    async def probe(self) -> None:
        """Check that the queue answers, and read its limit of message sizes.

        Raises:
            HistoryUnavailable: It does not.
        """
        with translate_errors(HistoryUnavailable, "SQS"):
            async with asyncio.timeout(PROBE_SECONDS):
                answer = await self._sqs(
                    "get_queue_attributes",
                    QueueUrl=self._queue_url,
                    AttributeNames=["MaximumMessageSize"],
                )
        taken = answer.get("Attributes", {}).get("MaximumMessageSize", MAX_MESSAGE_BYTES)
        self.max_message_bytes = min(MAX_MESSAGE_BYTES, int(taken))

    async def look(self) -> None:
        """Probe the queue, and mark it as unavailable if it does not respond."""
        try:
            await self.probe()
        except HistoryUnavailable:
            self.reachability.leave()

    async def drain(self) -> None:
        """Return once no call is in progress."""
        while self._calls:
            await asyncio.wait(self._calls)

    def _start_calls(self) -> None:
        if self.reachability.is_away:
            waiting, self._waiting = self._waiting, []
            _fail(waiting)
        while self._waiting and len(self._calls) < MAX_CALLS:
            batch = self._next_batch()
            if batch:
                call = asyncio.get_running_loop().create_task(self._deliver(batch))
                self._calls.add(call)
                call.add_done_callback(self._end_call)

    def _end_call(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._start_calls()

    def _next_batch(self) -> list[_Message]:
        batch: list[_Message] = []
        size_bytes = taken = 0
        for message in self._waiting[:MAX_BATCH_MESSAGES]:
            if not message.sent.cancelled():
                size_bytes += len(message.body) + size_of(message.attributes)
                if batch and size_bytes > MAX_BATCH_BYTES:
                    break
                batch.append(message)
            taken += 1
        del self._waiting[:taken]
        return batch

    async def _deliver(self, batch: list[_Message]) -> None:
        for _ in range(TRIES):
            batch = await self._try(batch)
            if not batch or self.reachability.is_away:
                break
        _fail(batch)

    async def _try(self, batch: list[_Message]) -> list[_Message]:
        """Send a batch once; return the messages to send again."""
        entries = [
            {"Id": str(number), "MessageBody": message.body, **attributes_of(message.attributes)}
            for number, message in enumerate(batch)
        ]
        try:
            async with asyncio.timeout(self._try_seconds):
                answer = await self._sqs(
                    "send_message_batch", QueueUrl=self._queue_url, Entries=entries
                )
        except (BotoCoreError, ClientError, TimeoutError) as exc:
            logger.debug("SQS did not accept a batch (%s)", type(exc).__name__)
            self.reachability.fail()
            return batch
        self.reachability.succeed()
        failed = {
            int(failure["Id"]): bool(failure["SenderFault"]) for failure in answer.get("Failed", ())
        }
        for number, message in enumerate(batch):
            if message.sent.done():
                continue
            if number not in failed:
                message.sent.set_result(None)
            elif failed[number]:
                message.sent.set_exception(MessageRefused())
        return [batch[number] for number, is_refused in failed.items() if not is_refused]


def _fail(messages: Sequence[_Message]) -> None:
    for message in messages:
        if not message.sent.done():
            message.sent.set_exception(HistoryUnavailable("SQS did not take it"))
