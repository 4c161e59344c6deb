"""POST /v1/chat."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Body, Request, Response

from app.dto.native.chat import ChatRequest
from app.dto.native.chat_examples import CHAT_EXAMPLES
from app.dto.native.interaction import ChatResponse, chat_response
from app.dto.native.stream_events import NativeLogFormat, NativeStreamFormat
from app.problems.problem_schema import problems
from app.requests.accepted_answer import follow_accepted
from app.requests.chat_route import StrictChatRoute, TimeoutHeader, prompt_of
from app.requests.idempotency_key import IdempotencyHeader, idempotent_request
from app.requests.request_context import caller_of, container_of
from app.requests.root_path import root_path_of
from app.responses.answer_stream import AnswerStream
from app.responses.event_stream import EventStream
from app.responses.json_response import (
    ANSWER_HEADERS,
    EncodedJsonResponse,
    read_interaction,
)
from app.services.answer_events import AnswerEvents
from app.services.chat_service import ChatOptions
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Status

router = APIRouter(route_class=StrictChatRoute, tags=["chat"])

LOCATION = {
    "schema": {"type": "string"},
    "description": "Path of the interaction, where its outcome can be read.",
}
_STREAM = {
    "text/event-stream": {
        "example": 'event: meta\ndata: {"id":"019aabb1-…","model":"demo","provider":"demo","conversationId":null}\n\n'
        'event: delta\ndata: {"text":"Hello"}\n\n'
        'event: done\ndata: {"id":"019aabb1-…","status":"completed","…":"…"}\n\n',
    }
}


@router.post(
    "/v1/chat",
    summary="Ask a model",
    response_model=ChatResponse,
    responses={
        200: {"content": _STREAM, "headers": ANSWER_HEADERS},
        202: {
            "model": ChatResponse,
            "description": "The background answer was accepted and continues in the background.",
            "headers": {"Location": LOCATION},
        },
        **problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504),
    },
)
async def ask(
    body: Annotated[ChatRequest, Body(openapi_examples=CHAT_EXAMPLES)],
    request: Request,
    timeout_milliseconds: TimeoutHeader = None,
    idempotency_key: IdempotencyHeader = None,
) -> Response:
    """Answer one prompt and store the interaction in the user's history.

    A 200 is sent after the interaction is stored, so it survives a crash. With `"stream": true` the answer is sent as
    server-sent events: `meta`, any number of `delta`, `reasoning` and `tool_call`, then `done` or `error`. A stream without `done` is incomplete.
    """
    caller = caller_of(request)
    context, events = await container_of(request).chat.ask(
        caller,
        body.resolve_user_id(caller),
        await prompt_of(body.to_prompt, request),
        ChatOptions(
            conversation_id=body.conversation_id,
            previous_id=body.previous_id,
            metadata=body.metadata,
            is_streamed=body.stream,
            is_background=body.background,
            request_id=request.scope["state"]["request_id"],
            may_fall_back=body.fallback,
            timeout_seconds=None if timeout_milliseconds is None else timeout_milliseconds / 1000,
            idempotent_request=idempotent_request(
                idempotency_key, request, body, names_user={"user_id"}
            ),
        ),
    )
    request.scope["state"]["chat_context"] = context
    if body.background:
        return await _accepted(context, events, request, is_streamed=body.stream)
    if body.stream:
        return await EventStream(
            context,
            events,
            NativeStreamFormat(context),
            request.receive,
            request.app.state.lifecycle.streams,
        ).begin()
    interaction = await read_interaction(events)
    return EncodedJsonResponse(
        context, chat_response(interaction, is_stored=context.is_stored), request
    )


async def _accepted(
    context: ChatRequestContext,
    events: AnswerEvents,
    request: Request,
    *,
    is_streamed: bool,
) -> Response:
    """Return the events of a background answer, or its accepted interaction; for a repeated request its current state."""
    interaction = await read_interaction(events)
    if is_streamed:
        followed = await follow_accepted(context, interaction, request)
        stream = AnswerStream(followed, NativeLogFormat(followed), request)
        if context.is_replayed:
            stream.note_replayed()
        return stream
    response = EncodedJsonResponse(context, chat_response(interaction, is_stored=True), request)
    if interaction.status is Status.IN_PROGRESS:
        response.status_code = 202
    path = f"{root_path_of(request.scope)}/v1/history/{interaction.user_id}/{interaction.id}"
    response.raw_headers.append((b"location", quote(path).encode()))
    return response
