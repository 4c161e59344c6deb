"""Logs of background answers in memory; it checks what the real ones check."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LeaseState, LogPage, LogRecord, TakenOver, is_event
from domain.exceptions import HistoryUnavailable, LeaseLost
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.clock import Clock


@dataclass
class StoredLog:
    """One log."""

    answer: BackgroundAnswer
    lease_until_milliseconds: int
    epoch: int = 1
    takeovers: int = 0
    was_given_up: bool = False
    is_stopped: bool = False
    is_ended: bool = False
    records: list[LogRecord] = field(default_factory=list)
    written_milliseconds: int = 0


class InMemoryAnswerLog(AnswerLog):
    """Logs of one process.

    Attributes:
        logs: What is stored.
        failures: Number of appends to come that fail.
        appends: The records of each append.
    """

    def __init__(self, clock: Clock, *, write_pause_seconds: float = 0.0) -> None:
        self.write_pause_seconds = write_pause_seconds
        self.poll_seconds = 0.01
        self.logs: dict[AnswerKey, StoredLog] = {}
        self.failures = 0
        self.appends: list[list[LogRecord]] = []
        self._clock = clock
        self._subscribers: list[tuple[AnswerKey, asyncio.Event]] = []

    async def begin(self, answer: BackgroundAnswer, *, lease_seconds: float) -> AnswerLease:
        if answer.key in self.logs:
            raise HistoryUnavailable("there is one")
        self.logs[answer.key] = StoredLog(
            answer, self._until(lease_seconds), written_milliseconds=self._clock.now_milliseconds()
        )
        return AnswerLease(key=answer.key, epoch=1)

    async def append(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        if self.failures:
            self.failures -= 1
            raise HistoryUnavailable("a test says so")
        log = self._held(lease)
        log.records += records
        log.written_milliseconds = self._clock.now_milliseconds()
        self.appends.append(list(records))
        self._notify(lease.key)

    async def end(self, lease: AnswerLease, records: Sequence[LogRecord]) -> None:
        await self.append(lease, records)
        self.logs[lease.key].is_ended = True

    async def renew(
        self, leases: Sequence[AnswerLease], *, lease_seconds: float
    ) -> Sequence[LeaseState]:
        states = await self.look(leases)
        for lease, state in zip(leases, states, strict=True):
            if state is not LeaseState.LOST:
                self.logs[lease.key].lease_until_milliseconds = self._until(lease_seconds)
        return states

    async def look(self, leases: Sequence[AnswerLease]) -> Sequence[LeaseState]:
        return [self._state(lease) for lease in leases]

    async def give_up(self, lease: AnswerLease) -> None:
        if self._state(lease) is not LeaseState.LOST:
            log = self.logs[lease.key]
            log.lease_until_milliseconds = 0
            log.was_given_up = True

    async def abandoned(self, *, limit: int) -> Sequence[AnswerKey]:
        now = self._clock.now_milliseconds()
        due = [
            (log.lease_until_milliseconds, key)
            for key, log in self.logs.items()
            if not log.is_ended and log.lease_until_milliseconds <= now
        ]
        return [key for _, key in sorted(due, key=lambda pair: pair[0])][:limit]

    async def take_over(self, key: AnswerKey, *, lease_seconds: float) -> TakenOver | None:
        log = self.logs.get(key)
        if log is None or log.is_ended:
            return None
        if log.lease_until_milliseconds > self._clock.now_milliseconds():
            return None
        log.takeovers += not log.was_given_up
        log.was_given_up = False
        log.epoch += 1
        log.lease_until_milliseconds = self._until(lease_seconds)
        return TakenOver(
            answer=log.answer,
            lease=AnswerLease(key=key, epoch=log.epoch, takeovers=log.takeovers),
            records=tuple(log.records),
            is_stopped=log.is_stopped,
            last_written_milliseconds=log.written_milliseconds,
        )

    async def read(self, key: AnswerKey, *, after: int, limit: int) -> LogPage | None:
        log = self.logs.get(key)
        if log is None:
            return None
        events = [record for record in log.records if is_event(record)]
        page = events[after + 1 : after + 1 + limit]
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
        log = self.logs.get(key)
        if log is None or log.is_ended:
            return False
        log.is_stopped = True
        return True

    async def erase(self, key: AnswerKey) -> None:
        self.logs.pop(key, None)
        self._notify(key)

    async def erase_all(self, user_id: str, until_id: str) -> None:
        for key in list(self.logs):
            if key.user_id == user_id and key.interaction_id[:13] <= until_id[:13]:
                await self.erase(key)

    async def purge(self) -> None:
        for key, log in list(self.logs.items()):
            if log.is_ended:
                del self.logs[key]

    def _state(self, lease: AnswerLease) -> LeaseState:
        log = self.logs.get(lease.key)
        if log is None or log.is_ended or log.epoch != lease.epoch:
            return LeaseState.LOST
        return LeaseState.STOPPED if log.is_stopped else LeaseState.HELD

    def _held(self, lease: AnswerLease) -> StoredLog:
        if self._state(lease) is LeaseState.LOST:
            raise LeaseLost("another process has it")
        return self.logs[lease.key]

    def _until(self, lease_seconds: float) -> int:
        return self._clock.now_milliseconds() + round(lease_seconds * 1000)

    def _notify(self, key: AnswerKey) -> None:
        for subscribed, event in self._subscribers:
            if subscribed == key:
                event.set()
