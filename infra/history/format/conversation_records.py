"""The stored document of a conversation's record: JSON, the same in every store and in exported files."""

from typing import Any

import orjson

from domain.entities.caller import is_user_id
from domain.entities.conversation import AddedItem, ConversationRecord
from domain.entities.interaction import is_interaction_id
from domain.entities.prompt import Message, Role
from domain.exceptions import Unstorable
from infra.history.format.documents import UnreadableDocument
from infra.history.format.items import documents_of_items, items_of

VERSION = 1


def document_of_record(record: ConversationRecord) -> dict[str, Any]:
    """Return `record` as a dict of JSON types; empty fields are omitted."""
    document: dict[str, Any] = {
        "v": VERSION,
        "userId": record.user_id,
        "conversationId": record.conversation_id,
        "createdId": record.created_id,
        "changedId": record.changed_id,
    }
    if record.title:
        document["title"] = record.title
    if record.metadata:
        document["metadata"] = [[name, value] for name, value in record.metadata.items()]
    if record.items:
        document["items"] = [_document_of(added) for added in record.items]
    return document


def json_of_record(record: ConversationRecord) -> bytes:
    """Return the document of `record` as JSON.

    Raises:
        Unstorable: It contains text that JSON cannot represent, such as half of a surrogate pair.
    """
    try:
        return orjson.dumps(document_of_record(record))
    except orjson.JSONEncodeError as exc:
        raise Unstorable("it cannot be written as JSON") from exc


def record_in(body: bytes | str) -> ConversationRecord:
    """Return the record of a body that `json_of_record` made; raises as `record_of_document`."""
    try:
        return record_of_document(orjson.loads(body))
    except orjson.JSONDecodeError as exc:
        raise UnreadableDocument("not JSON") from exc


def record_of_document(document: Any) -> ConversationRecord:
    """Return the record of a document, which may come from a file.

    Raises:
        UnreadableDocument: It is not the record of a conversation, or has a newer version.
    """
    try:
        if document["v"] != VERSION:
            raise UnreadableDocument("a conversation of a version this program does not know")
        record = ConversationRecord(
            user_id=document["userId"],
            conversation_id=document["conversationId"],
            created_id=document["createdId"],
            changed_id=document["changedId"],
            title=document.get("title", ""),
            metadata={_text(name): _text(value) for name, value in document.get("metadata", ())},
            items=tuple([_added(item) for item in document.get("items", ())]),
        )
        names = (record.user_id, record.conversation_id)
        ids = (record.created_id, record.changed_id, *[added.id for added in record.items])
        if not all(map(is_user_id, names)) or not all(map(is_interaction_id, ids)):
            raise UnreadableDocument("a conversation with an id that is none")
        _text(record.title)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        if isinstance(exc, UnreadableDocument):
            raise
        raise UnreadableDocument("a conversation with a field missing or wrong") from exc
    return record


def _document_of(added: AddedItem) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": added.id,
        "role": added.message.role.value,
        "text": added.message.text,
    }
    if added.message.items:
        document["items"] = documents_of_items(added.message.items)
    if added.is_instruction:
        document["isInstruction"] = True
    return document


def _added(document: Any) -> AddedItem:
    text = _text(document["text"])
    return AddedItem(
        id=document["id"],
        message=Message(
            role=Role(document["role"]), text=text, items=items_of(document.get("items", ()), text)
        ),
        is_instruction=document.get("isInstruction", False) is True,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
