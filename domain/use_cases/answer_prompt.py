"""Ask a model, and remember what became of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerProgress, ProviderSelected, Reply
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
from domain.use_cases.record_answer import Recording

_LEAST_ACCEPT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AnswerPrompt:
    """Prompt in, interaction out: asked, timed, and in history, whatever became of it.

    Attributes:
        must_keep: False: answer also when the answer cannot be kept, and say so in `context.is_stored`.
        lost_after_seconds: How long after its deadline a request whose process died is recorded as interrupted.
    """

    llm: LLMClient
    history: HistoryWriter
    clock: Clock
    require_durable: bool = True
    lost_after_seconds: float = 30.0
    _saves: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def __call__(
        self, context: ChatRequestContext, prompt: Prompt
    ) -> AsyncGenerator[ProviderSelected | str | Interaction, None]:
        """Yield who answers and the text as it comes, then the interaction it became, by then durable.

        Raises (the first and the last only where the answer must be kept):
            HistoryUnavailable: Nothing could be kept, so nobody was asked.
            LLMError: Nobody answered; that is in history as well.
            Overloaded: Every provider has as many calls as we allow; in history as well.
            HistoryNotDurable: The answer came but could not be kept.
        """
        self._admit(context)
        recording = Recording(context, prompt, self.clock)
        self.history.begin(
            recording.interaction(Status.INTERRUPTED),
            lost_after_seconds=context.answer_deadline.at_seconds
            - context.started_seconds
            + self.lost_after_seconds,
        )
        outcome: Interaction | None = None
        try:
            async with aclosing(self.llm.stream(prompt, context)) as events:
                async for event in events:
                    if isinstance(event, Reply):
                        outcome = recording.replied(event)
                    elif not isinstance(event, AnswerProgress):
                        recording.hear(event)
                        yield event
            if outcome is None:
                raise RuntimeError("an LLMClient ended without a Reply")
            await self._keep(context, outcome)
        except LLMError as error:
            context.is_stored = await self._keep_failure(recording.failed(error))
            raise
        except (asyncio.CancelledError, GeneratorExit):
            # The caller left, perhaps while the outcome was being kept: append it (again), out of the reach of the cancellation.
            self._keep_detached(outcome or recording.abandoned())
            raise
        except HistoryNotDurable:
            raise
        except Overloaded:
            await self._keep_failure(recording.broken(Overloaded.code))
            raise
        except BaseException:
            self._keep_detached(recording.broken())
            raise
        yield outcome

    def _admit(self, context: ChatRequestContext) -> None:
        try:
            self.history.admit()
        except HistoryUnavailable:
            if self.require_durable:
                raise
            context.is_stored = False

    async def _keep(self, context: ChatRequestContext, interaction: Interaction) -> None:
        started = self.clock.monotonic()
        patience_seconds = max(
            _LEAST_ACCEPT_SECONDS,
            context.answer_deadline.remaining_seconds(started) + _LEAST_ACCEPT_SECONDS,
        )
        try:
            async with asyncio.timeout(patience_seconds):
                await self.history.append(interaction)
            context.is_stored = True
        except (HistoryError, TimeoutError) as exc:
            context.is_stored = False
            if self.require_durable:
                raise HistoryNotDurable from exc
        context.history_seconds = round(self.clock.monotonic() - started, 6)

    async def _keep_failure(self, interaction: Interaction) -> bool:
        """Record a failure and return whether it is kept; if it is not, the caller gets the same error."""
        try:
            async with asyncio.timeout(_LEAST_ACCEPT_SECONDS):
                await self.history.append(interaction)
        except (HistoryError, TimeoutError):
            self._keep_detached(interaction)
            return False
        except asyncio.CancelledError:
            self._keep_detached(interaction)
            raise
        return True

    def _keep_detached(self, interaction: Interaction) -> None:
        async def save() -> None:
            await self.history.append(interaction)

        task = asyncio.get_running_loop().create_task(save(), name=f"keep {interaction.id}")
        self._saves.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._saves.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler(
                {"message": "an interaction could not be kept", "exception": error, "task": task}
            )

    async def drain(self) -> None:
        """Return once everything that is being kept for callers who left is kept, or has failed."""
        while self._saves:
            await asyncio.wait(self._saves)
