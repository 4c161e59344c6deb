"""POST /v1/chat."""

import time
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from app.dependencies import caller_of, container_of
from app.dto.chat import ChatRequest
from app.dto.interaction import ChatResponse
from app.dto.problem import problems
from app.services.chat_service import Asking, Pieces
from app.sse import EventStream
from app.strict_route import StrictRoute
from domain.entities.interaction import Interaction
from domain.entities.turn import Turn

router = APIRouter(route_class=StrictRoute, tags=["chat"])

_LEAST_TIMEOUT_MILLISECONDS = 3000

_STREAM = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": 'event: meta\ndata: {"id":"019aabb1-…","model":"demo","provider":"demo","conversationId":null}\n\n'
        'event: delta\ndata: {"text":"Hello"}\n\n'
        'event: done\ndata: {"id":"019aabb1-…","status":"completed","…":"…"}\n\n',
    }
}
_HEADERS = {
    "X-Request-Id": {
        "schema": {"type": "string"},
        "description": "Names this request in our logs.",
    },
    "X-Interaction-Id": {"schema": {"type": "string"}, "description": "The interaction's id."},
    "Server-Timing": {
        "schema": {"type": "string"},
        "description": "`llm`, `history` and `app` in milliseconds; not on streams.",
    },
}


@router.post(
    "/v1/chat",
    summary="Ask a model",
    response_model=ChatResponse,
    responses={
        200: {"content": _STREAM, "headers": _HEADERS},
        **problems(400, 403, 408, 413, 415, 422, 429, 500, 502, 503, 504),
    },
)
async def ask(
    body: ChatRequest,
    request: Request,
    response: Response,
    timeout_milliseconds: Annotated[
        int | None,
        Header(
            alias="X-Request-Timeout-Ms",
            ge=_LEAST_TIMEOUT_MILLISECONDS,
            description="Milliseconds the caller is ready to wait; more than the default is clamped to it.",
        ),
    ] = None,
) -> ChatResponse | Response:
    """Answer one prompt and keep the interaction in the user's history.

    When a 200 arrives, the interaction is kept, also if everything crashes right then. With `"stream": true` the
    answer comes as server-sent events: `meta`, `delta`…, then `done` or `error`; no `done` means not complete.
    """
    caller = caller_of(request)
    turn, pieces = container_of(request).chat.ask(
        caller,
        body.user_of(caller),
        body.to_prompt(),
        Asking(
            conversation_id=body.conversation_id,
            is_streamed=body.stream,
            may_fall_back=body.fallback,
            timeout_seconds=None if timeout_milliseconds is None else timeout_milliseconds / 1000,
        ),
    )
    request.scope["state"]["turn"] = turn
    if body.stream:
        return await EventStream(
            turn, pieces, request.receive, request.app.state.lifecycle.streams
        ).begin()
    interaction = await _whole(pieces)
    response.headers["X-Interaction-Id"] = turn.id
    response.headers["Server-Timing"] = _server_timing(request, turn)
    return ChatResponse.of(interaction)


async def _whole(pieces: Pieces) -> Interaction:
    async for piece in pieces:
        if isinstance(piece, Interaction):
            return piece
    raise RuntimeError("an answer ended without an interaction")


def _server_timing(request: Request, turn: Turn) -> str:
    whole_seconds = time.perf_counter() - request.scope["state"]["started_seconds"]
    app_seconds = max(0.0, whole_seconds - turn.llm_seconds - turn.history_seconds)
    return (
        f"llm;dur={turn.llm_seconds * 1000:.1f}, "
        f"history;dur={turn.history_seconds * 1000:.1f}, app;dur={app_seconds * 1000:.1f}"
    )
