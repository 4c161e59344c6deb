"""Conversations and their items in OpenAI's Conversations format."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.dto.openai_chat.answer import created_seconds
from app.dto.openai_responses.input_items import InputReader
from app.dto.openai_responses.input_list import input_items, message_items
from app.dto.openai_responses.output import JsonObject, output_items
from app.dto.openai_responses.request import Metadata
from app.services.response_ids import ResponseIds, with_dashes
from domain.entities.caller import Caller, to_user_id
from domain.entities.conversation import AddedItem, ConversationRecord, Entry, NewItem
from domain.entities.interaction import Interaction, is_interaction_id, milliseconds_of
from domain.entities.items import Attachment, Item, ToolResult, text_of
from domain.entities.prompt import Message, Role
from domain.exceptions import UnsupportedInput
from domain.interfaces.sealer import Sealer

MOST_ITEMS = 20
"""Of one request, as in OpenAI's API."""

_LENIENT = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)
_ITEM = re.compile(r"(?:msg|fc|fco|rs)_([0-9a-f]{32})i?[0-9a-f]{2,}")
_EXAMPLE_ITEM: dict[str, Any] = {"type": "message", "role": "user", "content": "Hello!"}


class ConversationRequest(BaseModel):
    """Body of POST /v1/conversations; fields that are not listed are ignored."""

    model_config = ConfigDict(
        **_LENIENT, json_schema_extra={"examples": [{"metadata": {"topic": "demo"}}]}
    )

    items: list[dict[str, Any]] | None = Field(
        default=None,
        max_length=MOST_ITEMS,
        description="Items to begin with: messages, function_call, function_call_output, reasoning.",
    )
    metadata: Metadata | None = Field(
        default=None, description="Up to 16 pairs of strings, stored and returned."
    )
    user: str | None = Field(
        default=None,
        description="User that owns the conversation, if the credentials are not bound to one.",
    )
    safety_identifier: str | None = Field(default=None, description="Used when `user` is absent.")

    def resolve_user_id(self, caller: Caller) -> str:
        """Return the id of the owner: the user the caller is bound to, else the named one, else the principal."""
        if caller.user_id is not None:
            return caller.user_id
        name = self.user or self.safety_identifier
        return to_user_id(name) if name else caller.principal


class ConversationChange(BaseModel):
    """Body of POST /v1/conversations/{id}."""

    model_config = ConfigDict(
        **_LENIENT, json_schema_extra={"examples": [{"metadata": {"topic": "demo"}}]}
    )

    metadata: Metadata | None = Field(description="Replaces the metadata; null removes it.")


class ItemsRequest(BaseModel):
    """Body of POST /v1/conversations/{id}/items."""

    model_config = ConfigDict(
        **_LENIENT, json_schema_extra={"examples": [{"items": [_EXAMPLE_ITEM]}]}
    )

    items: list[dict[str, Any]] = Field(
        max_length=MOST_ITEMS,
        description="Messages, function_call, function_call_output, reasoning; images and files by https address.",
    )


def conversation_object(record: ConversationRecord, ids: ResponseIds) -> JsonObject:
    """Return the conversation object."""
    return {
        "id": ids.of_conversation(record.conversation_id, record.user_id),
        "object": "conversation",
        "created_at": created_seconds(milliseconds_of(record.created_id)),
        "metadata": dict(record.metadata),
    }


def new_items(items: Sequence[JsonObject], user_id: str, sealer: Sealer) -> list[NewItem]:
    """Return the items of a request, each as a message of its own.

    Raises:
        InvalidInput: An item has not the form of OpenAI's API.
        UnsupportedInput: An item is of an unknown type, or has the content of an image or a file.
    """
    found: list[NewItem] = []
    for number, item in enumerate(items):
        reader = InputReader(
            user_id=user_id, sealer=sealer, referenced={}, is_continued=True, is_partial=True
        )
        read = reader.read([item], field_name="items", first_number=number)
        found += [
            NewItem(message=Message(role=Role.USER, text=text), is_instruction=True)
            for text in read.instructions
        ]
        for message in read.messages:
            _check_stored(message, number)
            found += [NewItem(message=each) for each in _single(message)]
    return found


def items_of(entry: Entry) -> list[JsonObject]:
    """Return the items of an entry of a conversation, in order."""
    if isinstance(entry, Interaction):
        return [*input_items(entry), *output_items(entry)]
    items = message_items(entry.message, entry.id, 0)
    if entry.is_instruction:
        for item in items:
            item["role"] = "system"
    return items


def items_of_all(added: Sequence[AddedItem]) -> list[JsonObject]:
    """Return items that were added, in order."""
    return [item for each in added for item in items_of(each)]


def entry_id(identifier: str) -> str | None:
    """Return the id of the entry that an item belongs to; None if the id was not made here."""
    match = _ITEM.fullmatch(identifier)
    if match is None or not is_interaction_id(found := with_dashes(match[1])):
        return None
    return found


def _check_stored(message: Message, number: int) -> None:
    for item in message.items:
        if isinstance(item, Attachment) and item.url is None:
            raise UnsupportedInput(f"items.{number}.content", "content of an image or a file")


def _single(message: Message) -> list[Message]:
    """Return a message with several results or parts of an answer as one message for each."""
    parts: list[list[Item]] = []
    for item in message.items:
        is_own = message.role is Role.ASSISTANT or isinstance(item, ToolResult)
        if is_own or not parts:
            parts.append([item])
        else:
            parts[-1].append(item)
    if len(parts) < 2:
        return [message]
    return [replace(message, text=text_of(part), items=tuple(part)) for part in parts]
