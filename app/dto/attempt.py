"""Provider calls and their token usage, as part of interactions and problems."""

from typing import Self

from pydantic import Field

from app.dto.wire import Dto
from domain.entities.interaction import Attempt
from domain.entities.reply import Usage


class UsageDto(Dto):
    """Tokens and cost; null where the provider reported none."""

    input_tokens: int | None = Field(description="Tokens of the complete input.", examples=[15])
    output_tokens: int | None = Field(
        description="Tokens billed as output, including reasoning.", examples=[73]
    )
    reasoning_tokens: int | None = Field(
        description="Reasoning tokens, part of `outputTokens`.", examples=[72]
    )
    total_tokens: int | None = Field(
        description="Total as reported by the provider.", examples=[88]
    )
    cost_usd: float | None = Field(
        description="Cost in US dollars; null when no price is known, never estimated.",
        examples=[0.00012],
    )
    cached_input_tokens: int | None = Field(
        default=None,
        exclude_if=lambda tokens: tokens is None,
        description="Input tokens that the provider read from its cache, part of `inputTokens`; absent when it reported none.",
    )
    cache_write_tokens: int | None = Field(
        default=None,
        exclude_if=lambda tokens: tokens is None,
        description="Input tokens that the provider wrote to its cache, part of `inputTokens`; absent when it reported none.",
    )

    @classmethod
    def from_usage(cls, usage: Usage) -> Self:
        """Return the response object for `usage`."""
        return cls(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            total_tokens=usage.total_tokens,
            cost_usd=usage.cost_usd,
            cached_input_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )


class AttemptDto(Dto):
    """One provider call."""

    provider: str = Field(description="The provider's name in the catalogue.", examples=["gemini"])
    model: str = Field(description="Catalogue id of the model.", examples=["gemini-3.8-flash"])
    outcome: str = Field(description="`ok`, or the kind of error.", examples=["ok"])
    seconds: float = Field(description="Duration of the call.", examples=[1.234])
    http_status: int | None = Field(
        description="HTTP status of the provider's response; null without a response.",
        examples=[200],
    )
    usage: UsageDto | None = Field(
        default=None,
        exclude_if=lambda usage: usage is None,
        description="Tokens and cost of this call, even if it failed; absent when the provider reported none.",
    )

    @classmethod
    def from_attempt(cls, attempt: Attempt) -> Self:
        """Return the response object for `attempt`."""
        return cls(
            provider=attempt.provider,
            model=attempt.model,
            outcome=attempt.outcome,
            seconds=attempt.seconds,
            http_status=attempt.http_status,
            usage=None if attempt.usage is None else UsageDto.from_usage(attempt.usage),
        )
