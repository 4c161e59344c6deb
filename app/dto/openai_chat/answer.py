"""An answer in OpenAI's format."""

from typing import Literal, Self

from pydantic import BaseModel, Field

from domain.entities.interaction import Interaction
from domain.entities.reply import FinishReason, Usage

OpenAIFinish = Literal["stop", "length", "content_filter"]


class PromptTokensDetails(BaseModel):
    """What the sent tokens consist of."""

    cached_tokens: int = Field(description="The part the provider had in its cache.")


class CompletionTokensDetails(BaseModel):
    """What the tokens billed as output consist of."""

    reasoning_tokens: int = Field(description="The model's thoughts.")


class CompletionUsage(BaseModel):
    """The tokens of one call."""

    prompt_tokens: int = Field(description="Tokens of everything that was sent.", examples=[15])
    completion_tokens: int = Field(
        description="Tokens billed as output, the model's thoughts included.", examples=[73]
    )
    total_tokens: int = Field(description="As the provider counts them.", examples=[88])
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails

    @classmethod
    def of(cls, usage: Usage) -> Self | None:
        """Return the same counts in OpenAI's words; None where the provider did not count, since there are no unknowns."""
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
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str = Field(description="The answer.", examples=["An event loop waits for …"])
    refusal: None = None


class Choice(BaseModel):
    """The one answer."""

    index: Literal[0] = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: OpenAIFinish = Field(description="Why the model stopped.")


class ChatCompletion(BaseModel):
    """The answer to a chat, by now in the user's history."""

    id: str = Field(
        description="`chatcmpl-` and the interaction's id.",
        examples=["chatcmpl-019aabb1-7c80-7000-8a51-0f1d2c3b4a59"],
    )
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Receipt, in seconds since 1970 UTC.", examples=[1795341600])
    model: str = Field(description="Who answered.", examples=["gemini-3.8-flash"])
    choices: list[Choice]
    usage: CompletionUsage | None = Field(
        description="The tokens; null where the provider did not count them."
    )
    system_fingerprint: None = None
    service_tier: Literal["default"] = "default"

    @classmethod
    def of(cls, interaction: Interaction) -> Self:
        """Return the same interaction in OpenAI's words."""
        return cls(
            id=completion_id(interaction.id),
            created=created_seconds(interaction.milliseconds),
            model=interaction.model,
            choices=[
                Choice(
                    message=AssistantMessage(content=interaction.text),
                    finish_reason=openai_finish(interaction),
                )
            ],
            usage=CompletionUsage.of(interaction.usage),
        )


def completion_id(interaction_id: str) -> str:
    """Return the id OpenAI's clients see."""
    return f"chatcmpl-{interaction_id}"


def created_seconds(milliseconds: int) -> int:
    """Return whole seconds, as OpenAI counts time."""
    return milliseconds // 1000


def openai_finish(interaction: Interaction) -> OpenAIFinish:
    """Return why an answer that was told to its end stopped."""
    if interaction.finish_reason is FinishReason.LENGTH:
        return "length"
    if interaction.finish_reason is FinishReason.CONTENT_FILTER:
        return "content_filter"
    return "stop"
