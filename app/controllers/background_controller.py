"""Follow and stop background answers."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from app.controllers.history_controller import InteractionIdInPath, UserIdInPath
from app.dto.native.stream_events import NativeLogFormat
from app.problems.problem_schema import problems
from app.requests.request_context import caller_of, container_of, user_in_path
from app.requests.strict_route import StrictRoute
from app.responses.answer_stream import AnswerStream

router = APIRouter(prefix="/v1/history", route_class=StrictRoute, tags=["chat"])

_LARGEST_NUMBER = 2**53 - 1
_EVENTS = {
    "text/event-stream": {
        "example": 'id: 0\nevent: meta\ndata: {"id":"019aabb1-…","model":"demo","provider":"demo","conversationId":null}\n\n'
        'id: 1\nevent: delta\ndata: {"text":"Hello"}\n\n'
        'id: 2\nevent: done\ndata: {"id":"019aabb1-…","status":"completed","…":"…"}\n\n',
    }
}


@router.get(
    "/{userId}/{interactionId:interaction}/events",
    summary="Follow a background answer",
    response_class=Response,
    responses={200: {"content": _EVENTS}, **problems(401, 403, 404, 422, 429, 500, 503)},
)
async def follow(
    user_id: UserIdInPath,
    interaction_id: InteractionIdInPath,
    request: Request,
    after: Annotated[
        int | None,
        Query(
            ge=0,
            le=_LARGEST_NUMBER,
            description="Number of the last event that the client received; without it, and without `Last-Event-ID`, all events are sent.",
        ),
    ] = None,
    last_event_id: Annotated[
        int | None,
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=_LARGEST_NUMBER,
            description="The same, as browsers send it when they reconnect; of the two, the greater number counts.",
        ),
    ] = None,
) -> Response:
    """The events of an answer: existing ones at once, later ones as they are written, until `done` or `error`.

    Each has its number as `id`, from 0 without gaps; every process returns the same events. `restart` means that the
    text before it is void. If a connection ends without `done` or `error`, connect again with the last number. An
    interaction that is not a background answer has `meta`, one `delta` and `done`.
    """
    followed = await container_of(request).background.follow(
        caller_of(request),
        user_in_path(user_id, request),
        interaction_id.lower(),
        # An EventSource reconnects with the query of its URL and the number that it has reached.
        after=max(-1 if number is None else number for number in (after, last_event_id)),
    )
    return AnswerStream(followed, NativeLogFormat(followed), request)


@router.post(
    "/{userId}/{interactionId:interaction}/stop",
    summary="Stop a background answer",
    status_code=204,
    response_class=Response,
    responses=problems(401, 403, 404, 422, 429, 500, 503),
)
async def stop(
    user_id: UserIdInPath, interaction_id: InteractionIdInPath, request: Request
) -> None:
    """End an answer within a second, whichever process generates it; its text so far is stored as `client_cancelled`.

    A complete answer is not changed. Needs the scope `chat:write`.
    """
    await container_of(request).background.stop(
        caller_of(request), user_in_path(user_id, request), interaction_id.lower()
    )
