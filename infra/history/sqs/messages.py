"""Messages in hand: what a queue and its dead letters have in common."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from domain.exceptions import QueueUnavailable
from domain.interfaces.interaction_queue import Delivery
from infra.history.sqs.attributes import (
    REASON,
    TRACEPARENT,
    attributes_of,
    size_of,
    value_in,
)
from infra.history.sqs.envelope import UnreadableMessage, interaction_from
from infra.history.sqs.sender import MAX_BATCH_BYTES, MAX_BATCH_MESSAGES
from infra.storage.aws.client import AwsClient

logger = logging.getLogger(__name__)

BREAKS_READER = "reading it fails unexpectedly"

_SEND = "send_message_batch"
_CALL_SECONDS = 5.0


class SqsMessages:
    """One queue, by its URL."""

    def __init__(self, sqs: AwsClient, url: str) -> None:
        self._sqs = sqs
        self._url = url

    async def receive(self, *, wait_seconds: int, hold_seconds: int) -> list[Delivery]:
        """Return at most ten messages, and hold them; nothing when none came in time."""
        answer = await self._call(
            "receive_message",
            _CALL_SECONDS + wait_seconds,
            MaxNumberOfMessages=MAX_BATCH_MESSAGES,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=hold_seconds,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            MessageAttributeNames=[REASON, TRACEPARENT],
        )
        return [await _delivery_of(message) for message in answer.get("Messages", ())]

    async def hold(self, deliveries: Sequence[Delivery], seconds: int) -> None:
        """Hold messages for so long from now; 0 lets others have them."""
        await self._for_each(
            "change_message_visibility_batch",
            [{"ReceiptHandle": one.receipt, "VisibilityTimeout": seconds} for one in deliveries],
        )

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        """Take messages off the queue."""
        await self._for_each(
            "delete_message_batch", [{"ReceiptHandle": one.receipt} for one in deliveries]
        )

    async def send(self, deliveries: Sequence[Delivery], *, reason: str = "") -> None:
        """Put what was delivered elsewhere on this queue, with the trace it belongs to.

        Raises:
            QueueUnavailable: Not all of it is.
        """
        batch: list[dict[str, Any]] = []
        size_bytes = 0
        for one in deliveries:
            beside = {REASON: reason, TRACEPARENT: one.traceparent}
            body_bytes = len(one.body.encode())
            if body_bytes + size_of(beside) > MAX_BATCH_BYTES:
                beside = {}  # as long as messages may be: then it goes as it came
            message_bytes = body_bytes + size_of(beside)
            if batch and size_bytes + message_bytes > MAX_BATCH_BYTES:
                await self._for_each(_SEND, batch)
                batch, size_bytes = [], 0
            batch.append({"MessageBody": one.body, **attributes_of(beside)})
            size_bytes += message_bytes
        await self._for_each(_SEND, batch)

    async def count(self) -> int:
        """Return about how many messages there are, held ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self._call("get_queue_attributes", _CALL_SECONDS, AttributeNames=names)
        return sum([int(answer["Attributes"][name]) for name in names])

    async def _for_each(self, operation: str, what: Sequence[dict[str, Any]]) -> None:
        """Do it for all, ten at a time; then complain if it failed for some.

        A message we have no more, because it is gone or in another's hands, is no failure.
        """
        failed = 0
        for start in range(0, len(what), MAX_BATCH_MESSAGES):
            entries = [
                {"Id": str(number), **one}
                for number, one in enumerate(what[start : start + MAX_BATCH_MESSAGES])
            ]
            answer = await self._call(operation, _CALL_SECONDS, Entries=entries)
            failed += sum(
                [operation == _SEND or not one["SenderFault"] for one in answer.get("Failed", ())]
            )
        if failed:
            raise QueueUnavailable(f"SQS did not do it for {failed} messages")

    async def _call(self, operation: str, seconds: float, **parameters: Any) -> dict[str, Any]:
        with _speaking_domain():
            async with asyncio.timeout(seconds):
                return await self._sqs(operation, QueueUrl=self._url, **parameters)


@contextmanager
def _speaking_domain() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, TimeoutError) as exc:
        raise QueueUnavailable("SQS does not answer as it should") from exc


async def _delivery_of(message: dict[str, Any]) -> Delivery:
    body = message["Body"]
    interaction, problem = None, ""
    try:
        interaction = await interaction_from(body)
    except UnreadableMessage as exc:
        problem = str(exc)
    except Exception as exc:  # one that breaks the reader must not come back for ever, and take nine others with it
        logger.exception("a message breaks what reads it", exc_info=exc)
        problem = BREAKS_READER
    return Delivery(
        message_id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=body,
        interaction=interaction,
        problem=problem,
        reason=value_in(message, REASON),
        traceparent=value_in(message, TRACEPARENT),
        sent_milliseconds=int(message["Attributes"]["SentTimestamp"]),
        receives=int(message["Attributes"].get("ApproximateReceiveCount", 1)),
    )
