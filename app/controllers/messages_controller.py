"""/v1/messages: the same chat as POST /v1/chat, in Anthropic's Messages format."""

from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from app.dto.anthropic_messages.answer import message_json, message_object
from app.dto.anthropic_messages.request import CountRequest, MessagesRequest
from app.dto.anthropic_messages.stream_events import MessageStreamFormat, refusal_events
from app.problems.anthropic_error_schema import anthropic_errors
from app.requests.chat_route import ChatRoute, TimeoutHeader, prompt_of
from app.requests.conversation_header import ConversationHeader, check_conversation
from app.requests.idempotency_key import IdempotencyHeader, idempotent_request
from app.requests.request_context import caller_of, container_of
from app.responses.event_stream import EventStream
from app.responses.json_response import ANSWER_HEADERS, EncodedJsonResponse, read_interaction
from app.services.chat_service import ChatOptions
from domain.entities.caller import Scope
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.reply import NO_USAGE
from domain.exceptions import ContentBlocked

router = APIRouter(route_class=ChatRoute, tags=["messages"])

_STREAM = {
    "text/event-stream": {
        "example": 'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_…"}}\n\n'
    }
}
_MESSAGE: dict[str, Any] = {
    "schema": {"type": "object", "description": "A message."},
    "example": {
        "id": "msg_019aabb17c8070008a510f1d2c3b4a59",
        "type": "message",
        "role": "assistant",
        "model": "demo",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 1,
        },
    },
}
_BYTES_PER_TOKEN = 4


@router.post(
    "/v1/messages",
    summary="Ask a model, in Anthropic's Messages format",
    response_model=None,
    responses={
        200: {"content": {"application/json": _MESSAGE, **_STREAM}, "headers": ANSWER_HEADERS},
        **anthropic_errors(400, 401, 403, 404, 408, 409, 413, 415, 429, 500, 502, 504, 529),
    },
)
async def create(
    body: MessagesRequest,
    request: Request,
    timeout_milliseconds: TimeoutHeader = None,
    idempotency_key: IdempotencyHeader = None,
    conversation_id: ConversationHeader = None,
) -> Response:
    """Answer a list of messages and store the interaction, as POST /v1/chat does.

    The messages are the context; what follows the last answer in them is stored. `metadata.conversation_id`, or the
    header X-Conversation-Id, adds the interaction to that conversation; if there is only one message of the user and
    none of the assistant, the earlier turns of the conversation are put before it.
    """
    if conversation_id is not None:
        check_conversation(conversation_id, body.conversation_id, request)
        body = body.in_conversation(conversation_id)
    caller, container = caller_of(request), container_of(request)
    user_id = body.resolve_user_id(caller)
    sealer = container.responses.ids.sealer
    context, events = await container.chat.ask(
        caller,
        user_id,
        await prompt_of(partial(body.to_prompt, user_id=user_id, sealer=sealer), request),
        ChatOptions(
            conversation_id=body.conversation_id,
            brings_context=body.brings_context,
            clamps_output=True,
            is_streamed=bool(body.stream),
            timeout_seconds=None if timeout_milliseconds is None else timeout_milliseconds / 1000,
            idempotent_request=idempotent_request(
                idempotency_key, request, body, names_user={"metadata": {"user_id"}}
            ),
        ),
    )
    request.scope["state"]["chat_context"] = context
    try:
        if body.stream:
            return await EventStream(
                context,
                events,
                MessageStreamFormat(context, sealer),
                request.receive,
                request.app.state.lifecycle.streams,
            ).begin()
        interaction = await read_interaction(events)
    except ContentBlocked:
        return _refusal(context, request, is_streamed=bool(body.stream))
    return EncodedJsonResponse(context, message_json(interaction, sealer), request)


@router.post(
    "/v1/messages/count_tokens",
    summary="Estimate the tokens of a request",
    response_model=None,
    responses={
        200: {"content": {"application/json": {"example": {"input_tokens": 16}}}},
        **anthropic_errors(400, 401, 403, 404, 408, 413, 415, 429, 500),
    },
)
async def count_tokens(body: CountRequest, request: Request) -> Response:
    """An estimate of one token for four bytes of UTF-8; nothing is sent to a provider, and nothing is stored."""
    caller, container = caller_of(request), container_of(request)
    user_id = caller.user_id or caller.principal
    caller.require(Scope.CHAT_WRITE, user_id)
    container.models.resolve(caller, body.model)
    sealer = container.responses.ids.sealer
    prompt = await prompt_of(partial(body.to_prompt, user_id=user_id, sealer=sealer), request)
    tokens = max(1, -(-prompt.size_bytes // _BYTES_PER_TOKEN))
    return Response(orjson.dumps({"input_tokens": tokens}), media_type="application/json")


def _refusal(context: ChatRequestContext, request: Request, *, is_streamed: bool) -> Response:
    """Return the message of a request that was blocked before any text: in this format it is not an error."""
    blocked = context.interaction
    model, usage = (context.model, NO_USAGE) if blocked is None else (blocked.model, blocked.usage)
    message = message_object(context.id, model, content=[], reason="refusal", usage=usage)
    if not is_streamed:
        return EncodedJsonResponse(context, orjson.dumps(message), request)
    headers = {"X-Interaction-Id": context.id, "Cache-Control": "no-cache, no-transform"}
    if context.is_replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(refusal_events(message), media_type="text/event-stream", headers=headers)
