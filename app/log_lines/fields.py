"""Access log in the Elastic Common Schema, one line per request and per background answer. It contains no prompt, answer or user id."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from domain.entities.background.answer import BackgroundAnswer
from domain.entities.chat_request_context import ChatRequestContext, Operation
from domain.entities.interaction import Attempt, Interaction
from domain.entities.reply import total_usage
from domain.interfaces.telemetry import RequestOutcome

ProviderName = Callable[[str], str]

_NANOSECONDS = 1_000_000_000

# On Python 3.11 a lookup in the class takes forty times as long, and this one is made for every chat.
_EMBEDDINGS = Operation.EMBEDDINGS


def access_line(
    state: Mapping[str, Any], outcome: RequestOutcome, provider_name: ProviderName
) -> tuple[str, dict[str, Any]]:
    """Return the message and the fields of the line.

    The path is the template of the matched route, because the actual path may contain a user id.

    Args:
        state: State of the request's ASGI scope.
        outcome: Outcome of the request.
        provider_name: Returns OpenTelemetry's name of a provider of the catalogue.
    """
    fields: dict[str, Any] = {
        "trace": {"id": state["trace_id"]},
        "http": {
            "request": {"id": state["request_id"], "method": outcome.method},
            "response": {"status_code": outcome.status},
        },
        "url": {"path": outcome.route},
        "event": {
            "action": "http.request",
            "outcome": "success" if 0 < outcome.status < 400 else "failure",
            "duration": int(outcome.seconds * _NANOSECONDS),
        },
    }
    if outcome.problem is not None:
        fields["error"] = {"code": outcome.problem}
    context = outcome.context
    if context is None:
        return "request completed", fields
    fields["user"] = {"hash": _hash(context.user_id)}
    if context.is_background:  # the answer has a line of its own, at its end
        fields["rt"] = {"interaction_id": context.id}
        return "request completed", fields
    if context.operation is _EMBEDDINGS:
        _add_embeddings(fields, context, provider_name)
        return "embeddings completed", fields
    fields["event"]["action"] = "llm.chat"
    fields["rt"] = {
        "interaction_id": context.id,
        "llm_response_seconds": context.llm_seconds,
        "history_seconds": context.history_seconds,
        "attempts": len(context.attempts),
        "attempts_detail": [_attempt_fields(attempt) for attempt in context.attempts],
    }
    if not context.is_stored:
        fields["rt"]["history"] = "not_persisted"
    if (interaction := context.interaction) is not None:
        _add_outcome(fields, interaction, provider_name)
    return "chat completed", fields


def answer_line(
    answer: BackgroundAnswer, interaction: Interaction, provider_name: ProviderName
) -> tuple[str, dict[str, Any]]:
    """Return the message and the fields of the line for a background answer that has ended.

    Args:
        answer: The request, which had a line of its own.
        interaction: The outcome.
        provider_name: Returns OpenTelemetry's name of a provider of the catalogue.
    """
    trace_id = answer.traceparent.split("-")[1] if answer.traceparent else answer.request_id
    fields: dict[str, Any] = {
        "trace": {"id": trace_id},
        "http": {"request": {"id": answer.request_id}},
        "event": {
            "action": "llm.chat",
            "outcome": "success" if interaction.error is None else "failure",
            "duration": int(interaction.latency_seconds * _NANOSECONDS),
        },
        "user": {"hash": _hash(interaction.user_id)},
        "rt": {
            "interaction_id": interaction.id,
            "llm_response_seconds": interaction.latency_seconds,
            "attempts": len(interaction.attempts),
            "attempts_detail": [_attempt_fields(attempt) for attempt in interaction.attempts],
        },
    }
    _add_outcome(fields, interaction, provider_name)
    return "background answer completed", fields


def _hash(user_id: str) -> str:
    return hashlib.sha256(user_id.encode()).hexdigest()[:16]


def _attempt_fields(attempt: Attempt) -> dict[str, Any]:
    """Return the fields of one provider call; calls have no log lines of their own."""
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "seconds": attempt.seconds,
        "http_status": attempt.http_status,
    }


def _add_embeddings(
    fields: dict[str, Any], context: ChatRequestContext, provider_name: ProviderName
) -> None:
    fields["event"]["action"] = "llm.embeddings"
    fields["rt"] = {
        "llm_response_seconds": context.llm_seconds,
        "attempts": len(context.attempts),
        "attempts_detail": [_attempt_fields(attempt) for attempt in context.attempts],
    }
    last = context.attempts[-1] if context.attempts else None
    usage = total_usage(attempt.usage for attempt in context.attempts if attempt.usage)
    fields["gen_ai"] = {
        "provider": {"name": provider_name(last.provider) if last else None},
        "request": {"model": context.model},
        "response": {"model": last.model if last else None},
        "usage": {"input_tokens": usage.input_tokens},
    }


def _add_outcome(
    fields: dict[str, Any], interaction: Interaction, provider_name: ProviderName
) -> None:
    usage = interaction.usage
    fields["rt"]["status"] = interaction.status
    fields["rt"]["fallback"] = interaction.fallback_used
    fields["gen_ai"] = {
        "provider": {"name": provider_name(interaction.provider) if interaction.provider else None},
        "request": {"model": interaction.requested_model},
        "response": {"model": interaction.model},
        "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
    }
    if interaction.error is not None:
        fields["error"] = {"code": interaction.error}
