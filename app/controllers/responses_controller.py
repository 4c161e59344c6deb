"""/v1/responses: the same chat as POST /v1/chat, in OpenAI's Responses format."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Path, Query, Request, Response

from app.dto.openai_responses.ids import read_item
from app.dto.openai_responses.input_list import input_items, item_list
from app.dto.openai_responses.output import REASONING, hidden_items, output_groups
from app.dto.openai_responses.request import ResponseRequest
from app.dto.openai_responses.request_examples import RESPONSE_EXAMPLES
from app.dto.openai_responses.response import QUEUED, response_object
from app.dto.openai_responses.stream_events import ResponseLogFormat, ResponseStreamFormat
from app.problems.openai_error_schema import openai_errors
from app.requests.accepted_answer import follow_accepted
from app.requests.chat_route import ChatRoute, TimeoutHeader, prompt_of
from app.requests.idempotency_key import IdempotencyHeader, idempotent_request
from app.requests.request_context import caller_of, container_of
from app.responses.answer_stream import AnswerStream
from app.responses.event_stream import EventStream
from app.responses.json_response import ANSWER_HEADERS, EncodedJsonResponse, read_interaction
from app.services.chat_service import ChatOptions
from app.services.response_service import ResponseService
from domain.entities.caller import Caller
from domain.entities.history_query import Order
from domain.entities.interaction import Interaction, Status
from domain.entities.items import OutputItem
from domain.exceptions import (
    InvalidInput,
    ItemNotFound,
    NotFound,
    PreviousResponseNotFound,
)
from domain.use_cases.background.follow_answer import FollowedAnswer

router = APIRouter(prefix="/v1/responses", tags=["responses"])
chat_router = APIRouter(route_class=ChatRoute, tags=["responses"])

ResponseId = Annotated[
    str,
    Path(
        alias="responseId",
        max_length=1024,
        pattern=r"^[A-Za-z0-9._:@|+=~-]+$",
        description="The `id` of a response.",
        openapi_examples={"an id": {"value": "resp_019aabb17c8070008a510f1d2c3b4a59abc"}},
    ),
]

_STREAM = {
    "text/event-stream": {
        "example": "event: response.created\n"
        'data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_…"}}\n\n'
    }
}
_ENCRYPTED = "reasoning.encrypted_content"
_MAX_REFERENCED = 100
"""Of the responses whose items a request refers to; each is read from history."""
_OBJECT: dict[str, Any] = {"schema": {"type": "object", "description": "A response object."}}


@chat_router.post(
    "/v1/responses",
    summary="Ask a model, in OpenAI's Responses format",
    response_model=None,
    responses={
        200: {"content": {"application/json": _OBJECT, **_STREAM}, "headers": ANSWER_HEADERS},
        **openai_errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504),
    },
)
async def create(
    body: Annotated[ResponseRequest, Body(openapi_examples=RESPONSE_EXAMPLES)],
    request: Request,
    timeout_milliseconds: TimeoutHeader = None,
    idempotency_key: IdempotencyHeader = None,
) -> Response:
    """Answer an input and store the interaction, as POST /v1/chat does.

    `previous_response_id` or `conversation` continue stored turns; otherwise the input is the whole context.
    """
    caller, container = caller_of(request), container_of(request)
    body.check()
    ids = container.responses.ids
    previous_id, conversation_id, owner = _continued(body, container.responses)
    user_id = body.resolve_user_id(caller, owner)
    if owner is not None and owner != user_id:
        raise NotFound if previous_id is None else PreviousResponseNotFound
    if previous_id is not None:
        await container.responses.check_previous(caller, user_id, previous_id)
    to_prompt = partial(
        body.to_prompt,
        user_id=user_id,
        sealer=ids.sealer,
        referenced=await _referenced(body, caller, user_id, container.responses),
        drops_unknown_tools=container.responses.drops_unknown_tools,
    )
    prompt = await prompt_of(to_prompt, request)
    context, events = await container.chat.ask(
        caller,
        user_id,
        prompt,
        ChatOptions(
            conversation_id=conversation_id,
            previous_id=previous_id,
            brings_context=previous_id is None and conversation_id is None,
            keeps_content=body.store is not False,
            is_streamed=bool(body.stream),
            is_background=bool(body.background),
            request_id=request.scope["state"]["request_id"],
            timeout_seconds=None if timeout_milliseconds is None else timeout_milliseconds / 1000,
            metadata=body.metadata or {},
            idempotent_request=idempotent_request(
                idempotency_key, request, body, names_user={"user", "safety_identifier"}
            ),
        ),
    )
    request.scope["state"]["chat_context"] = context
    if body.background and body.stream:
        followed = await follow_accepted(context, await read_interaction(events), request)
        stream = _answer_stream(followed, request, is_sealed=body.is_sealed)
        if context.is_replayed:
            stream.note_replayed()
        return stream
    if body.stream:
        return await EventStream(
            context,
            events,
            ResponseStreamFormat(context, prompt, ids, is_sealed=body.is_sealed),
            request.receive,
            request.app.state.lifecycle.streams,
        ).begin()
    interaction = await read_interaction(events)
    response = response_object(interaction, prompt, ids, is_sealed=body.is_sealed)
    response["store"] = context.is_content_stored
    if interaction.status is Status.IN_PROGRESS and not context.is_replayed:
        response["status"] = QUEUED
    return EncodedJsonResponse(context, orjson.dumps(response), request)


@router.get(
    "/{responseId}",
    summary="Read a response",
    response_model=None,
    responses={
        200: {"content": {"application/json": _OBJECT}},
        **openai_errors(400, 401, 403, 404, 422, 429, 500, 503),
    },
)
async def read(
    response_id: ResponseId,
    request: Request,
    stream: Annotated[
        bool, Query(description="true: the events of the response, also while it is in progress.")
    ] = False,
    starting_after: Annotated[
        int,
        Query(
            ge=-1,
            le=2**53 - 1,
            description="With `stream`: the `sequence_number` of the last event that the client received.",
        ),
    ] = -1,
) -> Response:
    """A stored response, as long as it is in history; a background response also while it is in progress."""
    container = container_of(request)
    if stream:
        return _answer_stream(
            await container.responses.follow(caller_of(request), response_id),
            request,
            is_sealed=_ENCRYPTED in request.query_params.getlist("include[]"),
            starting_after=starting_after,
        )
    interaction = await container.responses.read(caller_of(request), response_id)
    response = response_object(interaction, interaction.prompt, container.responses.ids)
    return _json(response)


@router.delete(
    "/{responseId}",
    summary="Delete a response",
    response_model=None,
    responses={
        200: {"content": {"application/json": _OBJECT}},
        **openai_errors(401, 403, 404, 422, 429, 500, 503),
    },
)
async def delete(response_id: ResponseId, request: Request) -> Response:
    """Erase the interaction of a response from history."""
    await container_of(request).responses.delete(caller_of(request), response_id)
    return _json({"id": response_id, "object": "response", "deleted": True})


@router.post(
    "/{responseId}/cancel",
    summary="Cancel a background response",
    response_model=None,
    responses={
        200: {"content": {"application/json": _OBJECT}},
        **openai_errors(400, 401, 403, 404, 422, 429, 500, 503),
    },
)
async def cancel(response_id: ResponseId, request: Request) -> Response:
    """End a background response; its text so far is stored. A complete response is not changed."""
    responses = container_of(request).responses
    interaction = await responses.cancel(caller_of(request), response_id)
    return _json(response_object(interaction, interaction.prompt, responses.ids))


@router.get(
    "/{responseId}/input_items",
    summary="List the input of a response",
    response_model=None,
    responses={
        200: {"content": {"application/json": _OBJECT}},
        **openai_errors(401, 403, 404, 422, 429, 500, 503),
    },
)
async def list_input_items(
    response_id: ResponseId,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="Maximum number of items.")] = 20,
    order: Annotated[Order, Query(description="`asc`: in the order of the request.")] = Order.DESC,
    after: Annotated[
        str | None, Query(max_length=256, description="Id of the last item of the page before.")
    ] = None,
) -> Response:
    """The items that the request of a response contained, without those of earlier responses."""
    interaction = await container_of(request).responses.read(caller_of(request), response_id)
    items = input_items(interaction)
    if order is Order.DESC:
        items.reverse()
    if after is not None:
        positions = [number for number, item in enumerate(items) if item["id"] == after]
        if not positions:
            raise ItemNotFound(after)
        items = items[positions[0] + 1 :]
    return _json(item_list(items[:limit], has_more=len(items) > limit))


def _answer_stream(
    followed: FollowedAnswer, request: Request, *, is_sealed: bool, starting_after: int = -1
) -> AnswerStream:
    log_format = ResponseLogFormat(
        followed,
        container_of(request).responses.ids,
        is_sealed=is_sealed,
        starting_after=starting_after,
    )
    return AnswerStream(followed, log_format, request)


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def _continued(
    body: ResponseRequest, responses: ResponseService
) -> tuple[str | None, str | None, str | None]:
    """Return the interaction or the conversation that the request continues, and its user."""
    if body.previous_response_id is not None:
        found = responses.ids.read_response(body.previous_response_id)
        if found is None:
            raise PreviousResponseNotFound
        interaction_id, user_id = found
        return interaction_id, None, user_id
    if body.conversation_id is not None:
        opened = responses.ids.resolve_conversation(body.conversation_id)
        if opened is None:
            raise NotFound
        conversation_id, owner = opened
        return None, conversation_id, owner
    return None, None, None


async def _referenced(
    body: ResponseRequest, caller: Caller, user_id: str, responses: ResponseService
) -> dict[str, Sequence[OutputItem]]:
    """Return the items that the request refers to, by their ids."""
    referenced: dict[str, Sequence[OutputItem]] = {}
    interactions: dict[str, Interaction] = {}
    for identifier in body.referenced_items():
        found = read_item(identifier)
        if found is None:
            raise ItemNotFound(identifier)
        interaction_id, position = found
        if interaction_id not in interactions:
            if len(interactions) == _MAX_REFERENCED:
                raise InvalidInput("input", f"may refer to at most {_MAX_REFERENCED} responses")
            try:
                interactions[interaction_id] = await responses.interaction(
                    caller, user_id, interaction_id
                )
            except NotFound:
                raise ItemNotFound(identifier) from None
        referenced[identifier] = _items_at(interactions[interaction_id], position, identifier)
    return referenced


def _items_at(interaction: Interaction, position: int, identifier: str) -> Sequence[OutputItem]:
    groups = output_groups(interaction)
    kind = identifier.partition("_")[0]
    if position < len(groups) and groups[position].kind == kind:
        return groups[position].items
    has_metadata = any(item.metadata is not None for item in interaction.items)
    if position == len(groups) and kind == REASONING and has_metadata:
        return hidden_items(interaction)  # the sealed item
    raise ItemNotFound(identifier)
