"""Processes that make background answers, over one log, one history and one clock."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from domain.entities.background.answer import AnswerKey, BackgroundAnswer
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.reply import FinishReason, ProviderSelected, Reply, Usage
from domain.interfaces.telemetry import BackgroundObserver
from domain.use_cases.background.run_answers import BackgroundLimits, ReadyToAsk, RunAnswers
from domain.use_cases.background.write_answer import WriterParts
from domain.use_cases.store_long_arguments import ARGUMENTS_IN_ROW
from tests.fakes.answer_log import InMemoryAnswerLog, StoredLog
from tests.fakes.clock import FakeClock
from tests.fakes.history import InMemoryHistory
from tests.fakes.interactions import an_id, an_interaction
from tests.fakes.model import Step, SteppingLLM

SELECTED = ProviderSelected(provider="scripted", model="demo")
CONTINUING = ProviderSelected(provider="scripted", model="demo", continues=True)
END = Reply(finish_reason=FinishReason.STOP, usage=Usage(input_tokens=3, output_tokens=4))


def an_answer(number: int = 0, **changes: Any) -> BackgroundAnswer:
    """Return ana's accepted answer number so-and-so."""
    accepted = an_interaction(
        number,
        **{"status": Status.IN_PROGRESS, "text": "", "finish_reason": None, "provider": None}
        | changes,
    )
    return BackgroundAnswer(interaction=accepted, request_id=f"request-{number}")


class RecordedObservations(BackgroundObserver):
    """Keeps the names of what was observed, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def answer_begun(self, answer: BackgroundAnswer) -> None:
        self.seen.append("begun")

    def answer_taken_over(self, answer: BackgroundAnswer) -> None:
        self.seen.append("taken over")

    def answer_restarted(self, answer: BackgroundAnswer, reason: str) -> None:
        self.seen.append(reason)

    def records_written(self, *, seconds: float) -> None:
        self.seen.append("written")

    def answer_ended(self, answer: BackgroundAnswer, interaction: Interaction) -> None:
        self.seen.append(interaction.status)


@dataclass
class Installation:
    """What processes share."""

    clock: FakeClock = field(default_factory=FakeClock)
    logs: dict[AnswerKey, StoredLog] = field(default_factory=dict)
    history: InMemoryHistory = field(default_factory=InMemoryHistory)
    erased: set[AnswerKey] = field(default_factory=set)

    def process(self, *steps: Step, pause_seconds: float = 0.0, **limits: Any) -> "MakingProcess":
        """Return one more process, whose model plays `steps`."""
        return MakingProcess(self, SteppingLLM(*steps), pause_seconds, BackgroundLimits(**limits))

    def log_of(self, number: int = 0) -> StoredLog:
        """Return a log of ana's."""
        return self.logs[AnswerKey(user_id="ana", interaction_id=an_id(number))]

    def outcome(self, number: int = 0) -> Interaction:
        """Return an interaction of ana's as history has it."""
        return self.history.kept[an_id(number)]


class MakingProcess:
    """One process.

    Attributes:
        settled: The contexts whose answers have ended here.
        prepare_failures: What the next calls of `prepare` raise, in order.
    """

    def __init__(
        self,
        installation: Installation,
        llm: SteppingLLM,
        pause_seconds: float,
        limits: BackgroundLimits,
    ) -> None:
        self.llm = llm
        self.log = InMemoryAnswerLog(
            installation.clock,
            write_pause_seconds=pause_seconds,
            logs=installation.logs,
            erased=installation.erased,
        )
        self.observer = RecordedObservations()
        self.answers = RunAnswers(
            WriterParts(
                llm=llm,
                log=self.log,
                history=installation.history,
                clock=installation.clock,
                store_long_arguments=ARGUMENTS_IN_ROW,
                observer=self.observer,
            ),
            limits,
        )
        self.settled: list[ChatRequestContext] = []
        self.prepare_failures: list[BaseException] = []
        self.contexts: list[ChatRequestContext] = []

    async def begin(self, number: int = 0, prompt: str = "hi") -> None:
        """Begin ana's answer number so-and-so."""
        answer = an_answer(number, prompt=Prompt.from_text(prompt))
        context = self.answers.context_of(answer)
        self.contexts.append(context)
        await self.answers.begin(
            answer, context, ReadyToAsk(answer.interaction.prompt, self.settled.append)
        )

    async def take_over(self) -> None:
        """Look for abandoned answers, once."""
        await self.answers.take_over(self.prepare)

    async def prepare(self, answer: BackgroundAnswer, context: ChatRequestContext) -> ReadyToAsk:
        """Return the prompt as it was stored, unless a failure is due."""
        self.contexts.append(context)
        if self.prepare_failures:
            raise self.prepare_failures.pop(0)
        return ReadyToAsk(answer.interaction.prompt, self.settled.append)

    async def finished(self) -> None:
        """Wait until this process makes no answer."""
        await until(lambda: not self.answers.running)

    def die(self) -> None:
        """End all answers as SIGKILL does: nothing more is written."""
        for task in tuple(self.answers._tasks):
            task.cancel()
        self.answers._writers.clear()


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks run until something holds."""
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0)
