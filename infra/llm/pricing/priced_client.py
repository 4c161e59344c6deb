"""The first answers, and failures that cost something, wait for their price."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.prompt import Prompt
from domain.entities.reply import AnswerEvent, Reply, Usage
from domain.exceptions import LLMError
from domain.interfaces.llm_client import LLMClient
from infra.llm.pricing.prices import Prices


class Priced(LLMClient):
    """Holds a reply back until prices are loaded, and adds its cost; once they are, it is not in the way at all."""

    def __init__(self, inner: LLMClient, *, prices: Prices, cost: Callable[[Usage], Usage]) -> None:
        """Wrap the client of one model.

        Args:
            inner: The client; adds the cost itself, if it is known.
            prices: May still be loading.
            cost: Adds the cost to what was used.
        """
        self._inner = inner
        self._prices = prices
        self._cost = cost

    def stream(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        if self._prices.are_loaded:
            return self._inner.stream(prompt, context)
        return self._waiting(prompt, context)

    async def _waiting(
        self, prompt: Prompt, context: ChatRequestContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        events = self._inner.stream(prompt, context)
        try:
            async for event in events:
                if isinstance(event, Reply):
                    await self._prices.loaded()
                    yield replace(event, usage=self._cost(event.usage))
                else:
                    yield event
        except LLMError:
            if context.reported_usage is not None and context.reported_usage().is_reported:
                await self._prices.loaded()
            raise
        finally:
            await events.aclose()
