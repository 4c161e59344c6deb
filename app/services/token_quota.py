"""Daily token quota of callers."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from app.services.answer_events import AnswerEvents
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.embeddings.embedding import EmbeddingRequest
from domain.entities.items import size_bytes
from domain.entities.model import Model
from domain.entities.prompt import Prompt
from domain.entities.reply import total_usage
from domain.interfaces.rate_limiter import Reservation, TokenBudget

_BYTES_PER_TOKEN = 3
"""UTF-8 bytes per token for estimates. Few tokens of any script are shorter, so estimates tend to be too high."""

_DEFAULT_MAX_OUTPUT_TOKENS = 32_768
"""Output tokens reserved for models without a known limit; sent to the model only if fewer are left."""


@dataclass(frozen=True, slots=True)
class ReservedTokens:
    """The tokens that one call may use.

    Attributes:
        prompt: With its output limit lowered to them.
    """

    prompt: Prompt
    _budget: TokenBudget
    _reservation: Reservation
    _prompt_tokens: int

    def settle(self, context: ChatRequestContext) -> None:
        """Replace the reservation by the actual usage of a request that has ended."""
        self._budget.settle(self._reservation, _used_tokens(context, self._prompt_tokens))


@dataclass(frozen=True, slots=True)
class ReservedInputs:
    """The tokens that the inputs of one request for embeddings may use."""

    _budget: TokenBudget
    _reservation: Reservation

    def settle(self, context: ChatRequestContext) -> None:
        """Replace the reservation by the usage that providers reported; without a report, by what was reserved.

        Inputs that were sent count, however the call ended: providers bill them even if the client disconnects.
        """
        usage = total_usage(attempt.usage for attempt in context.attempts if attempt.usage)
        spent = usage.input_tokens
        if spent is None:
            spent = self._reservation.tokens if context.is_sent else 0
        self._budget.settle(self._reservation, spent)


@dataclass(frozen=True, slots=True)
class TokenQuota:
    """Reserves the tokens of a call in advance and settles the reservation with the actual usage.

    The maximum that the call may use is reserved. If less is left in the budget, the remainder is reserved and the
    output limit of the prompt lowered to it, so that concurrent calls cannot use the same tokens.
    """

    budget: TokenBudget

    async def reserve(self, name: str, prompt: Prompt, model: Model) -> ReservedTokens:
        """Reserve the tokens of a call; `name` is the rate limit key of the caller.

        Raises:
            RateLimited: The remaining tokens of the day do not suffice for the prompt.
        """
        prompt_tokens = _estimated_tokens(prompt.size_bytes)
        output_tokens = (
            prompt.max_output_tokens or model.max_output_tokens or _DEFAULT_MAX_OUTPUT_TOKENS
        )
        reservation = await self.budget.reserve(
            name, least=prompt_tokens + 1, most=prompt_tokens + output_tokens
        )
        reserved_output_tokens = reservation.tokens - prompt_tokens
        if reserved_output_tokens < output_tokens:
            prompt = replace(prompt, max_output_tokens=reserved_output_tokens)
        return ReservedTokens(prompt, self.budget, reservation, prompt_tokens)

    async def reserve_inputs(self, name: str, request: EmbeddingRequest) -> ReservedInputs:
        """Reserve the tokens of the inputs of a request; `name` is the rate limit key of the caller.

        Raises:
            RateLimited: The remaining tokens of the day do not suffice for them.
        """
        tokens = sum(
            _estimated_tokens(len(each.encode())) if isinstance(each, str) else len(each)
            for each in request.inputs
        )
        return ReservedInputs(
            self.budget, await self.budget.reserve(name, least=tokens, most=tokens)
        )

    async def __call__(
        self,
        name: str,
        context: ChatRequestContext,
        prompt: Prompt,
        model: Model,
        answer: Callable[[ChatRequestContext, Prompt], AnswerEvents],
    ) -> AnswerEvents:
        """Yield the events of `answer` for the prompt, with its output limit lowered to the remaining tokens.

        Raises:
            RateLimited: As `reserve`.
        """
        reserved = await self.reserve(name, prompt, model)
        try:
            async with aclosing(answer(context, reserved.prompt)) as events:
                async for event in events:
                    yield event
        finally:
            reserved.settle(context)


def _used_tokens(context: ChatRequestContext, prompt_tokens: int) -> int:
    """Return the usage that the providers reported; without a report, an estimate from the prompt and the answer.

    A prompt that was sent counts, however the call ended: providers bill it even if the client disconnects.
    """
    interaction = context.interaction
    if interaction is None:
        if context.is_handed_over and context.attempts and context.attempts[-1].usage is not None:
            return 0  # the process that continues finds it in the log, and sums up all calls
        return prompt_tokens if context.is_sent else 0
    usage = interaction.usage
    if usage.total_tokens is not None:
        return usage.total_tokens
    if usage.input_tokens is not None or usage.output_tokens is not None:
        return (usage.input_tokens or 0) + (usage.output_tokens or 0)
    if context.is_sent or interaction.text or interaction.items:
        answer_bytes = (
            size_bytes(interaction.items) if interaction.items else len(interaction.text.encode())
        )
        return prompt_tokens + _estimated_tokens(answer_bytes)
    return 0


def _estimated_tokens(text_bytes: int) -> int:
    return -(-text_bytes // _BYTES_PER_TOKEN)
