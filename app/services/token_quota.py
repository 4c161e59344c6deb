"""Keeps callers within their tokens."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from app.services.answer_events import AnswerEvents
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.model import Model
from domain.entities.prompt import Prompt
from domain.interfaces.rate_limiter import TokenBudget

_BYTES_PER_TOKEN = 3
"""Few tokens are shorter, in any script: what is estimated by it is rather too much than too little."""

_UNKNOWN_MOST_WRITTEN_TOKENS = 32_768
"""Set aside for an answer of a model whose limit is not known; it is not told to the model unless less is left."""


@dataclass(frozen=True, slots=True)
class TokenQuota:
    """Sets a call's tokens aside before it is made, and settles what it took afterwards.

    What is set aside is the most it may take. Near the end of a budget that is what is left: the model is told to
    write no more, so that calls made at the same time cannot spend it twice.
    """

    budget: TokenBudget

    async def __call__(
        self,
        name: str,
        context: ChatRequestContext,
        prompt: Prompt,
        model: Model,
        answer: Callable[[ChatRequestContext, Prompt], AnswerEvents],
    ) -> AnswerEvents:
        """Yield what `answer` yields to the prompt, or to one that asks for no more than is left.

        Raises:
            RateLimited: Not enough is left of `name`'s day.
        """
        sent = _tokens_in(prompt.system, *(message.text for message in prompt.messages))
        most_written = (
            prompt.max_output_tokens or model.max_output_tokens or _UNKNOWN_MOST_WRITTEN_TOKENS
        )
        reservation = self.budget.reserve(name, least=sent + 1, most=sent + most_written)
        affordable = reservation.tokens - sent
        if affordable < most_written:
            prompt = replace(prompt, max_output_tokens=affordable)
        try:
            async with aclosing(answer(context, prompt)) as events:
                async for event in events:
                    yield event
        finally:
            self.budget.settle(reservation, _spent(context, sent))


def _spent(context: ChatRequestContext, sent: int) -> int:
    """Return what the providers counted; without a count, an estimate of what went out and came back.

    A call that was sent costs its prompt, however it ended: a provider bills it although the caller hung up.
    """
    interaction = context.interaction
    if interaction is None:
        return sent if context.is_sent else 0
    usage = interaction.usage
    if usage.total_tokens is not None:
        return usage.total_tokens
    if usage.input_tokens is not None or usage.output_tokens is not None:
        return (usage.input_tokens or 0) + (usage.output_tokens or 0)
    if context.is_sent or interaction.text:
        return sent + _tokens_in(interaction.text)
    return 0


def _tokens_in(*texts: str) -> int:
    return -(-sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN)
