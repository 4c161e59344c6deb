"""Receives from the queue and stores, until it is told to stop."""

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
MOST_IN_HAND = 40


class Worker:
    """Several receivers beside each other, each with one batch in hand.

    While the store is away nothing is received, since every receive brings a message nearer to the dead letters. One
    batch stays in hand, and one message of it after the other is tried, which tells when the store is back. All other
    batches are given back. Every fourth try one more batch is taken in hand, up to four: it may be the messages that the
    store cannot take, and no outage.

    Whatever fails, a receiver goes on.
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
        self._store_answers = asyncio.Event()
        self._store_answers.set()

    def stop(self) -> None:
        """Let `run` return once what is in hand is stored, or given back where it cannot be.

        A receive under way is waited for, 20 s at most: broken off, it would take messages with it that nobody gets for a
        minute.
        """
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`; the queue and the store may be away, now and at any time."""
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
                await self._unless_stopping(self._store_answers.wait())
                if self._stopping.is_set():
                    return
                deliveries = await self._queue.receive()
                if deliveries:
                    await self._handle(deliveries)
            except QueueUnavailable:
                logger.warning("the queue does not answer; trying again")
            except (Exception, asyncio.CancelledError) as exc:
                if task.cancelling():
                    raise
                task.get_loop().call_exception_handler(
                    {"message": "a receiver failed, and goes on", "exception": exc, "task": task}
                )
            else:
                pause_seconds = FIRST_PAUSE_SECONDS
                continue
            await self._unless_stopping(self._clock.sleep(pause_seconds))
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        async with self._held(deliveries):
            if self._store_answers.is_set() and not self._stopping.is_set():
                try:
                    await self._record(deliveries)
                    return
                except HistoryUnavailable:
                    if self._store_answers.is_set():
                        await self._wait_for_store(deliveries)
                        return
            # Another batch is in hand already, to tell when the store is back; or it came after `stop`.
            await self._give_back(deliveries)

    async def _wait_for_store(self, deliveries: Sequence[Delivery]) -> None:
        """Try one after the other until one is stored, then all of them."""
        self._store_answers.clear()
        logger.warning("the store does not answer; receiving stops")
        pause_seconds = FIRST_PAUSE_SECONDS
        in_hand = list(deliveries)
        async with AsyncExitStack() as more_held:
            try:
                for tried in itertools.count(1):
                    await self._unless_stopping(self._clock.sleep(pause_seconds))
                    pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
                    if self._stopping.is_set():
                        await self._give_back(in_hand)
                        return
                    if tried % TRIES_BETWEEN_BATCHES == 0 and len(in_hand) < MOST_IN_HAND:
                        with suppress(QueueUnavailable):
                            more = await self._queue.receive()
                            await more_held.enter_async_context(self._held(more))
                            in_hand += more
                    settled = await self._settled_of(in_hand, tried)
                    if settled is not None:
                        in_hand.remove(settled)
                        break
                logger.info("the store answers again")
                await self._record.each(in_hand)
            finally:
                self._store_answers.set()

    async def _settled_of(self, in_hand: Sequence[Delivery], tried: int) -> Delivery | None:
        """Give the store one of them, another one each time; return it if the store answered."""
        readable = [one for one in in_hand if one.interaction is not None]
        one = readable[tried % len(readable)]
        try:
            await self._record([one])
        except HistoryUnavailable:
            return None
        return one

    async def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        with suppress(QueueUnavailable):  # then they come back by themselves, a little later
            await self._queue.give_back(deliveries)

    @asynccontextmanager
    async def _held(self, deliveries: Sequence[Delivery]) -> AsyncIterator[None]:
        """Keep others from getting them, however long it takes."""

        async def hold() -> None:
            while True:
                await self._clock.sleep(self._queue.hold_seconds / 2)
                with suppress(QueueUnavailable):
                    await self._queue.hold(deliveries)

        holding = asyncio.create_task(hold())
        try:
            yield
        finally:
            holding.cancel()
            await asyncio.wait([holding])

    async def _unless_stopping(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what `work` returns; None when told to stop before it did.

        It is not even begun once told to stop.
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
    """Run `worker` until SIGTERM or SIGINT, then let it finish what is in hand."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, worker.stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(worker.stop))
    await worker.run()
