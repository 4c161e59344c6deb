"""An interaction, as callers see it."""

from typing import Any, Literal, Self

import orjson
from pydantic import Field

from app.dto.attempt import AttemptDto, UsageDto
from app.dto.wire import Dto, wire_time
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.reply import FinishReason, Usage

_EXAMPLE_ID = "019aabb1-7c80-7000-8a51-0f1d2c3b4a59"


class InteractionDto(Dto):
    """One request to a model and what became of it."""

    id: str = Field(description="UUIDv7, made on receipt; sorts by time.", examples=[_EXAMPLE_ID])
    user_id: str = Field(description="Whose interaction it is.", examples=["ana"])
    conversation_id: str | None = Field(description="The conversation it belongs to, if any.")
    timestamp: str = Field(
        description="Receipt, RFC 3339 UTC with milliseconds; the time the id carries.",
        examples=["2026-11-22T10:00:00.123Z"],
        json_schema_extra={"format": "date-time"},
    )
    user_prompt: str = Field(description="What was asked.", examples=["Explain event loops."])
    system_prompt: str = Field(description="The instructions that stood before it.", examples=[""])
    temperature: float | None = Field(description="As the caller set it; null when it did not.")
    response: str = Field(
        description="The answer, or what there is of it.", examples=["An event loop waits for …"]
    )
    model: str = Field(
        description="Who answered; of a failed one, who was asked last.",
        examples=["gemini-3.8-flash"],
    )
    requested_model: str = Field(
        description="What was asked for, or the default.", examples=["gemini-3.8-flash"]
    )
    provider: str | None = Field(
        description="The provider of `model`; null when none was reached.", examples=["gemini"]
    )
    status: Status = Field(
        description="`truncated`: some text, then broken off. `failed`: no text. `interrupted`: our process died."
    )
    finish_reason: FinishReason | None = Field(description="Why the model stopped, if it did.")
    fallback_used: bool = Field(
        description="Whether another model than the one asked for answered."
    )
    llm_response_seconds: float = Field(
        description="From asking to the end of the answer.", examples=[1.234]
    )
    time_to_first_token_seconds: float | None = Field(
        description="From asking to the first word; null when none came.", examples=[0.412]
    )
    usage: UsageDto = Field(description="Tokens and price: the sum over all attempts.")
    attempts: list[AttemptDto] = Field(description="Every call of a provider, in order.")
    error: str | None = Field(
        description="The slug of what went wrong; null when nothing did.", examples=[None]
    )

    @classmethod
    def of(cls, interaction: Interaction) -> Self:
        """Return the same interaction in the wire's words."""
        prompt = interaction.prompt
        return cls(
            id=interaction.id,
            user_id=interaction.user_id,
            conversation_id=interaction.conversation_id,
            timestamp=wire_time(interaction.asked_at),
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
            usage=UsageDto.of(interaction.usage),
            attempts=[AttemptDto.of(attempt) for attempt in interaction.attempts],
            error=interaction.error,
        )


class HistoryReceipt(Dto):
    """What is promised about keeping the answer."""

    status: Literal["accepted", "not_persisted"] = Field(
        description="`accepted`: it is kept, also if everything crashes now. `not_persisted`: it could not be kept, and HISTORY_MODE=best_effort answers all the same."
    )


class ChatResponse(InteractionDto):
    """The answer to a chat: the interaction it became."""

    history: HistoryReceipt = Field(description="What is promised about keeping it.")


def chat_response(interaction: Interaction, *, is_stored: bool, with_text: bool = True) -> bytes:
    """Return the JSON of the interaction's `ChatResponse`, without making one: it would check what we know already.

    `with_text=False` leaves the answer's text out, for those who have heard it.
    """
    document = wire_document(interaction)
    document["history"] = {"status": "accepted" if is_stored else "not_persisted"}
    if not with_text:
        del document["response"]
    return orjson.dumps(document)


def wire_document(interaction: Interaction) -> dict[str, Any]:
    """Return what the interaction's `InteractionDto` is as JSON."""
    prompt = interaction.prompt
    return {
        "id": interaction.id,
        "userId": interaction.user_id,
        "conversationId": interaction.conversation_id,
        "timestamp": wire_time(interaction.asked_at),
        "userPrompt": prompt.text,
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


def _usage_document(usage: Usage) -> dict[str, Any]:
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "totalTokens": usage.total_tokens,
        "costUsd": usage.cost_usd,
    }


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
