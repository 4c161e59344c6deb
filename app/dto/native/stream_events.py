"""Server-sent events of POST /v1/chat and of the logs of background answers."""

import orjson
from starlette.types import Scope

from app.dto.attempt import AttemptDto
from app.dto.native.interaction import chat_response
from app.dto.native.items import tool_call_document
from app.problems.error_handlers import problem_of_code, problem_of_error
from app.problems.problem_table import problem_body
from app.responses.answer_stream import LogFormat
from app.responses.event_stream import StreamFormat
from domain.entities.background.log import LogEvent, Restarted
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import ChatEvent, Interaction
from domain.entities.items import ToolCall
from domain.entities.reply import ProviderSelected, ReasoningDelta
from domain.exceptions import DomainError
from domain.use_cases.background.follow_answer import FollowedAnswer, NumberedEvent


class NativeStreamFormat(StreamFormat):
    """Writes named events: `meta`, any number of `delta`, `reasoning` and `tool_call`, then `done` or `error`."""

    def __init__(self, context: ChatRequestContext) -> None:
        self._context = context

    def encode(self, event: ChatEvent) -> bytes:
        if isinstance(event, str):
            return _delta(event)
        if isinstance(event, Interaction):
            return _done(event, is_stored=self._context.is_stored)
        if isinstance(event, ReasoningDelta):
            return _reasoning(event)
        if isinstance(event, ToolCall):
            return _tool_call(event)
        if event.continues:
            return b""
        return _meta(event, self._context.id, self._context.conversation_id)

    def encode_error(self, error: DomainError, scope: Scope) -> bytes:
        _, problem = problem_of_error(error, scope)
        return _error(problem)


class NativeLogFormat(LogFormat):
    """Writes the same events with their numbers as `id`, and `restart` where the text before it is void.

    Events whose log was removed have no `id`: a log on another host may have other events with these numbers.
    """

    def __init__(self, followed: FollowedAnswer) -> None:
        self._answer = followed.answer
        self._has_numbers = followed.is_kept

    def encode_numbered(self, numbered: NumberedEvent) -> bytes:
        event = self._encode(numbered.event)
        return b"id: %d\n" % numbered.number + event if self._has_numbers else event

    def _encode(self, event: LogEvent) -> bytes:
        accepted = self._answer.interaction
        match event:
            case str():
                return _delta(event)
            case ReasoningDelta():
                return _reasoning(event)
            case ToolCall():
                return _tool_call(event)
            case Restarted():
                return _event(b"restart", orjson.dumps({"reason": event.reason}))
            case ProviderSelected():
                return _meta(event, accepted.id, accepted.conversation_id)
        if event.error is None:
            return _done(event, is_stored=True)
        attempts = [
            AttemptDto.from_attempt(each).model_dump(by_alias=True) for each in event.attempts
        ]
        members = {"attempts": attempts} if attempts else {}
        return _error(
            problem_body(problem_of_code(event.error), self._answer.request_id, **members)
        )


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: " + name + b"\ndata: " + data + b"\n\n"


def _delta(text: str) -> bytes:
    return b"event: delta\ndata: " + orjson.dumps({"text": text}) + b"\n\n"


def _reasoning(delta: ReasoningDelta) -> bytes:
    return _event(b"reasoning", orjson.dumps({"text": delta.text}))


def _tool_call(call: ToolCall) -> bytes:
    return _event(b"tool_call", orjson.dumps(tool_call_document(call)))


def _meta(selected: ProviderSelected, interaction_id: str, conversation_id: str | None) -> bytes:
    meta = {
        "id": interaction_id,
        "model": selected.model,
        "provider": selected.provider,
        "conversationId": conversation_id,
    }
    return _event(b"meta", orjson.dumps(meta))


def _done(interaction: Interaction, *, is_stored: bool) -> bytes:
    return _event(b"done", chat_response(interaction, is_stored=is_stored, with_text=False))


def _error(problem: dict[str, object]) -> bytes:
    return _event(b"error", orjson.dumps(problem))
