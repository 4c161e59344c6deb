"""/v1/conversations: conversations in OpenAI's Conversations format."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from app.dto.openai_responses.conversation import (
    ConversationChange,
    ConversationRequest,
    ItemsRequest,
    conversation_object,
    entry_id,
    items_of,
    items_of_all,
    new_items,
)
from app.dto.openai_responses.input_list import item_list
from app.problems.openai_error_schema import openai_errors
from app.requests.chat_route import JsonRoute
from app.requests.request_context import caller_of, container_of
from domain.entities.caller import to_user_id
from domain.entities.conversation import ConversationRecord
from domain.entities.history_query import Order
from domain.exceptions import NotFound, UnsupportedInput

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])
body_router = APIRouter(prefix="/v1/conversations", route_class=JsonRoute, tags=["conversations"])

ConversationId = Annotated[
    str,
    Path(
        alias="conversationId",
        max_length=1024,
        pattern=r"^[A-Za-z0-9._:@|+=~-]+$",
        description="The `id` of a conversation, or the `conversationId` of interactions in history.",
        openapi_examples={"an id": {"value": "conv_019aabb17c8070008a510f1d2c3b4a59.abc"}},
    ),
]
ItemId = Annotated[
    str,
    Path(
        alias="itemId",
        max_length=256,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="The `id` of an item.",
        openapi_examples={"an id": {"value": "msg_019aabb17c8070008a510f1d2c3b4a5900"}},
    ),
]
User = Annotated[
    str | None,
    Query(
        max_length=256,
        description="User of a `conversationId` of history, if the credentials are not bound to one.",
    ),
]

_CONVERSATION: dict[str, Any] = {
    "content": {
        "application/json": {
            "schema": {"type": "object", "description": "A conversation object."},
            "example": {
                "id": "conv_019aabb17c8070008a510f1d2c3b4a59.abc",
                "object": "conversation",
                "created_at": 1795341600,
                "metadata": {"topic": "demo"},
            },
        }
    }
}
_ITEMS: dict[str, Any] = {
    "content": {
        "application/json": {"schema": {"type": "object", "description": "A list of items."}}
    }
}
_ITEM: dict[str, Any] = {
    "content": {"application/json": {"schema": {"type": "object", "description": "An item."}}}
}


@body_router.post(
    "",
    summary="Create a conversation",
    response_model=None,
    responses={
        200: _CONVERSATION,
        **openai_errors(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
    },
)
async def create(body: ConversationRequest, request: Request) -> Response:
    """A conversation that responses can continue; it may begin with items, which are sent to the model before the first response."""
    caller, service = caller_of(request), container_of(request).conversations
    user_id = body.resolve_user_id(caller)
    items = new_items(body.items or [], user_id, service.ids.sealer)
    record = await service.create(caller, user_id, body.metadata or {}, items)
    return _json(conversation_object(record, service.ids))


@router.get(
    "/{conversationId}",
    summary="Read a conversation",
    response_model=None,
    responses={200: _CONVERSATION, **openai_errors(401, 403, 404, 422, 429, 500, 503)},
)
async def read(conversation_id: ConversationId, request: Request, user: User = None) -> Response:
    """A conversation, whichever API it was begun with."""
    record = await _read(conversation_id, request, user)
    return _json(conversation_object(record, container_of(request).conversations.ids))


@body_router.post(
    "/{conversationId}",
    summary="Replace the metadata of a conversation",
    response_model=None,
    responses={
        200: _CONVERSATION,
        **openai_errors(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503),
    },
)
async def update(
    body: ConversationChange, request: Request, conversation_id: ConversationId
) -> Response:
    """Replace the metadata of a conversation."""
    service = container_of(request).conversations
    record = await service.set_metadata(
        caller_of(request), conversation_id, body.metadata or {}, user=_user_in_query(request)
    )
    return _json(conversation_object(record, service.ids))


@router.delete(
    "/{conversationId}",
    summary="Delete a conversation",
    response_model=None,
    responses={
        200: {
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {
                        "id": "conv_019aabb17c8070008a510f1d2c3b4a59.abc",
                        "object": "conversation.deleted",
                        "deleted": True,
                    },
                }
            }
        },
        **openai_errors(401, 403, 404, 422, 429, 500, 503),
    },
)
async def delete(conversation_id: ConversationId, request: Request, user: User = None) -> Response:
    """Erase a conversation from history, with its responses."""
    await container_of(request).conversations.delete(
        caller_of(request), conversation_id, user=_user_id(user)
    )
    return _json({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


@body_router.post(
    "/{conversationId}/items",
    summary="Add items to a conversation",
    response_model=None,
    responses={
        200: _ITEMS,
        **openai_errors(400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503),
    },
)
async def add_items(
    body: ItemsRequest, request: Request, conversation_id: ConversationId
) -> Response:
    """Add items at the end; they are sent to the model before the next turns.

    A conversation holds at most 1 000 added items and 256 KiB of them.
    """
    caller, service = caller_of(request), container_of(request).conversations
    user = _user_in_query(request)
    user_id = service.owner(caller, conversation_id, user=user)
    items = new_items(body.items, user_id, service.ids.sealer)
    added = items_of_all(await service.add(caller, conversation_id, items, user=user))
    return _json(item_list(added, has_more=False))


@router.get(
    "/{conversationId}/items",
    summary="List the items of a conversation",
    response_model=None,
    responses={200: _ITEMS, **openai_errors(401, 403, 404, 422, 429, 500, 503)},
)
async def list_items(
    conversation_id: ConversationId,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="Maximum number of items.")] = 20,
    order: Annotated[
        Order, Query(description="`asc`: in the order of the conversation.")
    ] = Order.DESC,
    after: Annotated[
        str | None, Query(max_length=256, description="Id of the last item of the page before.")
    ] = None,
    user: User = None,
) -> Response:
    """The input and the output of its answered responses, and the items that were added, in order."""
    from_id = None if after is None else entry_id(after)
    if after is not None and from_id is None:
        raise NotFound
    record = await _read(conversation_id, request, user)
    page: list[dict[str, Any]] = []
    skips = after is not None
    async for entry in container_of(request).conversations.entries(record, order, from_id):
        items = items_of(entry)
        if order is Order.DESC:
            items.reverse()
        if skips:
            positions = [number for number, item in enumerate(items) if item["id"] == after]
            if positions:
                items = items[positions[0] + 1 :]
            elif entry.id == from_id:
                raise NotFound
            skips = False
        page += items
        if len(page) > limit:
            break
    return _json(item_list(page[:limit], has_more=len(page) > limit))


@router.get(
    "/{conversationId}/items/{itemId}",
    summary="Read an item of a conversation",
    response_model=None,
    responses={200: _ITEM, **openai_errors(401, 403, 404, 422, 429, 500, 503)},
)
async def read_item(
    conversation_id: ConversationId, item_id: ItemId, request: Request, user: User = None
) -> Response:
    """One item of a conversation."""
    record = await _read(conversation_id, request, user)
    found = entry_id(item_id)
    if found is None:
        raise NotFound
    entry = await container_of(request).conversations.entry(record, found)
    for item in items_of(entry):
        if item["id"] == item_id:
            return _json(item)
    raise NotFound


@router.delete(
    "/{conversationId}/items/{itemId}",
    summary="Delete an item of a conversation",
    response_model=None,
    responses={200: _CONVERSATION, **openai_errors(400, 401, 403, 404, 422, 429, 500, 503)},
)
async def delete_item(
    conversation_id: ConversationId, item_id: ItemId, request: Request, user: User = None
) -> Response:
    """Delete an item that was added. Items of a response are deleted with it."""
    service = container_of(request).conversations
    found = entry_id(item_id)
    if found is None:
        raise NotFound
    record = await service.remove(caller_of(request), conversation_id, found, user=_user_id(user))
    if record is None:
        raise UnsupportedInput("item_id", "an item of a response: delete the response")
    return _json(conversation_object(record, service.ids))


async def _read(conversation: str, request: Request, user: str | None) -> ConversationRecord:
    return await container_of(request).conversations.read(
        caller_of(request), conversation, user=_user_id(user)
    )


def _user_id(user: str | None) -> str | None:
    return to_user_id(user) if user else None


def _user_in_query(request: Request) -> str | None:
    return _user_id(request.query_params.get("user"))


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
