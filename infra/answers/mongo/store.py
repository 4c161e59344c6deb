"""The event logs of background answers in MongoDB."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from domain.exceptions import HistoryError
from domain.interfaces.clock import Clock
from infra.answers.mongo.documents import CHUNK_INDEXES, HEADER_INDEXES
from infra.answers.mongo.logs import MongoLogs
from infra.answers.shared_log import SharedAnswerLog
from infra.history.mongo.errors import translate_errors
from infra.history.mongo.index_builder import make_indexes
from infra.storage.mongo.client import MongoAccess, connected_when_needed
from infra.tasks.supervised import running_tasks

T = TypeVar("T")

MAX_PACKED_BYTES = 15 * 1024 * 1024
"""MongoDB compresses on its own, but limits a document to 16 MiB."""


class MongoAnswerLog(SharedAnswerLog):
    """The collections `answers`, with requests and leases, and `answer_records`; the server removes expired logs."""

    write_pause_seconds = 0.1
    poll_seconds = 0.2
    packed_from_bytes = 256 * 1024
    max_packed_bytes = MAX_PACKED_BYTES

    def __init__(
        self, access: MongoAccess, clock: Clock, *, keep_seconds: float, read_seconds: float
    ) -> None:
        """Use a database.

        Args:
            access: The database.
            clock: For leases.
            keep_seconds: How long a log stays after its end.
            read_seconds: Time limit of a read.
        """
        logs = MongoLogs(access, keep_seconds=keep_seconds)
        super().__init__(logs, clock, read_seconds=read_seconds)
        self._collections = ((logs.headers, HEADER_INDEXES), (logs.chunks, CHUNK_INDEXES))
        self._calls = access.calls

    async def make_indexes(self) -> None:
        """Return once the indexes exist."""
        for collection, indexes in self._collections:
            await make_indexes(collection, indexes, self._calls)

    async def _within(
        self, seconds: float, error: type[HistoryError], call: Coroutine[Any, Any, T]
    ) -> T:
        with translate_errors(error):
            return await self._calls.within(seconds, call)


@asynccontextmanager
async def open_mongo_answers(
    uri: str, *, database: str, clock: Clock, keep_seconds: float, read_seconds: float
) -> AsyncIterator[MongoAnswerLog]:
    """Keep logs in MongoDB at `uri`; connects on first use.

    Raises:
        ConfigurationError: The URI or the name of the database is invalid.
    """
    async with connected_when_needed(uri, database) as access:
        log = MongoAnswerLog(access, clock, keep_seconds=keep_seconds, read_seconds=read_seconds)
        async with running_tasks(log.make_indexes):
            yield log
