"""A model that does what a test says."""

import asyncio
from collections.abc import AsyncGenerator

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent
from domain.interfaces.llm_client import LLMClient

Step = AnswerEvent | BaseException | asyncio.Event | Attempt


class SteppingLLM(LLMClient):
    """Plays steps in order: yields pieces, raises exceptions, waits for events, notes attempts; counts who hung up on it.

    Attributes:
        in_turn: The steps of the calls to come, one after the other; then those it was made with.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = steps
        self.in_turn: list[tuple[Step, ...]] = []
        self.asked: list[Prompt] = []
        self.hung_up = 0

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        self.asked.append(prompt)
        steps = self.in_turn.pop(0) if self.in_turn else self.steps
        try:
            for step in steps:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, Attempt):
                    context.attempts.append(step)
                else:
                    yield step
        except (asyncio.CancelledError, GeneratorExit):
            self.hung_up += 1
            raise
