"""The events of a streamed POST /v1/chat."""

import orjson
from starlette.types import Scope

from app.dto.native.interaction import chat_response
from app.problems.error_handlers import problem_of_error
from app.responses.event_stream import Framing
from domain.entities.chat_request_context import Turn
from domain.entities.interaction import Interaction
from domain.entities.reply import Answering
from domain.exceptions import DomainError


class NativeFraming(Framing):
    """Named events: `meta`, `delta`…, then `done` or `error`."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def piece(self, piece: Answering | str | Interaction) -> bytes:
        if isinstance(piece, str):
            return b"event: delta\ndata: " + orjson.dumps({"text": piece}) + b"\n\n"
        if isinstance(piece, Interaction):
            return (
                b"event: done\ndata: "
                + chat_response(piece, is_kept=self._turn.is_kept, with_text=False)
                + b"\n\n"
            )
        if piece.continues:
            return b""
        return b"event: meta\ndata: " + self._meta(piece) + b"\n\n"

    def problem(self, error: DomainError, scope: Scope) -> bytes:
        _, problem = problem_of_error(error, scope)
        return b"event: error\ndata: " + orjson.dumps(problem) + b"\n\n"

    def _meta(self, answering: Answering) -> bytes:
        return orjson.dumps(
            {
                "id": self._turn.id,
                "model": answering.model,
                "provider": answering.provider,
                "conversationId": self._turn.conversation_id,
            }
        )
