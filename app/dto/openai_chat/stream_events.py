"""Server-sent events of a streamed POST /v1/chat/completions."""

import orjson
from starlette.types import Scope

from app.dto.openai_chat.answer import (
    CompletionUsage,
    completion_id,
    created_seconds,
    openai_finish_reason,
)
from app.dto.openai_chat.tool_calls import tool_call
from app.problems.error_handlers import problem_of_error
from app.problems.openai_errors import openai_error
from app.responses.event_stream import StreamFormat
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import ChatEvent, Interaction, milliseconds_of
from domain.entities.items import ToolCall
from domain.entities.reply import ReasoningDelta
from domain.exceptions import DomainError

_ROLE = b'{"role":"assistant","content":"","refusal":null}'
_DONE = b"data: [DONE]\n\n"


class OpenAIChatStreamFormat(StreamFormat):
    """Writes chunks: the role, the text, the finish reason, the token usage if requested, `[DONE]`.

    All chunks name the model that started the answer, even if a fallback continues it.
    """

    def __init__(self, context: ChatRequestContext, *, with_usage: bool) -> None:
        self._context = context
        self._with_usage = with_usage
        self._no_usage = b',"usage":null' if with_usage else b""
        self._chunk_start = b""
        self._calls = 0

    def encode(self, event: ChatEvent) -> bytes:
        if isinstance(event, str):
            return self._chunk(b'{"content":' + orjson.dumps(event) + b"}")
        if isinstance(event, Interaction):
            return self._encode_end(event)
        if isinstance(event, ReasoningDelta):
            return self._chunk(b'{"reasoning_content":' + orjson.dumps(event.text) + b"}")
        if isinstance(event, ToolCall):
            call = orjson.dumps({"index": self._calls, **tool_call(event)})
            self._calls += 1
            return self._chunk(b'{"tool_calls":[' + call + b"]}")
        if event.continues:
            return b""
        self._chunk_start = self._encode_common_fields(event.model)
        return self._chunk(_ROLE)

    def encode_error(self, error: DomainError, scope: Scope) -> bytes:
        kind, problem = problem_of_error(error, scope)
        body = orjson.dumps(openai_error(kind, scope["path"], problem.get("errors", ())))
        return b"data: " + body + b"\n\n"

    def _encode_common_fields(self, model: str) -> bytes:
        """Return the start of every chunk: the fields that are the same in all, without the closing brace."""
        interaction_id = self._context.id
        return b"data: " + orjson.dumps(
            {
                "id": completion_id(interaction_id),
                "object": "chat.completion.chunk",
                "created": created_seconds(milliseconds_of(interaction_id)),
                "model": model,
                "service_tier": "default",
                "system_fingerprint": None,
            }
        ).removesuffix(b"}")

    def _chunk(self, delta: bytes, finish_reason: bytes = b"null") -> bytes:
        return (
            b'%s,"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}]%s}\n\n'
            % (
                self._chunk_start,
                delta,
                finish_reason,
                self._no_usage,
            )
        )

    def _encode_end(self, interaction: Interaction) -> bytes:
        events = self._chunk(b"{}", orjson.dumps(openai_finish_reason(interaction)))
        if self._with_usage:
            usage = CompletionUsage.from_usage(interaction.usage)
            usage_json = b"null" if usage is None else usage.model_dump_json().encode()
            events += b'%s,"choices":[],"usage":%s}\n\n' % (self._chunk_start, usage_json)
        return events + _DONE
