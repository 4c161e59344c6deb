"""The event logs of background answers in DynamoDB."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LeaseState, LogPage, LogRecord, TakenOver
from domain.entities.interaction import first_id_after
from domain.exceptions import AnswerExists, HistoryDamaged, HistoryUnavailable, HistoryUnreadable
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.clock import Clock
from infra.answers.bodies import packed, unpacked
from infra.answers.chunks import Chunk, Stored, add, page_of
from infra.answers.dynamodb.logs import DynamoLogs, Found
from infra.answers.format import answer_in, json_of_answer, records_in
from infra.answers.requests import RequestCache
from infra.history.format.documents import UnreadableDocument
from infra.storage.aws.access import AwsAccess
from infra.storage.aws.client import open_client
from infra.storage.aws.dynamodb_table import Table
from infra.storage.aws.errors import translate_errors
from infra.tasks.notifier import Notifier

TRIES = 2
WRITE_SECONDS = 10.0
PACKED_FROM_BYTES = 1024
MAX_PACKED_BYTES = 3_900_000
"""A chunk and its parts are written in one transaction of at most 4 MB."""
MAX_POSITIONS = 4096


class DynamoAnswerLog(AnswerLog):
    """The logs and leases in the table of history, with the layout described in `items.py`."""

    write_pause_seconds = 0.1
    poll_seconds = 0.25

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
        self._logs = DynamoLogs(table, keep_seconds=keep_seconds)
        self._clock = clock
        self._read_seconds = read_seconds
        self._requests = RequestCache()
        self._positions = _Positions()
        self._additions = Notifier[AnswerKey]()

    async def begin(self, answer: BackgroundAnswer, *, lease_seconds: float) -> AnswerLease:
        request = await _packed(json_of_answer(answer))
        async with self._writing():
            is_created = await self._logs.begin(
                answer.key,
                request,
                now_milliseconds=self._clock.now_milliseconds(),
                lease_until=self._lease_until(lease_seconds),
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
        async with self._writing():
            return await self._logs.renew(leases, self._lease_until(lease_seconds))

    async def look(self, leases: Sequence[AnswerLease]) -> Sequence[LeaseState]:
        async with self._writing():
            return await self._logs.states(leases)

    async def give_up(self, lease: AnswerLease) -> None:
        async with self._writing():
            await self._logs.give_up(lease, self._clock.now_milliseconds())

    async def abandoned(self, *, limit: int) -> Sequence[AnswerKey]:
        async with self._writing():
            return await self._logs.abandoned(self._clock.now_milliseconds(), limit)

    async def take_over(self, key: AnswerKey, *, lease_seconds: float) -> TakenOver | None:
        with _decoding():
            async with self._writing():
                taken = await self._logs.take_over(
                    key,
                    now_milliseconds=self._clock.now_milliseconds(),
                    lease_until=self._lease_until(lease_seconds),
                )
            if taken is None:
                return None
            answer = answer_in(await unpacked(taken.request))
            records = [
                record
                for chunk in taken.chunks
                for record in records_in(await unpacked(chunk.body))
            ]
        written = [
            chunk.written_milliseconds
            for chunk in taken.chunks
            if chunk.written_milliseconds is not None
        ]
        return TakenOver(
            answer=answer,
            lease=taken.lease,
            records=records,
            is_stopped=taken.is_stopped,
            last_written_milliseconds=written[-1] if written else taken.begun_milliseconds,
        )

    async def read(self, key: AnswerKey, *, after: int, limit: int) -> LogPage | None:
        answer = self._requests.get(key)
        with _decoding(), translate_errors(HistoryUnreadable, "DynamoDB"):
            async with asyncio.timeout(self._read_seconds):
                found = await self._logs.find(
                    key,
                    after=after,
                    limit=limit,
                    from_position=self._positions.get(key, after),
                    with_request=answer is None,
                    now_milliseconds=self._clock.now_milliseconds(),
                )
            if found is None:
                self._requests.drop(key)
                return None
            if answer is None:
                body = await unpacked(found.request or b"")
                answer = answer_in(body)
                self._requests.keep(answer, len(body))
            bodies = [(chunk.first_number, await unpacked(chunk.body)) for chunk in found.chunks]
            page = page_of(answer, bodies, after=after, limit=limit, end_number=found.end_number)
        self._positions.note(key, after + len(page.events), found)
        return page

    def subscribe(self, key: AnswerKey) -> AbstractContextManager[asyncio.Event]:
        return self._additions.subscribe(key)

    async def stop(self, key: AnswerKey) -> bool:
        with translate_errors(HistoryUnreadable, "DynamoDB"):
            async with asyncio.timeout(WRITE_SECONDS):
                return await self._logs.stop(key)

    async def erase(self, key: AnswerKey) -> None:
        async with self._writing():
            await self._logs.erase(key, self._clock.now_milliseconds())
        self._requests.drop(key)
        self._additions.notify((key,))

    async def erase_all(self, user_id: str, until_id: str) -> None:
        with translate_errors(HistoryUnavailable, "DynamoDB"):
            async for key in self._logs.to_erase(user_id, first_id_after(until_id)):
                await self.erase(key)

    async def purge(self) -> None:
        """Do nothing: the table removes expired items."""

    async def _put(self, chunk: Chunk) -> Stored:
        body = await _packed(chunk.body)
        async with self._writing():
            stored = await self._logs.put(replace(chunk, body=body), self._clock.now_milliseconds())
        self._additions.notify((chunk.key,))
        return stored

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        with translate_errors(HistoryUnavailable, "DynamoDB"):
            async with asyncio.timeout(WRITE_SECONDS):
                yield

    def _lease_until(self, lease_seconds: float) -> int:
        return self._clock.now_milliseconds() + round(lease_seconds * 1000)


class _Positions:
    """Remembers the chunk where a reader goes on, so that a page does not read the log from its beginning."""

    def __init__(self) -> None:
        self._by_number: OrderedDict[tuple[AnswerKey, int], int] = OrderedDict()

    def get(self, key: AnswerKey, after: int) -> int:
        """Return a position before which there are no events with numbers greater than `after`."""
        position = self._by_number.get((key, after), 0)
        if position:
            self._by_number.move_to_end((key, after))
        return position

    def note(self, key: AnswerKey, number: int, found: Found) -> None:
        """Remember where the event after `number` is or will be, from the chunks that contain it."""
        if not found.chunks:
            return
        positions = (chunk.position for chunk in found.chunks if chunk.next_number > number + 1)
        self._by_number[key, number] = next(positions, found.chunks[-1].position + 1)
        if len(self._by_number) > MAX_POSITIONS:
            self._by_number.popitem(last=False)


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except UnreadableDocument as exc:
        raise HistoryDamaged("an event log in DynamoDB cannot be read") from exc


async def _packed(body: bytes) -> bytes:
    return await packed(body, from_bytes=PACKED_FROM_BYTES, max_bytes=MAX_PACKED_BYTES)


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
