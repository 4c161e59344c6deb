"""Moves interactions from the queue to the store."""

import asyncio
import itertools
import logging
import signal
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

from domain.exceptions import HistoryUnavailable, QueueUnavailable
from domain.interfaces.clock import Clock
from domain.interfaces.interaction_queue import Delivery, InteractionQueue
from domain.use_cases.record_interaction import RecordInteraction

logger = logging.getLogger(__name__)

T = TypeVar("T")

RECEIVERS = 4
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 8.0
TRIES_BETWEEN_BATCHES = 4
MAX_PROBE_DELIVERIES = 40


class Worker:
    """Runs several receive loops concurrently; each handles one batch at a time.

    While the store is unavailable, nothing is received, since every receive counts towards the dead-letter limit of a
    message. One batch is held, and its messages are tried in turn to detect when the store is available again. All
    other batches are returned to the queue. After every fourth attempt another batch is added, up to four batches: the
    cause may be messages that the store rejects instead of an outage.

    Receive loops continue after every error.
    """

    def __init__(
        self,
        record: RecordInteraction,
        queue: InteractionQueue,
        clock: Clock,
        *,
        receivers: int = RECEIVERS,
    ) -> None:
        self._record = record
        self._queue = queue
        self._clock = clock
        self._receivers = receivers
        self._stopping = asyncio.Event()
        self._store_is_available = asyncio.Event()
        self._store_is_available.set()

    def stop(self) -> None:
        """Make `run` return once the batches in progress are stored or returned to the queue.

        A pending receive is awaited, for at most 20 s: the messages of a cancelled one would stay invisible for a
        minute.
        """
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop`; the queue and the store may be unavailable at any time, also at the start."""
        logger.info("worker started")
        async with asyncio.TaskGroup() as receivers:
            for _ in range(self._receivers):
                receivers.create_task(self._receive_and_store())
        logger.info("worker stopped")

    async def _receive_and_store(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                await self._unless_stopping(self._store_is_available.wait())
                if self._stopping.is_set():
                    return
                deliveries = await self._queue.receive()
                if deliveries:
                    await self._handle(deliveries)
            except QueueUnavailable:
                logger.warning("the queue does not respond; trying again")
            except (Exception, asyncio.CancelledError) as exc:
                if task.cancelling():
                    raise
                task.get_loop().call_exception_handler(
                    {"message": "a receiver failed and continues", "exception": exc, "task": task}
                )
            else:
                pause_seconds = FIRST_PAUSE_SECONDS
                continue
            await self._unless_stopping(self._clock.sleep(pause_seconds))
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        async with self._keep_invisible(deliveries):
            if self._store_is_available.is_set() and not self._stopping.is_set():
                try:
                    await self._record(deliveries)
                    return
                except HistoryUnavailable:
                    if self._store_is_available.is_set():
                        await self._wait_for_store(deliveries)
                        return
            # Another batch already probes the store, or this one arrived after `stop`.
            await self._return_to_queue(deliveries)

    async def _wait_for_store(self, deliveries: Sequence[Delivery]) -> None:
        """Try one delivery at a time until one is stored, then store all others."""
        self._store_is_available.clear()
        logger.warning("the store does not respond; receiving stops")
        pause_seconds = FIRST_PAUSE_SECONDS
        held = list(deliveries)
        async with AsyncExitStack() as added_batches:
            try:
                for attempt in itertools.count(1):
                    await self._unless_stopping(self._clock.sleep(pause_seconds))
                    pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
                    if self._stopping.is_set():
                        await self._return_to_queue(held)
                        return
                    if attempt % TRIES_BETWEEN_BATCHES == 0 and len(held) < MAX_PROBE_DELIVERIES:
                        with suppress(QueueUnavailable):
                            more = await self._queue.receive()
                            await added_batches.enter_async_context(self._keep_invisible(more))
                            held += more
                    stored = await self._try_one(held, attempt)
                    if stored is not None:
                        held.remove(stored)
                        break
                logger.info("the store responds again")
                await self._record.each(held)
            finally:
                self._store_is_available.set()

    async def _try_one(self, deliveries: Sequence[Delivery], attempt: int) -> Delivery | None:
        """Try to store one delivery, a different one each time; return it if the store was available."""
        readable = [delivery for delivery in deliveries if delivery.interaction is not None]
        delivery = readable[attempt % len(readable)]
        try:
            await self._record([delivery])
        except HistoryUnavailable:
            return None
        return delivery

    async def _return_to_queue(self, deliveries: Sequence[Delivery]) -> None:
        # Without it, they become visible again when their visibility timeout ends.
        with suppress(QueueUnavailable):
            await self._queue.give_back(deliveries)

    @asynccontextmanager
    async def _keep_invisible(self, deliveries: Sequence[Delivery]) -> AsyncIterator[None]:
        """Keep other receivers from getting the deliveries while the block runs."""

        async def extend() -> None:
            while True:
                await self._clock.sleep(self._queue.hold_seconds / 2)
                with suppress(QueueUnavailable):
                    await self._queue.hold(deliveries)

        extending = asyncio.create_task(extend())
        try:
            yield
        finally:
            extending.cancel()
            await asyncio.wait([extending])

    async def _unless_stopping(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return the result of `work`; None if `stop` is called before it completes, which cancels it.

        After `stop`, `work` is not started.
        """
        if self._stopping.is_set():
            work.close()
            return None
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.wait({working, stopping})


async def run_until_signalled(worker: Worker) -> None:
    """Run `worker` until SIGTERM or SIGINT, then let it finish the batches in progress."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, worker.stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(worker.stop))
    await worker.run()
