"""The events of a streamed POST /v1/messages."""

import orjson
from starlette.types import Scope

from app.dto.anthropic_messages.answer import (
    JsonObject,
    arguments_object,
    message_object,
    signature_of,
    stop_reason,
    usage_object,
)
from app.problems.anthropic_errors import anthropic_error
from app.problems.error_handlers import problem_of_error
from app.responses.event_stream import StreamFormat
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import ChatEvent, Interaction
from domain.entities.items import ToolCall
from domain.entities.reply import NO_USAGE, ProviderSelected, ReasoningDelta
from domain.exceptions import DomainError
from domain.interfaces.sealer import Sealer


class MessageStreamFormat(StreamFormat):
    """Named events: the start of the message, its blocks one after the other, why it ended, its end."""

    ping = b'event: ping\ndata: {"type":"ping"}\n\n'

    def __init__(self, context: ChatRequestContext, sealer: Sealer) -> None:
        self._context = context
        self._sealer = sealer
        self._index = -1
        self._open: str | None = None
        self._thinking: list[str] = []
        self._has_begun = False

    def encode(self, event: ChatEvent) -> bytes:
        if isinstance(event, str):
            delta = {"type": "text_delta", "text": event}
            return self._delta("text", {"type": "text", "text": ""}, delta)
        if isinstance(event, Interaction):
            return self._end(event)
        if isinstance(event, ReasoningDelta):
            delta = {"type": "thinking_delta", "thinking": event.text}
            start = {"type": "thinking", "thinking": "", "signature": ""}
            events = self._delta("thinking", start, delta)
            self._thinking.append(event.text)
            return events
        if isinstance(event, ToolCall):
            return self._call(event)
        return self._begin(event)

    def encode_error(self, error: DomainError, scope: Scope) -> bytes:
        kind, problem = problem_of_error(error, scope)
        body = anthropic_error(kind, problem.get("errors", ()), scope["state"]["request_id"])
        return _event("error", body)

    def _begin(self, event: ProviderSelected) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        message = message_object(
            self._context.id, event.model, content=[], reason=None, usage=NO_USAGE
        )
        return _event("message_start", {"message": message})

    def _delta(self, kind: str, start: JsonObject, delta: JsonObject) -> bytes:
        events = b""
        if self._open != kind:
            events = self._close()
            self._index += 1
            self._open = kind
            body = {"index": self._index, "content_block": start}
            events += _event("content_block_start", body)
        return events + _event("content_block_delta", {"index": self._index, "delta": delta})

    def _call(self, call: ToolCall) -> bytes:
        start = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        arguments = orjson.dumps(arguments_object(call.arguments)).decode()
        delta = {"type": "input_json_delta", "partial_json": arguments}
        events = self._close()  # each call is a block of its own
        return events + self._delta("tool_use", start, delta) + self._close()

    def _close(self) -> bytes:
        kind, self._open = self._open, None
        if kind is None:
            return b""
        events = b""
        if kind == "thinking":
            text = "".join(self._thinking)
            self._thinking.clear()
            signature = signature_of(text, self._context.user_id, self._sealer)
            delta = {"type": "signature_delta", "signature": signature}
            events = _event("content_block_delta", {"index": self._index, "delta": delta})
        return events + _event("content_block_stop", {"index": self._index})

    def _end(self, interaction: Interaction) -> bytes:
        delta = {"stop_reason": stop_reason(interaction), "stop_sequence": None}
        body = {"delta": delta, "usage": usage_object(interaction.usage)}
        return self._close() + _event("message_delta", body) + _event("message_stop", {})


def refusal_events(refusal: JsonObject) -> bytes:
    """Return the events of an answer that was blocked before any text.

    Args:
        refusal: The message as it is sent without a stream.
    """
    delta = {"stop_reason": refusal["stop_reason"], "stop_sequence": None}
    return (
        _event("message_start", {"message": {**refusal, "stop_reason": None}})
        + _event("message_delta", {"delta": delta, "usage": refusal["usage"]})
        + _event("message_stop", {})
    )


def _event(name: str, body: JsonObject) -> bytes:
    data = orjson.dumps({"type": name, **body})
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
