"""Response body of a chat in OpenAI's format."""

from typing import Literal, Self

from pydantic import BaseModel, Field

from domain.entities.interaction import Interaction
from domain.entities.reply import FinishReason, Usage

OpenAIFinishReason = Literal["stop", "length", "content_filter"]


class PromptTokensDetails(BaseModel):
    """Breakdown of the input tokens."""

    cached_tokens: int = Field(description="Tokens that the provider read from its cache.")


class CompletionTokensDetails(BaseModel):
    """Breakdown of the output tokens."""

    reasoning_tokens: int = Field(description="Reasoning tokens.")


class CompletionUsage(BaseModel):
    """Token usage of a chat."""

    prompt_tokens: int = Field(description="Tokens of the complete input.", examples=[15])
    completion_tokens: int = Field(
        description="Tokens billed as output, including reasoning.", examples=[73]
    )
    total_tokens: int = Field(description="Total as reported by the provider.", examples=[88])
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails

    @classmethod
    def from_usage(cls, usage: Usage) -> Self | None:
        """Return the usage object; None when the provider reported no counts, since the format requires them."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        total_tokens = usage.total_tokens
        return cls(
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            total_tokens=usage.input_tokens + usage.output_tokens
            if total_tokens is None
            else total_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.cached_input_tokens or 0),
            completion_tokens_details=CompletionTokensDetails(
                reasoning_tokens=usage.reasoning_tokens or 0
            ),
        )


class AssistantMessage(BaseModel):
    """The answer as a message."""

    role: Literal["assistant"] = "assistant"
    content: str = Field(description="Text of the answer.", examples=["An event loop waits for …"])
    refusal: None = None


class Choice(BaseModel):
    """The only choice of a completion."""

    index: Literal[0] = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: OpenAIFinishReason = Field(description="Why the model stopped.")


class ChatCompletion(BaseModel):
    """Response body of POST /v1/chat/completions; its interaction is in the user's history."""

    id: str = Field(
        description="`chatcmpl-` followed by the interaction's id.",
        examples=["chatcmpl-019aabb1-7c80-7000-8a51-0f1d2c3b4a59"],
    )
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(
        description="Time of receipt in seconds since 1970 UTC.", examples=[1795341600]
    )
    model: str = Field(description="Model that answered.", examples=["gemini-3.8-flash"])
    choices: list[Choice]
    usage: CompletionUsage | None = Field(
        description="Token usage; null when the provider reported none."
    )
    system_fingerprint: None = None
    service_tier: Literal["default"] = "default"

    @classmethod
    def from_interaction(cls, interaction: Interaction) -> Self:
        """Return the response body for `interaction`."""
        return cls(
            id=completion_id(interaction.id),
            created=created_seconds(interaction.milliseconds),
            model=interaction.model,
            choices=[
                Choice(
                    message=AssistantMessage(content=interaction.text),
                    finish_reason=openai_finish_reason(interaction),
                )
            ],
            usage=CompletionUsage.from_usage(interaction.usage),
        )


def completion_id(interaction_id: str) -> str:
    """Return the completion's id in OpenAI's format."""
    return f"chatcmpl-{interaction_id}"


def created_seconds(milliseconds: int) -> int:
    """Return the whole seconds that OpenAI's `created` fields contain."""
    return milliseconds // 1000


def openai_finish_reason(interaction: Interaction) -> OpenAIFinishReason:
    """Return OpenAI's `finish_reason` of a complete answer."""
    if interaction.finish_reason is FinishReason.LENGTH:
        return "length"
    if interaction.finish_reason is FinishReason.CONTENT_FILTER:
        return "content_filter"
    return "stop"
