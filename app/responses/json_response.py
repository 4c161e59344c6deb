"""A whole answer, and what its headers tell."""

import time

from fastapi import Request
from starlette.responses import Response

from app.services.answer_events import AnswerEvents
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Interaction

ANSWER_HEADERS = {
    "X-Request-Id": {
        "schema": {"type": "string"},
        "description": "Names this request in our logs.",
    },
    "X-Interaction-Id": {"schema": {"type": "string"}, "description": "The interaction's id."},
    "Idempotency-Replayed": {
        "schema": {"type": "string", "const": "true"},
        "description": "Present when this is the answer to an earlier request with the same Idempotency-Key.",
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": "What is left of the caller's requests, and seconds until all are back (IETF draft).",
    },
    "Server-Timing": {
        "schema": {"type": "string"},
        "description": "`llm`, `history` and `app` in milliseconds; not on streams.",
    },
}


class EncodedJsonResponse(Response):
    """An answer in one piece, with the headers that go with it. Made of finished bytes, so that nobody looks at it again."""

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


async def whole_answer(events: AnswerEvents) -> Interaction:
    """Return the interaction once it is kept."""
    interaction = None
    async for (
        event
    ) in events:  # to its end, so that nothing is left for the garbage collector to close
        if isinstance(event, Interaction):
            interaction = event
    if interaction is None:
        raise RuntimeError("an answer ended without an interaction")
    return interaction


def _server_timing(request: Request, context: ChatRequestContext) -> bytes:
    whole_seconds = time.perf_counter() - request.scope["state"]["started_seconds"]
    app_seconds = max(0.0, whole_seconds - context.llm_seconds - context.history_seconds)
    return b"llm;dur=%.1f, history;dur=%.1f, app;dur=%.1f" % (
        context.llm_seconds * 1000,
        context.history_seconds * 1000,
        app_seconds * 1000,
    )
