"""Response bodies that contain an interaction."""

from typing import Any, Literal, Self

import orjson
from pydantic import Field

from app.dto.attempt import AttemptDto, UsageDto
from app.dto.native.attachments import StoredAttachmentDto, attachment_document
from app.dto.native.items import (
    GivenToolResultDto,
    ToolCallDto,
    tool_call_document,
    tool_result_document,
)
from app.dto.wire import PREVIOUS_NONE, Dto, format_time
from domain.entities.interaction import NO_TURN_ID, Attempt, Interaction, Status
from domain.entities.items import attachments, tool_results
from domain.entities.reply import FinishReason, Usage

_EXAMPLE_ID = "019aabb1-7c80-7000-8a51-0f1d2c3b4a59"


def _previous_id(interaction: Interaction) -> str | None:
    return PREVIOUS_NONE if interaction.previous_id == NO_TURN_ID else interaction.previous_id


def _is_empty(value: object) -> bool:
    return not value


class InteractionDto(Dto):
    """One prompt, its answer or error, and the provider calls made for it."""

    id: str = Field(
        description="UUIDv7, generated on receipt; sorts by time.", examples=[_EXAMPLE_ID]
    )
    user_id: str = Field(description="User that owns the interaction.", examples=["ana"])
    conversation_id: str | None = Field(description="The conversation it belongs to, if any.")
    timestamp: str = Field(
        description="Time of receipt, RFC 3339 UTC with milliseconds; equals the timestamp in the id.",
        examples=["2026-11-22T10:00:00.123Z"],
        json_schema_extra={"format": "date-time"},
    )
    user_prompt: str = Field(description="The prompt.", examples=["Explain event loops."])
    system_prompt: str = Field(
        description="Instructions for the model; empty when none were sent.", examples=[""]
    )
    temperature: float | None = Field(description="As set in the request; null when absent.")
    response: str = Field(
        description="The answer; partial or empty when it was broken off.",
        examples=["An event loop waits for …"],
    )
    model: str = Field(
        description="Model that answered; when all failed, the model that was called last.",
        examples=["gemini-3.8-flash"],
    )
    requested_model: str = Field(
        description="Model of the request, or the default model.", examples=["gemini-3.8-flash"]
    )
    provider: str | None = Field(
        description="The provider of `model`; null when none was reached.", examples=["gemini"]
    )
    status: Status = Field(
        description="`truncated`: partial text, then an error. `failed`: no text. `interrupted`: the server process died. `in_progress`: a background answer that has not ended yet."
    )
    finish_reason: FinishReason | None = Field(
        description="Why the model stopped; null when it did not finish."
    )
    fallback_used: bool = Field(
        description="Whether a model other than `requestedModel` answered; where several routes share its requests, other than the one chosen for this one."
    )
    llm_response_seconds: float = Field(
        description="Seconds from receipt to the end of the answer.", examples=[1.234]
    )
    time_to_first_token_seconds: float | None = Field(
        description="Seconds from receipt to the first text; null without any.", examples=[0.412]
    )
    usage: UsageDto = Field(description="Tokens and cost, summed over all attempts.")
    attempts: list[AttemptDto] = Field(description="All provider calls, in order.")
    error: str | None = Field(description="Slug of the error; null on success.", examples=[None])

    previous_id: str | None = Field(
        default=None,
        exclude_if=_is_empty,
        description="The interaction that this one continues, `none` for a branch from the beginning of its conversation; absent when the request named none.",
        examples=[_EXAMPLE_ID],
    )
    tool_calls: list[ToolCallDto] = Field(
        default=[],
        exclude_if=_is_empty,
        description="Tool calls of the answer, in order; absent without any.",
    )
    tool_results: list[GivenToolResultDto] = Field(
        default=[],
        exclude_if=_is_empty,
        description="Tool results of the request, in order; absent without any.",
    )
    attachments: list[StoredAttachmentDto] = Field(
        default=[],
        exclude_if=_is_empty,
        description="Attachments of the request, in order; absent without any.",
    )
    reasoning: str = Field(
        default="",
        exclude_if=_is_empty,
        description="The model's reasoning, as far as the provider shows it; absent without any.",
    )
    stored: bool = Field(
        default=True,
        exclude_if=bool,
        description="false: the caller requested that no content is stored; otherwise absent.",
    )
    metadata: dict[str, str] = Field(
        default={},
        exclude_if=_is_empty,
        description="The pairs of strings of the request; absent without any.",
        examples=[{"ticket": "4711"}],
    )

    @classmethod
    def from_interaction(cls, interaction: Interaction) -> Self:
        """Return the response object for `interaction`."""
        prompt = interaction.prompt
        return cls(
            id=interaction.id,
            user_id=interaction.user_id,
            conversation_id=interaction.conversation_id,
            timestamp=format_time(interaction.asked_at),
            user_prompt=prompt.text,
            system_prompt=prompt.system,
            temperature=prompt.temperature,
            response=interaction.text,
            model=interaction.model,
            requested_model=interaction.requested_model,
            provider=interaction.provider,
            status=interaction.status,
            finish_reason=interaction.finish_reason,
            fallback_used=interaction.fallback_used,
            llm_response_seconds=interaction.latency_seconds,
            time_to_first_token_seconds=interaction.time_to_first_token_seconds,
            usage=UsageDto.from_usage(interaction.usage),
            attempts=[AttemptDto.from_attempt(attempt) for attempt in interaction.attempts],
            error=interaction.error,
            previous_id=_previous_id(interaction),
            tool_calls=[ToolCallDto.from_call(call) for call in interaction.tool_calls],
            tool_results=[GivenToolResultDto.from_result(result) for result in prompt.results],
            attachments=[
                StoredAttachmentDto.from_attachment(attachment)
                for attachment in attachments(prompt.new_message.items)
            ],
            reasoning=interaction.reasoning,
            metadata=dict(interaction.metadata),
            stored=interaction.is_content_stored,
        )


class HistoryReceipt(Dto):
    """Durability of the stored interaction."""

    status: Literal["accepted", "not_persisted"] = Field(
        description="`accepted`: the interaction survives a crash. `not_persisted`: storing it failed, and HISTORY_MODE=best_effort returns the answer regardless."
    )


class ChatResponse(InteractionDto):
    """Response body of POST /v1/chat."""

    history: HistoryReceipt = Field(description="Whether the interaction was stored durably.")


def chat_response(interaction: Interaction, *, is_stored: bool, with_text: bool = True) -> bytes:
    """Return the JSON of the interaction's `ChatResponse`.

    Builds no model, since validating values from the domain would only cost time.

    Args:
        interaction: A recorded interaction.
        is_stored: Whether the interaction was stored durably.
        with_text: False leaves out the answer's text, which a stream has already sent.
    """
    document = interaction_document(interaction)
    document["history"] = {"status": "accepted" if is_stored else "not_persisted"}
    if not with_text:
        del document["response"]
    return orjson.dumps(document)


def interaction_document(interaction: Interaction) -> dict[str, Any]:
    """Return the same JSON object as `InteractionDto` serialises to."""
    prompt = interaction.prompt
    message = prompt.new_message
    document: dict[str, Any] = {
        "id": interaction.id,
        "userId": interaction.user_id,
        "conversationId": interaction.conversation_id,
        "timestamp": format_time(interaction.asked_at),
        "userPrompt": message.text,
        "systemPrompt": prompt.system,
        "temperature": prompt.temperature,
        "response": interaction.text,
        "model": interaction.model,
        "requestedModel": interaction.requested_model,
        "provider": interaction.provider,
        "status": interaction.status,
        "finishReason": interaction.finish_reason,
        "fallbackUsed": interaction.fallback_used,
        "llmResponseSeconds": interaction.latency_seconds,
        "timeToFirstTokenSeconds": interaction.time_to_first_token_seconds,
        "usage": _usage_document(interaction.usage),
        "attempts": [_attempt_document(attempt) for attempt in interaction.attempts],
        "error": interaction.error,
    }
    if interaction.previous_id is not None:
        document["previousId"] = _previous_id(interaction)
    if interaction.items and (calls := interaction.tool_calls):
        document["toolCalls"] = [tool_call_document(call) for call in calls]
    if message.items and (results := tool_results(message.items)):
        document["toolResults"] = [tool_result_document(result) for result in results]
    if message.items and (sent := attachments(message.items)):
        document["attachments"] = [attachment_document(attachment) for attachment in sent]
    if interaction.items and (reasoning := interaction.reasoning):
        document["reasoning"] = reasoning
    if not interaction.is_content_stored:
        document["stored"] = False
    if interaction.metadata:
        document["metadata"] = dict(interaction.metadata)
    return document


def _usage_document(usage: Usage) -> dict[str, Any]:
    document = {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "totalTokens": usage.total_tokens,
        "costUsd": usage.cost_usd,
    }
    if usage.cached_input_tokens is not None:
        document["cachedInputTokens"] = usage.cached_input_tokens
    if usage.cache_write_tokens is not None:
        document["cacheWriteTokens"] = usage.cache_write_tokens
    return document


def _attempt_document(attempt: Attempt) -> dict[str, Any]:
    document = {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "seconds": attempt.seconds,
        "httpStatus": attempt.http_status,
    }
    if attempt.usage is not None:
        document["usage"] = _usage_document(attempt.usage)
    return document
