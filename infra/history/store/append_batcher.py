"""Batching of concurrent appends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from domain.entities.interaction import Interaction
from domain.exceptions import HistoryUnavailable, Unstorable

MAX_BATCH_ROWS = 256

_Waiting = tuple[Interaction, "asyncio.Future[None]"]


class Batcher:
    """Writes the appends that arrive during a write as the next batch of at most 256; adds no delay.

    When the store refuses an interaction permanently, only that append fails, not its batch.
    """

    def __init__(self, write: Callable[[Sequence[Interaction]], Awaitable[None]]) -> None:
        """Batch for `write`, which stores all interactions or raises `HistoryUnavailable`."""
        self._write = write
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, interaction: Interaction) -> None:
        """Return once `interaction` is written; raises the error of its batch."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((interaction, done))
        if self._writing is None:
            self._writing = loop.create_task(self._write_all())
        await done

    async def drain(self) -> None:
        """Return once no append is pending."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:MAX_BATCH_ROWS]
                del self._waiting[:MAX_BATCH_ROWS]
                await self._write_batch(batch)
        finally:
            self._writing = None
            # Appends are left only after a cancellation or at the end of the process.
            waiting, self._waiting = self._waiting, []
            _fail(waiting, HistoryUnavailable("not written: the writing was cancelled"))

    async def _write_batch(self, batch: Sequence[_Waiting]) -> None:
        try:
            await self._write([interaction for interaction, _ in batch])
        except Unstorable as exc:
            if len(batch) == 1:
                _fail(batch, exc)
                return
            middle = len(batch) // 2
            await self._write_batch(batch[:middle])
            await self._write_batch(batch[middle:])
        except Exception as exc:  # noqa: BLE001 - raised by the appends; the next batch is written
            _fail(batch, exc)
        except BaseException:
            _fail(batch, HistoryUnavailable("not written: the writing was cancelled"))
            raise
        else:
            for _, done in batch:
                if not done.done():
                    done.set_result(None)


def _fail(waiting: Sequence[_Waiting], error: BaseException) -> None:
    for _, done in waiting:
        if not done.done():
            done.set_exception(_for_one(error))


def _for_one(error: BaseException) -> BaseException:
    """Return an error for one append: a shared one would collect the tracebacks of all."""
    if isinstance(error, HistoryUnavailable):
        own = type(error)(*error.args)
        own.__cause__ = error
        return own
    return error
