"""Send a prompt to a model and store the interaction."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import ChatEvent, Interaction
from domain.entities.prompt import Prompt
from domain.entities.reply import (
    AnswerProgress,
    MetadataReceived,
    Reply,
)
from domain.exceptions import (
    HistoryError,
    HistoryNotDurable,
    HistoryUnavailable,
    LLMError,
    Overloaded,
)
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryWriter
from domain.interfaces.llm_client import LLMClient
from domain.timing.shared_timer import SharedTimer
from domain.use_cases.record_answer import AnswerRecorder, interrupted
from domain.use_cases.store_long_arguments import ARGUMENTS_IN_ROW, StoreLongArguments

_LEAST_ACCEPT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AnswerPrompt:
    """Streams the answer of a model, and stores the interaction whether it succeeds, fails or is cancelled.

    Attributes:
        require_durable: Whether an interaction that cannot be stored is an error; otherwise it is answered all the
            same, and `context.is_stored` is False.
        lost_after_seconds: Time after its deadline when a request whose process died is recorded as interrupted.
    """

    llm: LLMClient
    history: HistoryWriter
    clock: Clock
    store_long_arguments: StoreLongArguments = ARGUMENTS_IN_ROW
    require_durable: bool = True
    lost_after_seconds: float = 30.0
    _saves: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _timer: SharedTimer = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_timer", SharedTimer(self.clock))

    async def __call__(
        self, context: ChatRequestContext, prompt: Prompt
    ) -> AsyncGenerator[ChatEvent, None]:
        """Yield the selected providers, text, reasoning and tool calls, then the interaction once it is durable.

        Raises:
            HistoryUnavailable: Nothing can be stored, so no provider was called. Only with `require_durable`.
            LLMError: No model answered; stored as well.
            Overloaded: Every provider is at its limit of concurrent calls; stored as well.
            HistoryNotDurable: The answer arrived but could not be stored. Only with `require_durable`.
        """
        self._admit(context)
        recorder = AnswerRecorder(context, prompt, self.clock)
        self.history.begin(
            context.id,
            context.user_id,
            partial(_interrupted, context, prompt),
            lost_after_seconds=context.answer_deadline.at_seconds
            - context.started_seconds
            + self.lost_after_seconds,
        )
        outcome: Interaction | None = None
        try:
            async with aclosing(self.llm.stream(prompt, context)) as events:
                async for event in events:
                    if isinstance(event, str):
                        recorder.add(event)
                        yield event
                    elif isinstance(event, Reply):
                        outcome = recorder.completed(event)
                    elif isinstance(event, MetadataReceived):
                        recorder.add(event)
                    elif not isinstance(event, AnswerProgress):
                        recorder.add(event)
                        yield event
            if outcome is None:
                raise RuntimeError("an LLMClient ended without a Reply")
            await self._store(context, outcome)
        except LLMError as error:
            context.is_stored = await self._store_failure(
                _as_stored(recorder.failed(error), context)
            )
            raise
        except (asyncio.CancelledError, GeneratorExit):
            # The append itself may have been cancelled: repeat it in a task of its own.
            self._store_in_background(_as_stored(outcome or recorder.cancelled(), context))
            raise
        except HistoryNotDurable:
            raise
        except Overloaded:
            await self._store_failure(_as_stored(recorder.failed_with(Overloaded.code), context))
            raise
        except BaseException:
            self._store_in_background(_as_stored(recorder.failed_with(), context))
            raise
        yield outcome

    def _admit(self, context: ChatRequestContext) -> None:
        try:
            self.history.admit()
        except HistoryUnavailable:
            if self.require_durable:
                raise
            context.is_stored = False

    async def _store(self, context: ChatRequestContext, interaction: Interaction) -> None:
        started = now = self.clock.monotonic()
        try:
            interaction = _as_stored(interaction, context)
            if interaction.items:
                # Limited apart from the append, which needs its own time if the attachment store is silent.
                interaction = await self.store_long_arguments(interaction)
                now = self.clock.monotonic()
            timeout_seconds = max(
                _LEAST_ACCEPT_SECONDS,
                context.answer_deadline.remaining_seconds(now) + _LEAST_ACCEPT_SECONDS,
            )
            with self._timer.limit(now + timeout_seconds, now):
                await self.history.append(interaction)
            context.is_stored = True
        except (HistoryError, TimeoutError) as exc:
            context.is_stored = False
            if self.require_durable:
                raise HistoryNotDurable from exc
        context.history_seconds = round(self.clock.monotonic() - started, 6)

    async def _store_failure(self, interaction: Interaction) -> bool:
        """Store a failed interaction and return whether it is stored; the error of the request is the same either way."""
        try:
            async with asyncio.timeout(_LEAST_ACCEPT_SECONDS):
                await self.history.append(interaction)
        except (HistoryError, TimeoutError):
            self._store_in_background(interaction)
            return False
        except asyncio.CancelledError:
            self._store_in_background(interaction)
            raise
        return True

    def _store_in_background(self, interaction: Interaction) -> None:
        async def save() -> None:
            await self.history.append(interaction)

        task = asyncio.get_running_loop().create_task(save(), name=f"store {interaction.id}")
        self._saves.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._saves.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler(
                {"message": "an interaction could not be stored", "exception": error, "task": task}
            )

    async def drain(self) -> None:
        """Wait until all background writes have finished, successfully or not."""
        while self._saves:
            await asyncio.wait(self._saves)


def _interrupted(context: ChatRequestContext, prompt: Prompt) -> Interaction:
    return _as_stored(interrupted(context, prompt), context)


def _as_stored(interaction: Interaction, context: ChatRequestContext) -> Interaction:
    return interaction if context.is_content_stored else interaction.without_content()
