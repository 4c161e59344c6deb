"""The URLs of the queue and the dead-letter queue, and their creation in an emulator."""

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from domain.interfaces.clock import Clock
from infra.configuration import ConfigurationError
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import AwsClient
from infra.storage.aws.errors import code_of

logger = logging.getLogger(__name__)

HOLD_SECONDS = 60
MAX_RECEIVES = 10
KEPT_SECONDS = 4 * 24 * 3600
DEAD_KEPT_SECONDS = 14 * 24 * 3600
MAX_MESSAGE_BYTES = 1024 * 1024
MAKE_SECONDS = 1.0

_IS_THERE = frozenset({"QueueNameExists", "QueueAlreadyExists"})


@dataclass(frozen=True, slots=True)
class SqsNames:
    """The URLs of the two queues."""

    queue_url: str
    dead_letter_url: str

    @classmethod
    def from_urls(cls, queue_url: str, dead_letter_url: str | None) -> "SqsNames":
        """Return the queues of the settings; the dead-letter queue is by default the queue's name with `-dlq`.

        Raises:
            ConfigurationError: They are not the URLs of two queues.
        """
        names = cls(queue_url, dead_letter_url or f"{queue_url}-dlq")
        if not (_name(names.queue_url) and _name(names.dead_letter_url)):
            raise ConfigurationError("SQS_QUEUE_URL or SQS_DLQ_URL is not the URL of a queue")
        if names.queue_url == names.dead_letter_url:
            raise ConfigurationError("SQS_QUEUE_URL and SQS_DLQ_URL are the same queue")
        return names

    def reached_by(self, access: AwsAccess) -> AwsAccess:
        """Return `access` with the endpoint of the queues' URL if it has an endpoint at all.

        The configured endpoint may be that of DynamoDB alone.
        """
        if access.endpoint_url is None:
            return access
        parts = urlsplit(self.queue_url)
        return replace(access, endpoint_url=f"{parts.scheme}://{parts.netloc}")


async def try_to_make_queues(sqs: AwsClient, names: SqsNames) -> bool:
    """Create the queues in an emulator; return whether both exist."""
    try:
        async with asyncio.timeout(MAKE_SECONDS):
            await _make_queues(sqs, names)
    except (BotoCoreError, ClientError, TimeoutError) as exc:
        logger.warning("the queues cannot be created yet (%s)", type(exc).__name__)
        return False
    return True


async def keep_making_queues(sqs: AwsClient, names: SqsNames, clock: Clock) -> None:
    """Return once both queues exist."""
    while not await try_to_make_queues(sqs, names):
        await clock.sleep(MAKE_SECONDS)


async def _make_queues(sqs: AwsClient, names: SqsNames) -> None:
    await _make(sqs, names.dead_letter_url, {"MessageRetentionPeriod": str(DEAD_KEPT_SECONDS)})
    dead = await sqs(
        "get_queue_attributes", QueueUrl=names.dead_letter_url, AttributeNames=["QueueArn"]
    )
    redrive = {
        "deadLetterTargetArn": dead["Attributes"]["QueueArn"],
        "maxReceiveCount": MAX_RECEIVES,
    }
    attributes = {
        "MessageRetentionPeriod": str(KEPT_SECONDS),
        "VisibilityTimeout": str(HOLD_SECONDS),
        "RedrivePolicy": json.dumps(redrive),
    }
    await _make(sqs, names.queue_url, attributes)


async def _make(sqs: AwsClient, url: str, attributes: dict[str, str]) -> None:
    """Create a queue for messages of 1 MiB, or of the emulator's limit."""
    largest = {"MaximumMessageSize": str(MAX_MESSAGE_BYTES)}
    try:
        try:
            await sqs("create_queue", QueueName=_name(url), Attributes=attributes | largest)
        except ClientError as exc:
            if code_of(exc) != "InvalidAttributeValue":
                raise
            await sqs("create_queue", QueueName=_name(url), Attributes=attributes)
    except ClientError as exc:
        if code_of(exc) not in _IS_THERE:
            raise


def _name(url: str) -> str:
    parts = urlsplit(url)
    return parts.path.rpartition("/")[2] if parts.scheme in {"http", "https"} else ""
