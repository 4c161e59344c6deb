"""Logs of background answers in memory; it checks what the real ones check."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LeaseState, LogPage, LogRecord, TakenOver, is_event
from domain.entities.interaction import first_id_after
from domain.exceptions import (
    AnswerExists,
    HistoryDamaged,
    HistoryUnavailable,
    HistoryUnreadable,
    LeaseLost,
)
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.clock import Clock
from infra.answers.format import json_of_answer, json_of_records


@dataclass
class StoredLog:
    """One log.

    Attributes:
        chunks: What each append stored: the epoch of its lease, and its records.
        is_damaged: Its records cannot be read.
    """

    answer: BackgroundAnswer
    lease_until_milliseconds: int
    written_milliseconds: int
    epoch: int = 1
    takeovers: int = 0
    was_given_up: bool = False
    is_stopped: bool = False
    ended_milliseconds: int | None = None
    chunks: list[tuple[int, Sequence[LogRecord]]] = field(default_factory=list)
    is_damaged: bool = False

    @property
    def records(self) -> list[LogRecord]:
        """All records, in order."""
        return [record for _, records in self.chunks for record in records]

    @property
    def events(self) -> list[LogRecord]:
        """The records that readers see."""
        return [record for record in self.records if is_event(record)]

    @property
    def is_ended(self) -> bool:
        """Whether the last record is there."""
        return self.ended_milliseconds is not None


class InMemoryAnswerLog(AnswerLog):
    """Logs of one process, or of several that share `logs` and `erased`.

    Attributes:
        logs: What is stored.
        erased: The ids whose logs were erased; none of them gets another log.
        failures: Number of appends to come that fail.
        losses: Number of appends to come that are stored and fail nevertheless.
        is_away: Whether every call fails.
        appends: The records of each append that was stored.
        blocked: What appends wait for; None: for nothing.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        write_pause_seconds: float = 0.0,
        keep_seconds: float = 3600.0,
        logs: dict[AnswerKey, StoredLog] | None = None,
        erased: set[AnswerKey] | None = None,
    ) -> None:
        self.write_pause_seconds = write_pause_seconds
        self.poll_seconds = 0.01
        self.logs = {} if logs is None else logs
        self.erased = set() if erased is None else erased
        self.failures = 0
        self.losses = 0
        self.is_away = False
        self.appends: list[list[LogRecord]] = []
        self.blocked: asyncio.Event | None = None
        self._clock = clock
        self._keep_milliseconds = round(keep_seconds * 1000)
        self._subscribers: list[tuple[AnswerKey, asyncio.Event]] = []

    async def begin(self, answer: BackgroundAnswer, *, lease_seconds: float) -> AnswerLease:
        self._check_writable()
        json_of_answer(answer)  # raises `Unstorable`
        if answer.key in self.logs or answer.key in self.erased:
            raise AnswerExists
        self.logs[answer.key] = StoredLog(
            answer, self._until(lease_seconds), written_milliseconds=self._clock.now_milliseconds()
        )
        self._lose()
        return AnswerLease(key=answer.key, epoch=1)

    async def append(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        await self._add(lease, records, is_end=False)

    async def end(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        await self._add(lease, records, is_end=True)

    async def _add(self, lease: AnswerLease, records: Sequence[LogRecord], *, is_end: bool) -> None:
        if self.blocked is not None:
            await self.blocked.wait()
        self._check_writable()
        if self.failures:
            self.failures -= 1
            raise HistoryUnavailable
        json_of_records(records)  # raises `Unstorable`
        while records:
            stored = self._put(lease, records, is_end)
            self._lose()
            lease.next_position += 1
            lease.next_number += sum(map(is_event, stored))
            records = records[len(stored) :]

    def _put(
        self, lease: AnswerLease, records: Sequence[LogRecord], is_end: bool
    ) -> Sequence[LogRecord]:
        """Return what is stored at the position of the lease."""
        log = self.logs.get(lease.key)
        if log is None:
            raise LeaseLost
        if lease.next_position < len(log.chunks):
            epoch, stored = log.chunks[lease.next_position]
            if epoch != lease.epoch:
                raise LeaseLost
            return stored
        if log.is_ended or log.epoch != lease.epoch:
            raise LeaseLost
        log.chunks.append((lease.epoch, tuple(records)))
        log.written_milliseconds = self._clock.now_milliseconds()
        if is_end:
            log.ended_milliseconds = log.written_milliseconds
        self.appends.append(list(records))
        self._notify(lease.key)
        return records

    async def renew(
        self, leases: Sequence[AnswerLease], *, lease_seconds: float
    ) -> Sequence[LeaseState]:
        states = await self.look(leases)
        for lease, state in zip(leases, states, strict=True):
            if state is not LeaseState.LOST:
                self.logs[lease.key].lease_until_milliseconds = self._until(lease_seconds)
        return states

    async def look(self, leases: Sequence[AnswerLease]) -> Sequence[LeaseState]:
        self._check_writable()
        return [self._state(lease) for lease in leases]

    async def give_up(self, lease: AnswerLease) -> None:
        self._check_writable()
        if self._state(lease) is not LeaseState.LOST:
            log = self.logs[lease.key]
            log.lease_until_milliseconds = self._clock.now_milliseconds()
            log.was_given_up = True

    async def abandoned(self, *, limit: int) -> Sequence[AnswerKey]:
        self._check_writable()
        now = self._clock.now_milliseconds()
        due = [
            (log.lease_until_milliseconds, key)
            for key, log in self.logs.items()
            if not log.is_ended and log.lease_until_milliseconds <= now
        ]
        return [key for _, key in sorted(due, key=lambda pair: pair[0])][:limit]

    async def take_over(self, key: AnswerKey, *, lease_seconds: float) -> TakenOver | None:
        self._check_writable()
        log = self.logs.get(key)
        if log is None or log.is_ended:
            return None
        if log.lease_until_milliseconds > self._clock.now_milliseconds():
            return None
        log.takeovers += not log.was_given_up
        log.was_given_up = False
        log.epoch += 1
        if log.is_damaged:
            log.was_given_up = True
            log.lease_until_milliseconds = self._clock.now_milliseconds()
            raise HistoryDamaged
        log.lease_until_milliseconds = self._until(lease_seconds)
        return TakenOver(
            answer=log.answer,
            lease=AnswerLease(
                key=key,
                epoch=log.epoch,
                takeovers=log.takeovers,
                next_position=len(log.chunks),
                next_number=len(log.events),
            ),
            records=log.records,
            is_stopped=log.is_stopped,
            last_written_milliseconds=log.written_milliseconds,
        )

    async def read(self, key: AnswerKey, *, after: int, limit: int) -> LogPage | None:
        if self.is_away:
            raise HistoryUnreadable
        log = self.logs.get(key)
        if log is None or self._is_expired(log):
            return None
        self._check_readable(log)
        events = log.events
        page = tuple(events[after + 1 : after + 1 + limit])
        return LogPage(
            answer=log.answer,
            first_number=after + 1,
            events=page,  # type: ignore[arg-type]
            is_ended=log.is_ended and after + 1 + len(page) >= len(events),
        )

    @contextmanager
    def subscribe(self, key: AnswerKey) -> Iterator[asyncio.Event]:
        entry = (key, asyncio.Event())
        self._subscribers.append(entry)
        try:
            yield entry[1]
        finally:
            self._subscribers.remove(entry)

    async def stop(self, key: AnswerKey) -> bool:
        if self.is_away:
            raise HistoryUnreadable
        log = self.logs.get(key)
        if log is None or log.is_ended:
            return False
        log.is_stopped = True
        return True

    async def erase(self, key: AnswerKey) -> None:
        self._check_writable()
        if self.logs.pop(key, None) is not None:
            self.erased.add(key)
        self._notify(key)

    async def erase_all(self, user_id: str, until_id: str) -> None:
        before_id = first_id_after(until_id)
        for key in list(self.logs):
            if key.user_id == user_id and key.interaction_id < before_id:
                await self.erase(key)

    async def purge(self) -> None:
        for key, log in list(self.logs.items()):
            if self._is_expired(log):
                del self.logs[key]

    def _is_expired(self, log: StoredLog) -> bool:
        until = self._clock.now_milliseconds() - self._keep_milliseconds
        return log.ended_milliseconds is not None and log.ended_milliseconds <= until

    def _check_writable(self) -> None:
        if self.is_away:
            raise HistoryUnavailable

    def _check_readable(self, log: StoredLog) -> None:
        if log.is_damaged:
            raise HistoryDamaged

    def _lose(self) -> None:
        if self.losses:
            self.losses -= 1
            raise HistoryUnavailable

    def _state(self, lease: AnswerLease) -> LeaseState:
        log = self.logs.get(lease.key)
        if log is None or log.is_ended or log.was_given_up or log.epoch != lease.epoch:
            return LeaseState.LOST
        return LeaseState.STOPPED if log.is_stopped else LeaseState.HELD

    def _until(self, lease_seconds: float) -> int:
        return self._clock.now_milliseconds() + round(lease_seconds * 1000)

    def _notify(self, key: AnswerKey) -> None:
        for subscribed, event in self._subscribers:
            if subscribed == key:
                event.set()
