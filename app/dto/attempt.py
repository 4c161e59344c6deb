"""Calls of providers and what they used, as interactions and problems show them."""

from typing import Self

from pydantic import Field

from app.dto.wire import Dto
from domain.entities.interaction import Attempt
from domain.entities.reply import Usage


class UsageDto(Dto):
    """Tokens and price; what the provider did not say is null."""

    input_tokens: int | None = Field(
        description="Tokens of everything that was sent.", examples=[15]
    )
    output_tokens: int | None = Field(
        description="Tokens billed as output, the model's thoughts included.", examples=[73]
    )
    reasoning_tokens: int | None = Field(
        description="The thoughts' share of the output.", examples=[72]
    )
    total_tokens: int | None = Field(description="As the provider counts them.", examples=[88])
    cost_usd: float | None = Field(
        description="US dollars; null when no price is known, never a guess.", examples=[0.00012]
    )

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """Return the same counts in the wire's words."""
        return cls(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            total_tokens=usage.total_tokens,
            cost_usd=usage.cost_usd,
        )


class AttemptDto(Dto):
    """One call of one provider."""

    provider: str = Field(description="The provider's name in the catalogue.", examples=["gemini"])
    model: str = Field(description="The catalogue id.", examples=["gemini-3.8-flash"])
    outcome: str = Field(description="`ok`, or what went wrong.", examples=["ok"])
    seconds: float = Field(description="How long it took.", examples=[1.234])
    http_status: int | None = Field(
        description="The provider's HTTP status; null when it sent none.", examples=[200]
    )
    usage: UsageDto | None = Field(
        default=None,
        exclude_if=lambda usage: usage is None,
        description="Tokens and price of this call, also of a failed one; absent when the provider reported neither.",
    )

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Return the same attempt in the wire's words."""
        return cls(
            provider=attempt.provider,
            model=attempt.model,
            outcome=attempt.outcome,
            seconds=attempt.seconds,
            http_status=attempt.http_status,
            usage=None if attempt.usage is None else UsageDto.of(attempt.usage),
        )
