"""Messages on their way to SQS, many in one call."""

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
    """SQS does not take this message, whenever it is sent."""


@dataclass(eq=False, slots=True)
class _Message:
    body: str
    beside: Mapping[str, str | None]
    sent: "asyncio.Future[None]"


class SqsSender:
    """Sends what waits together: at most ten messages and 1 MiB a call, at most four calls at once.

    Nobody waits for company: a batch is what gathered while all calls were under way. After five calls in a row that
    failed, nothing is sent until a probe has found the queue again.
    """

    def __init__(self, sqs: AwsClient, queue_url: str, *, clock: Clock, try_seconds: float) -> None:
        """Send to one queue.

        Args:
            sqs: The service.
            queue_url: Of the queue.
            clock: For the probe's pauses.
            try_seconds: How long one call may take; each message is sent at most twice.
        """
        self.reachability = Reachability("SQS", self.probe, clock, failures=FAILURES_TO_BE_AWAY)
        self.max_message_bytes = MAX_MESSAGE_BYTES
        self._sqs = sqs
        self._queue_url = queue_url
        self._try_seconds = try_seconds
        self._waiting: list[_Message] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def send(self, body: str, *, traceparent: str | None = None) -> None:
        """Return once SQS has the message; cancelled while it waits, it is not sent.

        Args:
            body: The message.
            traceparent: Names the span it is sent in to whoever receives it; None when nobody follows it.

        Raises:
            HistoryUnavailable: Not acknowledged; SQS may have it all the same.
            MessageRefused: SQS does not take it.
        """
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Message(body, {TRACEPARENT: traceparent}, sent))
        self._start_calls()
        await sent

    async def probe(self) -> None:
        """Return when the queue answers, and learn how long a message it takes.

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
        """Find out whether the queue is there."""
        try:
            await self.probe()
        except HistoryUnavailable:
            self.reachability.leave()

    async def drain(self) -> None:
        """Return once nothing is on its way any more."""
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
                size_bytes += len(message.body) + size_of(message.beside)
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
        """Send a batch once; return what has to be sent again."""
        entries = [
            {"Id": str(number), "MessageBody": message.body, **attributes_of(message.beside)}
            for number, message in enumerate(batch)
        ]
        try:
            async with asyncio.timeout(self._try_seconds):
                answer = await self._sqs(
                    "send_message_batch", QueueUrl=self._queue_url, Entries=entries
                )
        except (BotoCoreError, ClientError, TimeoutError) as exc:
            logger.debug("SQS did not take a batch (%s)", type(exc).__name__)
            self.reachability.fail()
            return batch
        self.reachability.succeed()
        failed = {int(one["Id"]): bool(one["SenderFault"]) for one in answer.get("Failed", ())}
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
