"""Server-sent events of a streamed POST /v1/chat."""

import orjson
from starlette.types import Scope

from app.dto.native.interaction import chat_response
from app.dto.native.items import tool_call_document
from app.problems.error_handlers import problem_of_error
from app.responses.event_stream import StreamFormat
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import ChatEvent, Interaction
from domain.entities.items import ToolCall
from domain.entities.reply import ProviderSelected, ReasoningDelta
from domain.exceptions import DomainError


class NativeStreamFormat(StreamFormat):
    """Writes named events: `meta`, any number of `delta`, `reasoning` and `tool_call`, then `done` or `error`."""

    def __init__(self, context: ChatRequestContext) -> None:
        self._context = context

    def encode(self, event: ChatEvent) -> bytes:
        if isinstance(event, str):
            return b"event: delta\ndata: " + orjson.dumps({"text": event}) + b"\n\n"
        if isinstance(event, Interaction):
            return (
                b"event: done\ndata: "
                + chat_response(event, is_stored=self._context.is_stored, with_text=False)
                + b"\n\n"
            )
        if isinstance(event, ReasoningDelta):
            return b"event: reasoning\ndata: " + orjson.dumps({"text": event.text}) + b"\n\n"
        if isinstance(event, ToolCall):
            return b"event: tool_call\ndata: " + orjson.dumps(tool_call_document(event)) + b"\n\n"
        if event.continues:
            return b""
        return b"event: meta\ndata: " + self._meta(event) + b"\n\n"

    def encode_error(self, error: DomainError, scope: Scope) -> bytes:
        _, problem = problem_of_error(error, scope)
        return b"event: error\ndata: " + orjson.dumps(problem) + b"\n\n"

    def _meta(self, selected: ProviderSelected) -> bytes:
        return orjson.dumps(
            {
                "id": self._context.id,
                "model": selected.model,
                "provider": selected.provider,
                "conversationId": self._context.conversation_id,
            }
        )
