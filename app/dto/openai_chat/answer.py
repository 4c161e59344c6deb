"""Response body of a chat in OpenAI's format."""

from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, Field

from app.dto.openai_chat.tool_calls import tool_call
from domain.entities.interaction import Interaction
from domain.entities.reply import FinishReason, Usage

OpenAIFinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class PromptTokensDetails(BaseModel):
    """Breakdown of the input tokens."""

    cached_tokens: int = Field(description="Tokens that the provider read from its cache.")
    cache_write_tokens: int | None = Field(
        default=None,
        exclude_if=lambda tokens: tokens is None,
        description="Tokens that the provider wrote to its cache; absent when it reported none.",
    )


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
            prompt_tokens_details=PromptTokensDetails(
                cached_tokens=usage.cached_input_tokens or 0,
                cache_write_tokens=usage.cache_write_tokens,
            ),
            completion_tokens_details=CompletionTokensDetails(
                reasoning_tokens=usage.reasoning_tokens or 0
            ),
        )


class FunctionDto(BaseModel):
    """The called function."""

    name: str = Field(description="Its name.", examples=["get_weather"])
    arguments: str = Field(
        description="JSON of the arguments, as the model wrote it.", examples=['{"city":"Oslo"}']
    )


class ToolCallDto(BaseModel):
    """A call of a tool."""

    id: str = Field(description="For the message with its result.", examples=["call_1"])
    type: Literal["function"] = "function"
    function: FunctionDto
    extra_content: dict[str, Any] | None = Field(
        default=None, description="Opaque; may be sent back with the call, and is else absent."
    )


class AssistantMessage(BaseModel):
    """The answer as a message."""

    role: Literal["assistant"] = "assistant"
    content: str | None = Field(
        description="Text of the answer; null if there are only tool calls.",
        examples=["An event loop waits for …"],
    )
    refusal: None = None
    reasoning_content: str | None = Field(
        default=None, description="Reasoning of the model, if it shows any; else absent."
    )
    tool_calls: list[ToolCallDto] | None = Field(
        default=None, description="Calls of the model, if there are any; else absent."
    )


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


def completion_json(interaction: Interaction) -> bytes:
    """Return the JSON of the `ChatCompletion` for `interaction`."""
    usage = CompletionUsage.from_usage(interaction.usage)
    choice = {
        "index": 0,
        "message": _message(interaction),
        "logprobs": None,
        "finish_reason": openai_finish_reason(interaction),
    }
    return orjson.dumps(
        {
            "id": completion_id(interaction.id),
            "object": "chat.completion",
            "created": created_seconds(interaction.milliseconds),
            "model": interaction.model,
            "choices": [choice],
            "usage": None if usage is None else usage.model_dump(),
            "system_fingerprint": None,
            "service_tier": "default",
        }
    )


def _message(interaction: Interaction) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": interaction.text,
        "refusal": None,
    }
    if not interaction.items:
        return message
    if reasoning := interaction.reasoning:
        message["reasoning_content"] = reasoning
    if calls := interaction.tool_calls:
        message["content"] = interaction.text or None
        message["tool_calls"] = [tool_call(call) for call in calls]
    return message


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
    if interaction.finish_reason is FinishReason.TOOL_CALLS:
        return "tool_calls"
    return "stop"
