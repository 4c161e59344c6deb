"""Every implementation of the event logs of background answers, opened twice for a contract."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import apsw

from domain.entities.background.answer import AnswerKey
from domain.interfaces.answer_log import AnswerLog
from infra.answers.sqlite.store import ANSWERS_FILE, open_sqlite_answers
from tests.fakes.answer_log import InMemoryAnswerLog
from tests.fakes.clock import FakeClock

READ_SECONDS = 10.0
"""Far above the product's own limit: a busy test machine is not what is tested here."""
KEEP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Logs:
    """Two logs over one store, as two processes have them.

    Attributes:
        clock: Of both.
        spoil: Replaces the records that were written last by a JSON array.
        reopened: Opens the store once more.
    """

    one: AnswerLog
    other: AnswerLog
    clock: FakeClock
    spoil: Callable[[AnswerKey, bytes], Awaitable[None]]
    reopened: Callable[[], AbstractAsyncContextManager[AnswerLog]]


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Logs]:
    """The file of one host."""
    clock = FakeClock()

    def opened() -> AbstractAsyncContextManager[AnswerLog]:
        return open_sqlite_answers(
            folder, clock, keep_seconds=KEEP_SECONDS, read_seconds=READ_SECONDS
        )

    async def spoil(key: AnswerKey, body: bytes) -> None:
        with apsw.Connection(str(folder / ANSWERS_FILE)) as connection:
            connection.execute(
                "UPDATE answer_record SET body = ?1 WHERE user_id = ?2 AND id = ?3 AND position ="
                " (SELECT max(position) FROM answer_record WHERE user_id = ?2 AND id = ?3)",
                (body, key.user_id, key.interaction_id),
            )
        connection.close()

    async with opened() as one, opened() as other:
        yield Logs(one, other, clock, spoil, opened)


@asynccontextmanager
async def in_memory(_folder: Path) -> AsyncIterator[Logs]:
    """The fake of unit tests."""
    clock = FakeClock()
    one = InMemoryAnswerLog(clock, keep_seconds=KEEP_SECONDS)

    def another() -> InMemoryAnswerLog:
        return InMemoryAnswerLog(clock, keep_seconds=KEEP_SECONDS, logs=one.logs)

    async def spoil(key: AnswerKey, _body: bytes) -> None:
        one.logs[key].is_damaged = True

    yield Logs(one, another(), clock, spoil, lambda: nullcontext(another()))


LOGS = {"memory": in_memory, "sqlite": sqlite}
