"""POST /v1/chat/completions: the same chat as POST /v1/chat, in OpenAI's format."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.dto.openai_chat.answer import ChatCompletion, completion_json
from app.dto.openai_chat.request import ChatCompletionRequest
from app.dto.openai_chat.request_examples import COMPLETION_EXAMPLES
from app.dto.openai_chat.stream_events import OpenAIChatStreamFormat
from app.problems.openai_error_schema import openai_errors
from app.requests.chat_route import ChatRoute, TimeoutHeader, prompt_of
from app.requests.conversation_header import ConversationHeader, check_conversation
from app.requests.idempotency_key import IdempotencyHeader, idempotent_request
from app.requests.request_context import caller_of, container_of
from app.responses.event_stream import EventStream
from app.responses.json_response import (
    ANSWER_HEADERS,
    EncodedJsonResponse,
    read_interaction,
)
from app.services.chat_service import ChatOptions

router = APIRouter(route_class=ChatRoute, tags=["chat"])

_STREAM = {
    "text/event-stream": {
        "example": 'data: {"id":"chatcmpl-019aabb1-…","object":"chat.completion.chunk","created":1795341600,'
        '"model":"demo","choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}]}\n\n'
        "data: [DONE]\n\n",
    }
}


@router.post(
    "/v1/chat/completions",
    summary="Ask a model, in OpenAI's format",
    response_model=ChatCompletion,
    responses={
        200: {"content": _STREAM, "headers": ANSWER_HEADERS},
        **openai_errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504),
    },
)
async def complete(
    body: Annotated[ChatCompletionRequest, Body(openapi_examples=COMPLETION_EXAMPLES)],
    request: Request,
    timeout_milliseconds: TimeoutHeader = None,
    idempotency_key: IdempotencyHeader = None,
    conversation_id: ConversationHeader = None,
) -> Response:
    """Answer a list of messages and store the interaction, as POST /v1/chat does.

    The messages are the context. `metadata.conversation_id`, or the header X-Conversation-Id, adds the interaction to
    that conversation; if the messages contain no earlier turns, those of the conversation are put before them.
    """
    if conversation_id is not None:
        check_conversation(conversation_id, body.conversation_id, request)
        body = body.in_conversation(conversation_id)
    caller = caller_of(request)
    context, events = await container_of(request).chat.ask(
        caller,
        body.resolve_user_id(caller),
        await prompt_of(body.to_prompt, request),
        ChatOptions(
            conversation_id=body.conversation_id,
            brings_context=body.brings_context,
            output_limit_field=body.output_limit_field,
            metadata=body.metadata_pairs,
            is_streamed=bool(body.stream),
            timeout_seconds=None if timeout_milliseconds is None else timeout_milliseconds / 1000,
            idempotent_request=idempotent_request(
                idempotency_key, request, body, names_user={"user", "safety_identifier"}
            ),
        ),
    )
    request.scope["state"]["chat_context"] = context
    if body.stream:
        return await EventStream(
            context,
            events,
            OpenAIChatStreamFormat(context, with_usage=body.includes_usage),
            request.receive,
            request.app.state.lifecycle.streams,
        ).begin()
    interaction = await read_interaction(events)
    return EncodedJsonResponse(context, completion_json(interaction), request)
