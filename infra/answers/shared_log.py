"""The base of event logs in a store that all hosts share."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LeaseState, LogPage, LogRecord, TakenOver
from domain.entities.interaction import first_id_after
from domain.exceptions import (
    AnswerExists,
    HistoryDamaged,
    HistoryError,
    HistoryUnavailable,
    HistoryUnreadable,
)
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.clock import Clock
from infra.answers.bodies import packed, unpacked
from infra.answers.chunks import Chunk, Stored, add, page_of
from infra.answers.format import answer_in, json_of_answer, records_in
from infra.answers.logs import SharedLogs
from infra.answers.requests import RequestCache
from infra.history.format.documents import UnreadableDocument
from infra.tasks.notifier import Notifier

T = TypeVar("T")

WRITE_SECONDS = 10.0


class SharedAnswerLog(AnswerLog):
    """Packs requests and records for `SharedLogs`; subclasses limit the time of its calls and translate their errors.

    Attributes:
        packed_from_bytes: Bodies of this size or more are compressed.
        max_packed_bytes: Largest body that the store takes.
    """

    packed_from_bytes: int
    max_packed_bytes: int

    def __init__(self, logs: SharedLogs, clock: Clock, *, read_seconds: float) -> None:
        """Use the logs of a store.

        Args:
            logs: The logs.
            clock: For leases.
            read_seconds: Time limit of a read.
        """
        self._logs = logs
        self._clock = clock
        self._read_seconds = read_seconds
        self._requests = RequestCache()
        self._additions = Notifier[AnswerKey]()

    @abstractmethod
    async def _within(
        self, seconds: float, error: type[HistoryError], call: Coroutine[Any, Any, T]
    ) -> T:
        """Return the result of a call; raises `error` where the driver fails or takes longer."""
        ...

    async def begin(self, answer: BackgroundAnswer, *, lease_seconds: float) -> AnswerLease:
        request = await self._packed(json_of_answer(answer))
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
        leases: list[AnswerLease] = []
        try:
            return await self._take_over(key, lease_seconds, leases.append)
        except BaseException:
            for lease in leases:
                with suppress(HistoryError):
                    await self.give_up(lease)
            raise

    async def _take_over(
        self, key: AnswerKey, lease_seconds: float, on_lease: Callable[[AnswerLease], None]
    ) -> TakenOver | None:
        with _decoding():
            taken = await self._written(
                self._logs.take_over(
                    key,
                    now_milliseconds=self._clock.now_milliseconds(),
                    lease_until=self._lease_until(lease_seconds),
                    on_lease=on_lease,
                )
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
        with _decoding():
            found = await self._within(
                self._read_seconds,
                HistoryUnreadable,
                self._logs.find(
                    key,
                    after=after,
                    limit=limit,
                    with_request=answer is None,
                    now_milliseconds=self._clock.now_milliseconds(),
                ),
            )
            if found is None:
                self._requests.drop(key)
                return None
            if answer is None:
                body = await unpacked(found.request or b"")
                answer = answer_in(body)
                self._requests.keep(answer, len(body))
            bodies = [(chunk.first_number, await unpacked(chunk.body)) for chunk in found.chunks]
            return page_of(answer, bodies, after=after, limit=limit, end_number=found.end_number)

    def subscribe(self, key: AnswerKey) -> AbstractContextManager[asyncio.Event]:
        return self._additions.subscribe(key)

    async def stop(self, key: AnswerKey) -> bool:
        return await self._within(WRITE_SECONDS, HistoryUnreadable, self._logs.stop(key))

    async def erase(self, key: AnswerKey) -> None:
        await self._written(self._logs.erase(key, self._clock.now_milliseconds()))
        self._requests.drop(key)
        self._additions.notify((key,))

    async def erase_all(self, user_id: str, until_id: str) -> None:
        before_id, after_id = first_id_after(until_id), ""
        while keys := await self._written(
            self._logs.to_erase(user_id, after_id=after_id, before_id=before_id)
        ):
            for key in keys:
                await self.erase(key)
            after_id = keys[-1].interaction_id

    async def purge(self) -> None:
        """Do nothing: the store removes expired logs."""

    async def _put(self, chunk: Chunk) -> Stored:
        body = await self._packed(chunk.body)
        stored = await self._written(
            self._logs.put(replace(chunk, body=body), self._clock.now_milliseconds())
        )
        self._additions.notify((chunk.key,))
        return stored

    async def _written(self, call: Coroutine[Any, Any, T]) -> T:
        return await self._within(WRITE_SECONDS, HistoryUnavailable, call)

    async def _packed(self, body: bytes) -> bytes:
        return await packed(
            body, from_bytes=self.packed_from_bytes, max_bytes=self.max_packed_bytes
        )

    def _lease_until(self, lease_seconds: float) -> int:
        return self._clock.now_milliseconds() + round(lease_seconds * 1000)


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except UnreadableDocument as exc:
        raise HistoryDamaged("an event log in the store cannot be read") from exc
