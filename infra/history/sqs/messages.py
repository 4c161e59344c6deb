"""Receiving, holding and removing messages, for the queue and the dead-letter queue."""

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
        """Return at most ten messages and hold them; an empty list when none arrived in time."""
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
        """Hide messages from other receivers for `seconds` from now; 0 releases them."""
        await self._for_each(
            "change_message_visibility_batch",
            [
                {"ReceiptHandle": delivery.receipt, "VisibilityTimeout": seconds}
                for delivery in deliveries
            ],
        )

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        """Delete messages from the queue."""
        await self._for_each(
            "delete_message_batch", [{"ReceiptHandle": delivery.receipt} for delivery in deliveries]
        )

    async def send(self, deliveries: Sequence[Delivery], *, reason: str = "") -> None:
        """Send deliveries of another queue to this one, with their trace context.

        Raises:
            QueueUnavailable: Some were not sent.
        """
        batch: list[dict[str, Any]] = []
        size_bytes = 0
        for delivery in deliveries:
            attributes = {REASON: reason, TRACEPARENT: delivery.traceparent}
            body_bytes = len(delivery.body.encode())
            if body_bytes + size_of(attributes) > MAX_BATCH_BYTES:
                attributes = {}  # at the size limit it is sent without attributes
            message_bytes = body_bytes + size_of(attributes)
            if batch and size_bytes + message_bytes > MAX_BATCH_BYTES:
                await self._for_each(_SEND, batch)
                batch, size_bytes = [], 0
            batch.append({"MessageBody": delivery.body, **attributes_of(attributes)})
            size_bytes += message_bytes
        await self._for_each(_SEND, batch)

    async def count(self) -> int:
        """Return the approximate number of messages, including held ones."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self._call("get_queue_attributes", _CALL_SECONDS, AttributeNames=names)
        return sum([int(answer["Attributes"][name]) for name in names])

    async def _for_each(self, operation: str, what: Sequence[dict[str, Any]]) -> None:
        """Call `operation` for all entries, ten at a time; raise at the end if some failed.

        A message that was removed, or is held by another receiver, is not a failure.
        """
        failed = 0
        for start in range(0, len(what), MAX_BATCH_MESSAGES):
            entries = [
                {"Id": str(number), **entry}
                for number, entry in enumerate(what[start : start + MAX_BATCH_MESSAGES])
            ]
            answer = await self._call(operation, _CALL_SECONDS, Entries=entries)
            failed += sum(
                [
                    operation == _SEND or not failure["SenderFault"]
                    for failure in answer.get("Failed", ())
                ]
            )
        if failed:
            raise QueueUnavailable(f"SQS failed for {failed} messages")

    async def _call(self, operation: str, seconds: float, **parameters: Any) -> dict[str, Any]:
        with _translate_errors():
            async with asyncio.timeout(seconds):
                return await self._sqs(operation, QueueUrl=self._url, **parameters)


@contextmanager
def _translate_errors() -> Iterator[None]:
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
    except Exception as exc:  # a message that breaks the reader must not return for ever with the nine others of its batch
        logger.exception("reading a message failed unexpectedly", exc_info=exc)
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
