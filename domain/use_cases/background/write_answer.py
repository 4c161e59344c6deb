"""Generate one background answer: read it from a model, write it into its log, and store its outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, TypeVar

from domain.entities.background.answer import AnswerLease, BackgroundAnswer
from domain.entities.background.log import Asked, Concluded, LogRecord, Restarted, is_event
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.reply import (
    AnswerEvent,
    AnswerProgress,
    FinishReason,
    ProviderSelected,
    ReasoningDelta,
    Reply,
)
from domain.exceptions import (
    CannotContinue,
    DomainError,
    HistoryError,
    HistoryUnavailable,
    LeaseLost,
    LLMError,
    Unstorable,
)
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryWriter
from domain.interfaces.llm_client import LLMClient
from domain.interfaces.telemetry import BackgroundObserver
from domain.use_cases.record_answer import AnswerRecorder
from domain.use_cases.store_long_arguments import StoreLongArguments

CANNOT_CONTINUE = "cannot-continue"
"""No model continues the partial answer of a process that ended."""
OTHER_MODEL = "other-model"
"""The model failed after its reasoning was sent, and another one answers."""

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0


class Interruption(IntEnum):
    """Why an answer ends before the model has finished it; the greatest value takes precedence."""

    STOPPED = 1
    """The user stopped it: its text so far is stored."""
    GIVEN_UP = 2
    """This process ends: another process continues."""
    LEASE_LOST = 3
    """Another process generates it: nothing more is written."""
    WITHDRAWN = 4
    """It could not be accepted: nothing more is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterParts:
    """Objects that all answers of a process share."""

    llm: LLMClient
    log: AnswerLog
    history: HistoryWriter
    clock: Clock
    store_long_arguments: StoreLongArguments
    observer: BackgroundObserver


class AnswerWriter:
    """Generates one answer while this process holds its lease.

    The model is read in a separate task, so that a slow log does not delay it; each write contains all events received
    since the last one. Failed writes of the log or of history are retried until the lease is lost.

    Attributes:
        lease: Of this process; set by `hold`.
    """

    lease: AnswerLease

    def __init__(self, answer: BackgroundAnswer, parts: WriterParts) -> None:
        self._answer = answer
        self._parts = parts
        self._interruption: Interruption | None = None
        self._asking: asyncio.Task[Any] | None = None
        self._wake = asyncio.Event()
        self._is_held_or_withdrawn = asyncio.Event()
        self._pending: list[LogRecord] = []
        self._unconfirmed: Sequence[LogRecord] = ()
        self._selected: ProviderSelected | None = None
        self._is_shown = False
        self._attempts_added = 0

    def hold(self, lease: AnswerLease) -> None:
        """Write with this lease. Before it is held, the model may be called, and nothing is written."""
        self.lease = lease
        self._is_held_or_withdrawn.set()

    def interrupt(self, interruption: Interruption) -> None:
        """End the answer; the call of the provider is closed at once. No-op after a greater interruption."""
        if self._interruption is not None and self._interruption >= interruption:
            return
        self._interruption = interruption
        if self._asking is not None:
            self._asking.cancel()
        self._wake.set()
        if interruption is Interruption.WITHDRAWN:
            self._is_held_or_withdrawn.set()

    async def run(
        self,
        context: ChatRequestContext,
        prompt: Prompt,
        recorder: AnswerRecorder,
        *,
        is_shown: bool = False,
    ) -> None:
        """Answer `prompt` and store the outcome, or release the lease.

        Args:
            context: With the text so far, if another process began the answer.
            prompt: The question with all its context.
            recorder: Contains the events of the log.
            is_shown: Readers have seen a part of the answer.
        """
        self._is_shown = is_shown

        async def answer_and_conclude() -> None:
            end = await self._answered(context, prompt, recorder)
            # A complete answer is not released to another process, which would call the model again.
            is_complete = end is not None and self._interruption is Interruption.GIVEN_UP
            if self._may_conclude or is_complete:
                await self._conclude(self._outcome(recorder, end), context)

        await self._unless_left_to_others(answer_and_conclude(), context)

    async def end(self, outcome: Interaction, context: ChatRequestContext) -> None:
        """Store an outcome without calling a model, or release the lease."""

        async def conclude() -> None:
            if self._may_conclude:
                await self._conclude(outcome, context)

        await self._unless_left_to_others(conclude(), context)

    async def unless_interrupted(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return the result of `work`; None if an interruption ended it."""
        if self._interruption is not None:
            work.close()
            return None
        task = asyncio.get_running_loop().create_task(work)
        self._asking = task
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        return None if task.cancelled() else task.result()

    @property
    def has_lost_lease(self) -> bool:
        """Whether the answer was erased, or another process generates it."""
        return self._interruption is Interruption.LEASE_LOST

    @property
    def _may_conclude(self) -> bool:
        return self._interruption in (None, Interruption.STOPPED)

    async def _unless_left_to_others(
        self, work: Coroutine[Any, Any, None], context: ChatRequestContext
    ) -> None:
        """Do the work; if another process continues instead, end without an error, and release the lease if it is held."""
        try:
            await work
        except LeaseLost:
            self.interrupt(Interruption.LEASE_LOST)
        except HistoryUnavailable:
            if self._may_conclude:
                raise
        if self._interruption is Interruption.GIVEN_UP:
            await self._give_up(context)

    async def _conclude(self, outcome: Interaction, context: ChatRequestContext) -> None:
        """Store the outcome in history and end the log; safe to repeat."""
        context.interaction = outcome
        outcome = await self._decide(outcome, context)
        try:
            await self._store(outcome)
        except Unstorable as exc:
            self._report("the outcome of a background answer cannot be stored", exc)
            outcome = _without_answer(outcome)
            await self._store(outcome)
        await self._repeated(lambda: self._parts.log.end(self.lease, (outcome,)))
        self._parts.observer.answer_ended(self._answer, outcome)

    async def _decide(self, outcome: Interaction, context: ChatRequestContext) -> Interaction:
        """Write the outcome into the log, and return it; without its prompt if the log cannot hold both."""
        try:
            await self._append([*self._take_pending(context), Concluded(outcome)])
        except Unstorable:
            outcome = replace(outcome, prompt=Prompt.from_text("", model=outcome.prompt.model))
            *earlier, _ = self._take_pending(context)
            await self._append([*earlier, Concluded(outcome)])
        return outcome

    async def _store(self, outcome: Interaction) -> None:
        stored = replace(outcome, prompt=self._answer.interaction.prompt)
        if outcome.items:
            stored = await self._parts.store_long_arguments(stored)
        await self._repeated(lambda: self._parts.history.append(stored))

    async def _answered(
        self, context: ChatRequestContext, prompt: Prompt, recorder: AnswerRecorder
    ) -> Reply | BaseException | None:
        """Write the answer into the log as it arrives; return its end, or None if it was interrupted."""
        if self._interruption is not None:
            return None
        asking = asyncio.get_running_loop().create_task(
            self._ask(context, prompt, recorder), name=f"answer {context.id}"
        )
        self._asking = asking
        asking.add_done_callback(lambda _: self._wake.set())
        pause_seconds = self._parts.log.write_pause_seconds
        try:
            while not (asking.done() or self._interruption):
                await self._wake.wait()
                self._wake.clear()
                if records := self._take_pending(context):
                    await self._append(records)
                    if pause_seconds and not asking.done():
                        await self._parts.clock.sleep(pause_seconds)
        finally:
            # A second cancellation would disturb the closing of the call.
            if not asking.cancelling():
                asking.cancel()
            await asyncio.wait([asking])
        return None if asking.cancelled() else asking.exception() or asking.result()

    async def _ask(
        self, context: ChatRequestContext, prompt: Prompt, recorder: AnswerRecorder
    ) -> Reply:
        try:
            return await self._ask_once(context, prompt, recorder)
        except CannotContinue:
            self.restart(context, recorder, CANNOT_CONTINUE)
            return await self._ask_once(context, prompt, recorder)

    def add_attempt(self, attempt: Attempt) -> None:
        """Write the attempt of another process into the log, before anything else."""
        self._pending.append(attempt)

    def restart(
        self,
        context: ChatRequestContext,
        recorder: AnswerRecorder,
        reason: str,
        *,
        is_shown: bool = True,
    ) -> None:
        """Declare the text that readers have seen void, if there is any; the answer starts again."""
        self._is_shown = is_shown
        context.text_so_far = ""
        recorder.discard()
        self._void(reason)

    async def _ask_once(
        self, context: ChatRequestContext, prompt: Prompt, recorder: AnswerRecorder
    ) -> Reply:
        async with aclosing(self._parts.llm.stream(prompt, context)) as events:
            async for event in events:
                if isinstance(event, Reply):
                    return event
                if not isinstance(event, AnswerProgress):
                    self._add_attempts(context)
                    self._take(event, recorder)
        raise RuntimeError("an LLMClient ended without a Reply")

    def _take(self, event: AnswerEvent, recorder: AnswerRecorder) -> None:
        assert not isinstance(event, Reply | AnswerProgress)
        recorder.add(event)
        if isinstance(event, ProviderSelected):
            self._pending.append(Asked(event))
            self._selected = None if event.continues else event
            if self._is_shown and not event.continues:
                self._void(OTHER_MODEL)
        elif is_event(event):
            self._show(event)
        else:
            self._pending.append(event)
        self._wake.set()

    def _show(self, event: LogRecord) -> None:
        if self._selected is not None:
            self._pending.append(self._selected)
            self._selected = None
        self._is_shown = True
        last = self._pending[-1] if self._pending else None
        if isinstance(event, str) and isinstance(last, str):
            self._pending[-1] = last + event
        elif isinstance(event, ReasoningDelta) and isinstance(last, ReasoningDelta):
            self._pending[-1] = ReasoningDelta(last.text + event.text)
        else:
            self._pending.append(event)

    def _void(self, reason: str) -> None:
        if self._is_shown:
            self._is_shown = False
            self._pending.append(Restarted(reason))
            self._parts.observer.answer_restarted(self._answer, reason)
            self._wake.set()

    def _take_pending(self, context: ChatRequestContext) -> Sequence[LogRecord]:
        """Return the records to write: first those of a failed write, which may have been written, unchanged."""
        self._add_attempts(context)
        records = [*self._unconfirmed, *self._pending]
        self._unconfirmed, self._pending = (), []
        return records

    def _add_attempts(self, context: ChatRequestContext) -> None:
        """Add finished provider calls, before the next call begins, so that a call without an end is recognisable."""
        if len(context.attempts) > self._attempts_added:
            self._pending += context.attempts[self._attempts_added :]
            self._attempts_added = len(context.attempts)

    def _outcome(self, recorder: AnswerRecorder, end: Reply | BaseException | None) -> Interaction:
        match end:
            case None:
                return recorder.cancelled()
            case Reply():
                return recorder.completed(end)
            case LLMError():
                return recorder.failed(end)
            case DomainError():
                return recorder.failed_with(end.code)
        self._report("a background answer failed unexpectedly", end)
        return recorder.failed_with()

    async def _give_up(self, context: ChatRequestContext) -> None:
        """Write the events so far and end the lease; if that fails, the lease expires."""
        try:
            if records := self._take_pending(context):
                await self._append(records)
            context.is_handed_over = True
            await self._parts.log.give_up(self.lease)
        except HistoryError:
            return

    async def _append(self, records: Sequence[LogRecord]) -> None:
        await self._is_held_or_withdrawn.wait()
        if self._interruption is Interruption.WITHDRAWN:
            raise LeaseLost
        monotonic = self._parts.clock.monotonic
        started_seconds = monotonic()
        self._unconfirmed = records
        await self._repeated(lambda: self._parts.log.append(self.lease, records))
        self._unconfirmed = ()
        self._parts.observer.records_written(seconds=monotonic() - started_seconds)

    async def _repeated(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, and retry until it succeeds.

        Raises:
            LeaseLost: Another process has the lease, or the answer was erased.
            Unstorable: The log refuses the records permanently.
            HistoryUnavailable: It failed, and the answer is released to another process.
        """
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await write()
                return
            except Unstorable:
                raise
            except HistoryUnavailable:
                if not self._may_conclude:
                    raise
            await self._parts.clock.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _report(self, message: str, error: BaseException) -> None:
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


def _without_answer(outcome: Interaction) -> Interaction:
    """Return the outcome of an answer that no store can hold."""
    return replace(
        outcome,
        text="",
        items=(),
        status=Status.FAILED,
        finish_reason=FinishReason.ERROR,
        error=DomainError.code,
    )
