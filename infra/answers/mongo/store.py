"""The event logs of background answers in MongoDB."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LeaseState, LogPage, LogRecord, TakenOver
from domain.entities.interaction import first_id_after
from domain.exceptions import AnswerExists, HistoryDamaged, HistoryUnavailable, HistoryUnreadable
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.clock import Clock
from infra.answers.bodies import packed, unpacked
from infra.answers.chunks import Chunk, Stored, add, page_of
from infra.answers.format import answer_in, json_of_answer, records_in
from infra.answers.mongo.documents import CHUNK_INDEXES, HEADER_INDEXES
from infra.answers.mongo.logs import MongoLogs
from infra.answers.requests import RequestCache
from infra.history.format.documents import UnreadableDocument
from infra.history.mongo.errors import translate_errors
from infra.history.mongo.index_builder import make_indexes
from infra.storage.mongo.client import MongoAccess, connected_when_needed
from infra.tasks.notifier import Notifier
from infra.tasks.supervised import running_tasks

T = TypeVar("T")

WRITE_SECONDS = 10.0
PACKED_FROM_BYTES = 256 * 1024
MAX_PACKED_BYTES = 15 * 1024 * 1024
"""MongoDB compresses on its own, but limits a document to 16 MiB."""


class MongoAnswerLog(AnswerLog):
    """The collections `answers`, with requests and leases, and `answer_records`; the server removes expired logs."""

    write_pause_seconds = 0.1
    poll_seconds = 0.2

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
        self._logs = MongoLogs(access, keep_seconds=keep_seconds)
        self._calls = access.calls
        self._clock = clock
        self._read_seconds = read_seconds
        self._requests = RequestCache()
        self._additions = Notifier[AnswerKey]()

    async def begin(self, answer: BackgroundAnswer, *, lease_seconds: float) -> AnswerLease:
        request = await _packed(json_of_answer(answer))
        is_created = await self._written(
            self._logs.begin(
                answer.key,
                request,
                now_milliseconds=self._clock.now_milliseconds(),
                lease_until=self._lease_until(lease_seconds),
            )
        )
        if not is_created:
            raise AnswerExists
        return AnswerLease(key=answer.key, epoch=1)

    async def append(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        await add(lease, records, self._put)

    async def end(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        await add(lease, records, self._put, is_end=True)

    async def renew(
        self, leases: Sequence[AnswerLease], *, lease_seconds: float
    ) -> Sequence[LeaseState]:
        return await self._written(self._logs.renew(leases, self._lease_until(lease_seconds)))

    async def look(self, leases: Sequence[AnswerLease]) -> Sequence[LeaseState]:
        return await self._written(self._logs.states(leases))

    async def give_up(self, lease: AnswerLease) -> None:
        await self._written(self._logs.give_up(lease, self._clock.now_milliseconds()))

    async def abandoned(self, *, limit: int) -> Sequence[AnswerKey]:
        return await self._written(self._logs.abandoned(self._clock.now_milliseconds(), limit))

    async def take_over(self, key: AnswerKey, *, lease_seconds: float) -> TakenOver | None:
        taken = await self._written(
            self._logs.take_over(
                key,
                now_milliseconds=self._clock.now_milliseconds(),
                lease_until=self._lease_until(lease_seconds),
            )
        )
        if taken is None:
            return None
        try:
            answer = answer_in(await unpacked(taken.header["request"]))
            records = [
                record
                for chunk in taken.chunks
                for record in records_in(await unpacked(chunk["body"]))
            ]
        except UnreadableDocument as exc:
            raise HistoryDamaged("an event log in MongoDB cannot be read") from exc
        written = [chunk["at"] for chunk in taken.chunks if "at" in chunk]
        return TakenOver(
            answer=answer,
            lease=taken.lease,
            records=records,
            is_stopped=taken.header["isStopped"],
            last_written_milliseconds=written[-1] if written else taken.header["begun"],
        )

    async def read(self, key: AnswerKey, *, after: int, limit: int) -> LogPage | None:
        answer = self._requests.get(key)
        found = await self._read(
            self._logs.find(
                key,
                after=after,
                limit=limit,
                with_request=answer is None,
                now_milliseconds=self._clock.now_milliseconds(),
            )
        )
        if found is None:
            self._requests.drop(key)
            return None
        try:
            if answer is None:
                body = await unpacked(found.request or b"")
                answer = answer_in(body)
                self._requests.keep(answer, len(body))
            bodies = [(chunk["first"], await unpacked(chunk["body"])) for chunk in found.chunks]
            return page_of(answer, bodies, after=after, limit=limit, end_number=found.end_number)
        except UnreadableDocument as exc:
            raise HistoryDamaged("an event log in MongoDB cannot be read") from exc

    def subscribe(self, key: AnswerKey) -> AbstractContextManager[asyncio.Event]:
        return self._additions.subscribe(key)

    async def stop(self, key: AnswerKey) -> bool:
        with translate_errors(HistoryUnreadable):
            return await self._calls.within(WRITE_SECONDS, self._logs.stop(key))

    async def erase(self, key: AnswerKey) -> None:
        await self._written(self._logs.erase(key, self._clock.now_milliseconds()))
        self._requests.drop(key)
        self._additions.notify((key,))

    async def erase_all(self, user_id: str, until_id: str) -> None:
        before_id = first_id_after(until_id)
        while keys := await self._written(self._logs.to_erase(user_id, before_id)):
            for key in keys:
                await self.erase(key)

    async def purge(self) -> None:
        """Do nothing: the server removes expired documents."""

    async def make_indexes(self) -> None:
        """Return once the indexes exist."""
        await make_indexes(self._logs.headers, HEADER_INDEXES, self._calls)
        await make_indexes(self._logs.chunks, CHUNK_INDEXES, self._calls)

    async def _put(self, chunk: Chunk) -> Stored:
        body = await _packed(chunk.body)
        stored = await self._written(
            self._logs.put(replace(chunk, body=body), self._clock.now_milliseconds())
        )
        self._additions.notify((chunk.key,))
        return stored

    async def _written(self, call: Coroutine[Any, Any, T]) -> T:
        with translate_errors(HistoryUnavailable):
            return await self._calls.within(WRITE_SECONDS, call)

    async def _read(self, call: Coroutine[Any, Any, T]) -> T:
        with translate_errors(HistoryUnreadable):
            return await self._calls.within(self._read_seconds, call)

    def _lease_until(self, lease_seconds: float) -> int:
        return self._clock.now_milliseconds() + round(lease_seconds * 1000)


async def _packed(body: bytes) -> bytes:
    return await packed(body, from_bytes=PACKED_FROM_BYTES, max_bytes=MAX_PACKED_BYTES)


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
