"""The one line a request leaves in the log, in the Elastic Common Schema. No prompt, no answer, no user id."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from domain.entities.interaction import Attempt, Interaction
from domain.interfaces.telemetry import RequestOutcome

ProviderName = Callable[[str], str]

_NANOSECONDS = 1_000_000_000


def access_line(
    state: Mapping[str, Any], answered: RequestOutcome, provider_name: ProviderName
) -> tuple[str, dict[str, Any]]:
    """Return the message and the fields.

    The path is the route's template where one matched, because a path may hold a user's id.

    Args:
        state: What the request left in its ASGI scope.
        answered: What became of it.
        provider_name: Tells what OpenTelemetry calls a provider of the catalogue.
    """
    fields: dict[str, Any] = {
        "trace": {"id": state["trace_id"]},
        "http": {
            "request": {"id": state["request_id"], "method": answered.method},
            "response": {"status_code": answered.status},
        },
        "url": {"path": answered.route},
        "event": {
            "action": "http.request",
            "outcome": "success" if 0 < answered.status < 400 else "failure",
            "duration": int(answered.seconds * _NANOSECONDS),
        },
    }
    if answered.problem is not None:
        fields["error"] = {"code": answered.problem}
    context = answered.context
    if context is None:
        return "request completed", fields
    fields["event"]["action"] = "llm.chat"
    fields["user"] = {"hash": hashlib.sha256(context.user_id.encode()).hexdigest()[:16]}
    fields["rt"] = {
        "interaction_id": context.id,
        "llm_response_seconds": context.llm_seconds,
        "history_seconds": context.history_seconds,
        "attempts": len(context.attempts),
        "attempts_detail": [_told(attempt) for attempt in context.attempts],
    }
    if not context.is_stored:
        fields["rt"]["history"] = "not_persisted"
    if (interaction := context.interaction) is not None:
        _add_outcome(fields, interaction, provider_name)
    return "chat completed", fields


def _told(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as the line tells it: this is the one line that every call of a provider leaves."""
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "seconds": attempt.seconds,
        "http_status": attempt.http_status,
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
