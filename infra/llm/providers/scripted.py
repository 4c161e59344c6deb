"""A scripted model for tests."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply, Usage
from domain.exceptions import DomainError
from domain.interfaces.llm_client import LLMClient

Piece = AnswerEvent | Usage | DomainError | asyncio.Event
"""A part of a scripted answer. An `asyncio.Event` is awaited, which makes a pause; a `Usage` is reported."""

NOTICE = "This is a scripted model, not a real LLM."


class ScriptedLLM(LLMClient):
    """Answers with one item of its script per call, then with `NOTICE`. Safe to share between tasks.

    Attributes:
        asked: All prompts, in order.
        hung_up: Number of answers that were closed or cancelled before their end.
    """

    def __init__(
        self,
        *script: str | DomainError | Sequence[Piece],
        provider: str = "scripted",
        model: str = "scripted",
    ) -> None:
        """Set the script.

        Args:
            script: Each item is one answer: its text, its error, or its pieces. An answer without a `Reply` ends with
                `STOP`.
            provider: Name of the provider in its answers.
            model: Name of the model in its answers.
        """
        self._script = deque(script)
        self._answering = ProviderSelected(provider=provider, model=model)
        self.asked: list[Prompt] = []
        self.hung_up = 0

    async def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        self.asked.append(prompt)
        item = self._script.popleft() if self._script else NOTICE
        events = (item,) if isinstance(item, str | DomainError) else item
        try:
            yield self._answering
            for event in events:
                if isinstance(event, DomainError):
                    raise event
                if isinstance(event, asyncio.Event):
                    await event.wait()
                elif isinstance(event, Usage):
                    context.reported_usage = partial(_same, event)
                elif event:
                    yield event
                if isinstance(event, Reply):
                    return
            yield Reply(finish_reason=FinishReason.STOP)
        except (asyncio.CancelledError, GeneratorExit):
            self.hung_up += 1
            raise


def _same(usage: Usage) -> Usage:
    return usage
