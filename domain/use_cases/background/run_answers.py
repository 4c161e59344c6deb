"""Generate the background answers of this process, and take over those of dead or stopped processes."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from domain.entities.background.answer import AnswerKey, AnswerLease, BackgroundAnswer
from domain.entities.background.log import LeaseState, TakenOver
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.deadline import Deadline
from domain.entities.interaction import Interaction
from domain.entities.prompt import Prompt
from domain.exceptions import (
    AnswerExists,
    AnswerWithdrawn,
    DomainError,
    HistoryDamaged,
    HistoryError,
    HistoryUnavailable,
    HistoryUnreadable,
    LLMTimeout,
    Overloaded,
)
from domain.use_cases.background.resumed_log import ResumedLog
from domain.use_cases.background.write_answer import (
    CANNOT_CONTINUE,
    AnswerWriter,
    Interruption,
    WriterParts,
)
from domain.use_cases.record_answer import AnswerRecorder

_TAKEN_AT_ONCE = 10
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0
_APPEND_SECONDS = 2.5
"""Longest wait until an answer that was taken over is in history; its outcome is stored in any case."""
_REFUSED_SECONDS = 60.0
"""Time limit for storing the outcome of an answer that was not accepted."""
_DAMAGED_SECONDS = 60.0
"""Pause before reading a log again that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundLimits:
    """Limits of background answers.

    Attributes:
        answers: Answers that one process generates at a time.
        total_seconds: Total time of one answer, from its receipt.
        lease_seconds: Time after which an answer whose process died may be taken over.
        renewal_seconds: Time between renewals of a lease.
        takeovers: How often an answer is taken over from a process that died, before it fails.
        silence_seconds: How long a provider without a fallback may send nothing before its first text.
    """

    answers: int = 100
    total_seconds: float = 3_600.0
    lease_seconds: float = 10.0
    renewal_seconds: float = 3.0
    takeovers: int = 3
    silence_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class ReadyToAsk:
    """A prompt with all its context.

    Attributes:
        settle: Called with the context once the answer has ended in this process.
    """

    prompt: Prompt
    settle: Callable[[ChatRequestContext], None]


Prepare = Callable[[BackgroundAnswer, ChatRequestContext], Awaitable[ReadyToAsk]]
"""Rebuilds the prompt of an answer that another process began; raises a `DomainError` if that is not possible."""


@dataclass(slots=True)
class RunAnswers:
    """The background answers that this process generates.

    Attributes:
        waiting: Abandoned answers that this process found and has no room for, up to ten.
    """

    parts: WriterParts
    limits: BackgroundLimits = field(default_factory=BackgroundLimits)
    waiting: int = field(default=0, init=False)
    _writers: dict[AnswerKey, AnswerWriter] = field(default_factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _beginning: set[AnswerKey] = field(default_factory=set, init=False)
    _is_stopping: bool = field(default=False, init=False)
    _renewed_seconds: float = field(default=0.0, init=False)
    _damaged: dict[AnswerKey, float] = field(default_factory=dict, init=False)

    @property
    def running(self) -> int:
        """Number of answers that this process generates."""
        return len(self._tasks)

    @property
    def keys(self) -> Collection[AnswerKey]:
        """The answers that this process generates, except those whose log is not confirmed yet."""
        return self._writers.keys()

    async def begin(
        self, answer: BackgroundAnswer, context: ChatRequestContext, ready: ReadyToAsk
    ) -> None:
        """Accept an answer and begin to generate it; return once it is durable and in history.

        The provider is called meanwhile; what it answers is written once the log is durable. `ready` is settled once,
        also if the answer is not accepted. If an answer with this id exists already, it is continued instead.

        Raises:
            Overloaded: This process has reached its limit of background answers.
            AnswerWithdrawn: It could not be accepted, and no process generates it.
            HistoryUnavailable: It could not be accepted; a call of the provider that has begun is closed. Another process
                may generate it nevertheless.
        """
        try:
            if self.running >= self.limits.answers:
                raise Overloaded
            self.parts.history.admit()
        except BaseException:
            ready.settle(context)
            raise
        writer = AnswerWriter(answer, self.parts)
        making = self._run(self._make(answer, writer, context, ready), f"make {context.id}")
        try:
            await self._begin_log(answer, writer, making)
        except AnswerExists:
            if await self._is_erased(answer.key):
                self._run(self._record_refused(answer, context), f"refuse {context.id}")
                raise AnswerWithdrawn from None
            # of a process that died before it was in history
            await self.parts.history.append(answer.interaction)
            return
        try:
            await self.parts.history.append(answer.interaction)
        except BaseException as exc:
            writer.interrupt(Interruption.WITHDRAWN)
            if await self._withdraw(answer):
                # It may be in history although that was not confirmed, and would then never get an outcome.
                self._run(self._record_refused(answer, context), f"refuse {context.id}")
                _raise_withdrawn(exc)
            raise
        self.parts.observer.answer_begun(answer)

    async def _begin_log(
        self, answer: BackgroundAnswer, writer: AnswerWriter, making: asyncio.Task[None]
    ) -> None:
        """Let the writer write once the log is durable; if there is none, it ends, and this raises as `begin`."""
        self._beginning.add(answer.key)
        try:
            lease = await self.parts.log.begin(answer, lease_seconds=self.limits.lease_seconds)
        except AnswerExists:
            writer.interrupt(Interruption.WITHDRAWN)
            await asyncio.wait([making])  # its provider call is closed first
            raise
        except BaseException as exc:
            writer.interrupt(Interruption.WITHDRAWN)
            if await self._withdraw(answer):
                _raise_withdrawn(exc)
            raise
        finally:
            self._beginning.discard(answer.key)
        self._hold(lease, writer, making)

    async def _withdraw(self, answer: BackgroundAnswer) -> bool:
        """Remove a log, which may exist although it was not confirmed; return whether the removal was confirmed.

        If it was not, another process may generate the answer and give it its outcome.
        """
        try:
            await self.parts.log.erase(answer.key)
        except HistoryError:
            return False
        return True

    async def _is_erased(self, key: AnswerKey) -> bool:
        """Return whether only the id of a log is left.

        Raises:
            HistoryUnavailable: The log cannot be read.
        """
        try:
            return await self.parts.log.read(key, after=-1, limit=1) is None
        except HistoryUnreadable as exc:
            raise HistoryUnavailable from exc

    async def _record_refused(self, answer: BackgroundAnswer, context: ChatRequestContext) -> None:
        """Store the outcome of an answer that could not be accepted, with its provider calls."""
        recorder = AnswerRecorder(context, answer.interaction.prompt, self.parts.clock)
        outcome = recorder.failed_with(HistoryUnavailable.code)
        until_seconds = self.parts.clock.monotonic() + _REFUSED_SECONDS
        while self.parts.clock.monotonic() < until_seconds:
            with suppress(HistoryError):
                await self.parts.history.append(outcome)
                return
            await self.parts.clock.sleep(_LONGEST_PAUSE_SECONDS)

    async def watch(self) -> None:
        """Renew the leases that are due, and interrupt the answers that were stopped or lost."""
        writers = list(self._writers.values())
        if not writers:
            return
        leases = [writer.lease for writer in writers]
        now_seconds = self.parts.clock.monotonic()
        limits = self.limits
        try:
            # The timeout leaves time for another call before the leases expire.
            async with asyncio.timeout((limits.lease_seconds - limits.renewal_seconds) / 2):
                if now_seconds - self._renewed_seconds >= limits.renewal_seconds:
                    states = await self.parts.log.renew(leases, lease_seconds=limits.lease_seconds)
                    self._renewed_seconds = now_seconds
                else:
                    states = await self.parts.log.look(leases)
        except (HistoryError, TimeoutError):
            return  # the log itself refuses the writer once another process has taken over
        for writer, state in zip(writers, states, strict=True):
            if state is LeaseState.LOST:
                writer.interrupt(Interruption.LEASE_LOST)
            elif state is LeaseState.STOPPED:
                writer.interrupt(Interruption.STOPPED)

    async def take_over(self, prepare: Prepare) -> None:
        """Take over abandoned answers of other processes, up to this process's limit."""
        with suppress(HistoryError):  # the next round tries again
            while await self._take_over_some(prepare):
                pass

    async def _take_over_some(self, prepare: Prepare) -> bool:
        """Take over some answers; return whether there may be more."""
        if self._is_stopping:
            return False
        # `watch` renews expired leases of this process, for example after it was suspended.
        own = self._writers.keys() | self._beginning
        now_seconds = self.parts.clock.monotonic()
        self._damaged = {
            key: until_seconds
            for key, until_seconds in self._damaged.items()
            if until_seconds > now_seconds
        }
        passed_over = own | self._damaged.keys()
        # They may be those that wait longest, and must not hide the others.
        found = await self.parts.log.abandoned(limit=_TAKEN_AT_ONCE + len(passed_over))
        keys = [key for key in found if key not in passed_over][:_TAKEN_AT_ONCE]
        free = max(0, self.limits.answers - self.running)
        self.waiting = len(keys[free:])
        taken = await asyncio.gather(*[self._take_over(key, prepare) for key in keys[:free]])
        is_progress = any(taken) or any(key in self._damaged for key in keys)
        return len(keys) == _TAKEN_AT_ONCE and is_progress

    async def _take_over(self, key: AnswerKey, prepare: Prepare) -> bool:
        """Take over an answer; return whether this process generates it now."""
        try:
            taken = await self.parts.log.take_over(key, lease_seconds=self.limits.lease_seconds)
        except HistoryDamaged:
            # A newer version may be able to read it; the other answers do not wait for that.
            self._damaged[key] = self.parts.clock.monotonic() + _DAMAGED_SECONDS
            return False
        if taken is None:
            return False
        writer = AnswerWriter(taken.answer, self.parts)
        making = self._run(self._resume(writer, taken, prepare), f"make {key.interaction_id}")
        self._hold(taken.lease, writer, making)
        return True

    def stop(self, key: AnswerKey) -> None:
        """End an answer that this process generates, before its log requests it."""
        if (writer := self._writers.get(key)) is not None:
            writer.interrupt(Interruption.STOPPED)

    def give_up(self) -> None:
        """Release all answers to other processes, also those that begin from now on; returns at once."""
        self._is_stopping = True
        for writer in self._writers.values():
            writer.interrupt(Interruption.GIVEN_UP)

    async def drain(self, *, seconds: float) -> None:
        """Release all answers and wait until their leases are released, at most `seconds`."""
        self.give_up()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()

    def context_of(self, answer: BackgroundAnswer) -> ChatRequestContext:
        """Return the state of a request whose answer another process began, with its own deadlines."""
        interaction, clock = answer.interaction, self.parts.clock
        age_seconds = max(0.0, (clock.now_milliseconds() - interaction.milliseconds) / 1000)
        started_seconds = clock.monotonic() - age_seconds
        deadline = Deadline(started_seconds + self.limits.total_seconds)
        return ChatRequestContext(
            id=interaction.id,
            user_id=interaction.user_id,
            conversation_id=interaction.conversation_id,
            previous_id=interaction.previous_id,
            metadata=interaction.metadata,
            credential=interaction.credential,
            model=interaction.model,
            started_seconds=started_seconds,
            first_text_deadline=deadline,
            answer_deadline=deadline,
            longest_silence_seconds=self.limits.silence_seconds,
            is_background=True,
            is_streamed=True,
            may_fall_back=answer.may_fall_back,
        )

    def _hold(self, lease: AnswerLease, writer: AnswerWriter, making: asyncio.Task[None]) -> None:
        """Let the writer write, and renew its lease until its task ends."""
        writer.hold(lease)
        self._writers[lease.key] = writer

        def end(_: asyncio.Task[None]) -> None:
            if self._writers.get(lease.key) is writer:
                del self._writers[lease.key]

        making.add_done_callback(end)
        if self._is_stopping:
            writer.interrupt(Interruption.GIVEN_UP)

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task that `drain` waits for; an unexpected error is reported."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)

        def end(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                task.get_loop().call_exception_handler(
                    {"message": "a background answer failed", "exception": error, "task": task}
                )

        task.add_done_callback(end)
        return task

    async def _make(
        self,
        answer: BackgroundAnswer,
        writer: AnswerWriter,
        context: ChatRequestContext,
        ready: ReadyToAsk,
    ) -> None:
        recorder = AnswerRecorder(
            context, ready.prompt, self.parts.clock, started_seconds=context.started_seconds
        )
        try:
            with self.parts.observer.making(answer):
                await writer.run(context, ready.prompt, recorder)
        finally:
            _settle(context, writer, recorder, ready)

    async def _resume(self, writer: AnswerWriter, taken: TakenOver, prepare: Prepare) -> None:
        with self.parts.observer.making(taken.answer):
            await self._go_on(writer, taken, prepare)

    async def _go_on(self, writer: AnswerWriter, taken: TakenOver, prepare: Prepare) -> None:
        """Continue an answer from the state in its log."""
        answer = taken.answer
        context = self.context_of(answer)
        recorder = AnswerRecorder(
            context,
            answer.interaction.prompt,
            self.parts.clock,
            started_seconds=context.started_seconds,
        )
        resumed = ResumedLog.of(
            taken, recorder, now_milliseconds=self.parts.clock.now_milliseconds()
        )
        context.earlier_attempts = tuple(resumed.attempts)
        if resumed.lost is not None:
            context.earlier_attempts += (resumed.lost,)
            writer.add_attempt(resumed.lost)
        self.parts.observer.answer_taken_over(answer)
        outcome = resumed.outcome or self._outcome_without_asking(taken, context, recorder)
        ready = None
        if outcome is None:
            try:
                ready = await writer.unless_interrupted(self._prepared(answer, context, prepare))
            except DomainError as error:  # for example a model that is no longer in the catalogue
                outcome = recorder.failed_with(error.code)
        if outcome is not None or ready is None:
            await writer.end(outcome or recorder.cancelled(), context)
            return
        is_shown = resumed.is_shown
        # Models can continue text only: neither reasoning without text nor a tool call.
        if recorder.has_call or not recorder.text:
            writer.restart(context, recorder, CANNOT_CONTINUE, is_shown=is_shown)
            is_shown = False
        context.text_so_far = recorder.text
        try:
            await writer.run(context, ready.prompt, recorder, is_shown=is_shown)
        finally:
            _settle(context, writer, recorder, ready)

    def _outcome_without_asking(
        self, taken: TakenOver, context: ChatRequestContext, recorder: AnswerRecorder
    ) -> Interaction | None:
        """Return the outcome of an answer that must not be continued; None if it can be."""
        if taken.is_stopped:
            return recorder.cancelled()
        if taken.lease.takeovers > self.limits.takeovers:
            return recorder.failed_with()
        if context.answer_deadline.remaining_seconds(self.parts.clock.monotonic()) <= 0:
            return recorder.failed(LLMTimeout())
        return None

    async def _prepared(
        self, answer: BackgroundAnswer, context: ChatRequestContext, prepare: Prepare
    ) -> ReadyToAsk:
        """Return the prompt; while the store is unavailable, wait for it within the answer's time limit.

        Raises:
            DomainError: The answer cannot be generated any more.
        """
        # The process that began the answer may have died before it was in history.
        with suppress(HistoryError, TimeoutError):
            async with asyncio.timeout(_APPEND_SECONDS):
                await self.parts.history.append(answer.interaction)
        clock, pause_seconds = self.parts.clock, _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await prepare(answer, context)
            except HistoryDamaged:
                raise
            except HistoryError:
                if context.answer_deadline.remaining_seconds(clock.monotonic()) <= 0:
                    raise LLMTimeout from None
            await clock.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)


def _raise_withdrawn(error: BaseException) -> None:
    """Raise `AnswerWithdrawn` for an error of history; return for others."""
    if isinstance(error, HistoryUnavailable):
        raise AnswerWithdrawn from error


def _settle(
    context: ChatRequestContext, writer: AnswerWriter, recorder: AnswerRecorder, ready: ReadyToAsk
) -> None:
    """Settle an answer that has ended in this process, also one without an outcome.

    Tokens of an erased answer count towards the quota, and so do those of one that another process took over: a lost lease
    does not show which of the two happened.
    """
    if context.interaction is None and writer.has_lost_lease:
        recorder.cancelled()
    ready.settle(context)
