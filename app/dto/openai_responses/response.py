"""The response object in OpenAI's Responses format."""

from typing import Any

import orjson

from app.dto.openai_chat.answer import created_seconds
from app.dto.openai_responses.output import JsonObject, output_items
from app.dto.openai_responses.sealed_items import sealed_metadata
from app.services.response_ids import ResponseIds
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Interaction, Status
from domain.entities.prompt import Prompt
from domain.entities.reply import FinishReason, Usage
from domain.entities.tools import Tool, ToolChoice, ToolMode

_ERROR_CODES = {
    "rate-limited": "rate_limit_exceeded",
    "context-too-long": "context_length_exceeded",
    "content-blocked": "invalid_prompt",
    "provider-rejected": "invalid_prompt",
}


QUEUED, IN_PROGRESS, CANCELLED = "queued", "in_progress", "cancelled"
"""Statuses of background responses."""


def error_code(slug: str) -> str:
    """Return the code of a failed response for the slug of a problem."""
    return _ERROR_CODES.get(slug, "server_error")


def echo_of(prompt: Prompt) -> JsonObject:
    """Return the fields of a response that repeat the request."""
    response_format = prompt.response_format
    text_format: JsonObject = {"type": "text"}
    if response_format is not None and response_format.schema is None:
        text_format = {"type": "json_object"}
    elif response_format is not None:
        text_format = {
            "type": "json_schema",
            "name": response_format.name,
            "description": response_format.description or None,
            "schema": orjson.loads(response_format.schema or "{}"),
            "strict": bool(response_format.is_strict),
        }
    parallel = prompt.parallel_tool_calls
    return {
        "instructions": prompt.system or None,
        "max_output_tokens": prompt.max_output_tokens,
        "max_tool_calls": None,
        "parallel_tool_calls": True if parallel is None else parallel,
        "reasoning": {"effort": prompt.reasoning_effort, "summary": None},
        "temperature": 1.0 if prompt.temperature is None else prompt.temperature,
        "text": {"format": text_format, "verbosity": "medium"},
        "tool_choice": _choice(prompt.tool_choice),
        "tools": [_tool(tool) for tool in prompt.tools],
        "top_logprobs": 0,
        "top_p": 1.0 if prompt.top_p is None else prompt.top_p,
        "truncation": "disabled",
        "service_tier": "default",
    }


def response_object(
    interaction: Interaction, prompt: Prompt, ids: ResponseIds, *, is_sealed: bool = False
) -> JsonObject:
    """Return the response of an interaction.

    Args:
        interaction: One without an outcome is in progress; one that was interrupted is a failed response.
        prompt: Of the request, for the fields that repeat it.
        ids: Makes the ids.
        is_sealed: The client requests the metadata of the answer, sealed.
    """
    status, incomplete = _status(interaction)
    sealed = sealed_metadata(interaction, ids.sealer) if is_sealed else None
    response = {
        "id": ids.of_response(interaction.id, interaction.user_id),
        "object": "response",
        "created_at": created_seconds(interaction.milliseconds),
        "completed_at": completed_seconds(interaction) if status == "completed" else None,
        "status": status,
        "background": interaction.is_background,
        "error": None,
        "incomplete_details": incomplete,
        "model": interaction.model,
        "output": output_items(interaction, sealed, status),
        "store": interaction.is_content_stored,
        "usage": usage_object(interaction.usage),
        "user": None,
        "metadata": dict(interaction.metadata),
        **echo_of(prompt),
    }
    if status == "failed":
        response["error"] = {
            "code": error_code(interaction.error or ""),
            "message": "The model did not answer.",
        }
    response |= continued_fields(interaction, ids)
    return response


def continued_fields(turn: Interaction | ChatRequestContext, ids: ResponseIds) -> JsonObject:
    """Return the fields for what a response continues: a response or a conversation."""
    if turn.previous_id is not None:
        return {"previous_response_id": ids.of_response(turn.previous_id, turn.user_id)}
    fields: JsonObject = {"previous_response_id": None}
    if turn.conversation_id is not None:
        fields["conversation"] = {"id": ids.of_conversation(turn.conversation_id, turn.user_id)}
    return fields


def usage_object(usage: Usage) -> JsonObject | None:
    """Return the usage; None where the provider reported none."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    total = usage.total_tokens
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.input_tokens + usage.output_tokens if total is None else total,
    }


def completed_seconds(interaction: Interaction) -> int:
    """Return the second of the end of an answer."""
    return created_seconds(interaction.milliseconds + round(interaction.latency_seconds * 1000))


def _status(interaction: Interaction) -> tuple[str, JsonObject | None]:
    reason = interaction.finish_reason
    if interaction.status is Status.IN_PROGRESS:
        return IN_PROGRESS, None
    if interaction.status is Status.CLIENT_CANCELLED and interaction.is_background:
        return CANCELLED, None
    if interaction.status in (Status.FAILED, Status.INTERRUPTED):
        return "failed", None
    if reason is FinishReason.CONTENT_FILTER:
        return "incomplete", {"reason": "content_filter"}
    if reason is FinishReason.LENGTH:
        return "incomplete", {"reason": "max_output_tokens"}
    if interaction.status is Status.COMPLETED:
        return "completed", None
    return "incomplete", None


def _tool(tool: Tool) -> JsonObject:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description or None,
        "parameters": None if tool.parameters is None else orjson.loads(tool.parameters),
        "strict": tool.is_strict,
    }


def _choice(choice: ToolChoice | None) -> Any:
    if choice is None:
        return "auto"
    if not choice.names:
        return choice.mode
    if choice.mode is ToolMode.REQUIRED and len(choice.names) == 1:
        return {"type": "function", "name": choice.names[0]}
    tools = [{"type": "function", "name": name} for name in choice.names]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
