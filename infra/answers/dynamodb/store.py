"""The event logs of background answers in DynamoDB."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from domain.exceptions import HistoryError
from domain.interfaces.clock import Clock
from infra.answers.dynamodb.logs import DynamoLogs
from infra.answers.shared_log import SharedAnswerLog
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import open_client
from infra.storage.aws.dynamodb_table import Table
from infra.storage.aws.errors import translate_errors

T = TypeVar("T")

TRIES = 2
MAX_PACKED_BYTES = 3_900_000
"""A chunk and its parts are written in one transaction of at most 4 MB."""


class DynamoAnswerLog(SharedAnswerLog):
    """The logs and leases in the table of history, with the layout described in `items.py`; it removes expired logs."""

    write_pause_seconds = 0.1
    poll_seconds = 0.25
    packed_from_bytes = 1024
    max_packed_bytes = MAX_PACKED_BYTES

    def __init__(
        self, table: Table, clock: Clock, *, keep_seconds: float, read_seconds: float
    ) -> None:
        """Use a table.

        Args:
            table: The table.
            clock: For leases.
            keep_seconds: How long a log stays after its end.
            read_seconds: Time limit of a read.
        """
        super().__init__(
            DynamoLogs(table, keep_seconds=keep_seconds), clock, read_seconds=read_seconds
        )

    async def _within(
        self, seconds: float, error: type[HistoryError], call: Coroutine[Any, Any, T]
    ) -> T:
        with translate_errors(error, "DynamoDB"):
            async with asyncio.timeout(seconds):
                return await call


@asynccontextmanager
async def open_dynamo_answers(
    access: AwsAccess, *, table: str, clock: Clock, keep_seconds: float, read_seconds: float
) -> AsyncIterator[DynamoAnswerLog]:
    """Keep logs in a table of DynamoDB; it need not be reachable yet.

    Raises:
        ConfigurationError: No region is known, or the endpoint is not a URL.
    """
    async with open_client("dynamodb", access, tries=TRIES) as dynamodb:
        yield DynamoAnswerLog(
            Table(dynamodb, table), clock, keep_seconds=keep_seconds, read_seconds=read_seconds
        )
