"""A model without a model behind it: it says what it was told to say."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, FinishReason, ProviderSelected, Reply, Usage
from domain.exceptions import DomainError
from domain.interfaces.llm_client import LLMClient

Piece = str | ProviderSelected | Reply | Usage | DomainError | asyncio.Event
"""What an answer may be made of; an event is waited for, which is how a script is silent, and a usage is reported."""

NOTICE = "This is a scripted model, not a real LLM."


class ScriptedLLM(LLMClient):
    """Plays its script in order, one item a call, then says what it is. Safe to share between tasks.

    Attributes:
        asked: Every prompt, in order.
        hung_up: How often the answer was not wanted to its end.
    """

    def __init__(
        self,
        *script: str | DomainError | Sequence[Piece],
        provider: str = "scripted",
        model: str = "scripted",
    ) -> None:
        """Write the script.

        Args:
            script: Each item is one answer: its text, what it fails with, or its pieces. An answer whose pieces have
                no `Reply` ends by itself, with `STOP`.
            provider: Who it says it is.
            model: Which model it says it is.
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
