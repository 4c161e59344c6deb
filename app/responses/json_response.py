"""JSON responses of complete answers, with their headers."""

import time

from fastapi import Request
from starlette.responses import Response

from app.services.answer_events import AnswerEvents
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Interaction

ANSWER_HEADERS = {
    "X-Request-Id": {
        "schema": {"type": "string"},
        "description": "Identifies this request in the server's logs.",
    },
    "X-Interaction-Id": {"schema": {"type": "string"}, "description": "Id of the interaction."},
    "Idempotency-Replayed": {
        "schema": {"type": "string", "const": "true"},
        "description": "Present when the response repeats the answer to an earlier request with the same Idempotency-Key.",
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": "Remaining requests of the caller, and seconds until the limit is fully restored (IETF draft).",
    },
    "Server-Timing": {
        "schema": {"type": "string"},
        "description": "Durations `llm`, `history` and `app` in milliseconds; absent from streams.",
    },
}


class EncodedJsonResponse(Response):
    """A response whose JSON body is already encoded; FastAPI does not serialise it again."""

    def __init__(self, context: ChatRequestContext, body: bytes, request: Request) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
            (b"x-interaction-id", context.id.encode()),
            (b"server-timing", _server_timing(request, context)),
        ]
        if context.is_replayed:
            self.raw_headers.append((b"idempotency-replayed", b"true"))


async def read_interaction(events: AnswerEvents) -> Interaction:
    """Read all events and return the recorded interaction."""
    interaction = None
    # Reads to the end, so that the garbage collector has no open generator to close.
    async for event in events:
        if isinstance(event, Interaction):
            interaction = event
    if interaction is None:
        raise RuntimeError("the answer ended without an interaction")
    return interaction


def _server_timing(request: Request, context: ChatRequestContext) -> bytes:
    total_seconds = time.perf_counter() - request.scope["state"]["started_seconds"]
    app_seconds = max(0.0, total_seconds - context.llm_seconds - context.history_seconds)
    return b"llm;dur=%.1f, history;dur=%.1f, app;dur=%.1f" % (
        context.llm_seconds * 1000,
        context.history_seconds * 1000,
        app_seconds * 1000,
    )
