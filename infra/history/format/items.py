"""The items of an answer or a question as JSON types, and back.

A text item is written as its number of characters: the texts joined are the `text` or `prompt` of the document, which
is stored in any case. Arguments of calls and provider metadata are stored as the text they are, byte for byte.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.entities.items import (
    Attachment,
    Item,
    ProviderMetadata,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)

TEXT = "text"
REASONING = "reasoning"
TOOL_CALL = "tool_call"
TOOL_RESULT = "tool_result"
ATTACHMENT = "attachment"


def documents_of_items(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Return `items` as dicts of JSON types."""
    return [_document_of(item) for item in items]


def items_of(documents: Iterable[Mapping[str, Any]], text: str) -> tuple[Any, ...]:
    """Return the items that `documents_of_items` wrote.

    Args:
        documents: The items' documents.
        text: The texts of the items, joined.

    Raises:
        ValueError: An item has a type that this program does not know.
    """
    items: list[Item] = []
    position = 0
    for document in documents:
        get = document.get
        kind = document["type"]
        if kind == TEXT:
            end = position + document["length"]
            items.append(Text(text=text[position:end], metadata=metadata_of(get("metadata"))))
            position = end
        elif kind == TOOL_CALL:
            items.append(
                ToolCall(
                    id=document["id"],
                    name=document["name"],
                    arguments=document["arguments"],
                    metadata=metadata_of(get("metadata")),
                    content_id=get("contentId"),
                )
            )
        elif kind == TOOL_RESULT:
            items.append(
                ToolResult(
                    call_id=document["callId"],
                    output=document["output"],
                    is_json=get("isJson", False),
                    is_error=get("isError", False),
                    content_id=get("contentId"),
                )
            )
        elif kind == REASONING:
            items.append(Reasoning(text=document["text"], metadata=metadata_of(get("metadata"))))
        elif kind == ATTACHMENT:
            items.append(
                Attachment(
                    id=get("id"),
                    media_type=document["mediaType"],
                    size_bytes=get("bytes"),
                    name=get("name"),
                    url=get("url"),
                )
            )
        else:
            raise ValueError("an item of an unknown type")
    return tuple(items)


def has_tool_call(documents: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a call of a tool is among the items."""
    return any(document["type"] == TOOL_CALL for document in documents)


def _document_of(item: Item) -> dict[str, Any]:
    document: dict[str, Any]
    if isinstance(item, ToolResult):
        output = "" if item.content_id else item.output
        document = {"type": TOOL_RESULT, "callId": item.call_id, "output": output}
        if item.content_id:
            document["contentId"] = item.content_id
        if item.is_json:
            document["isJson"] = True
        if item.is_error:
            document["isError"] = True
        return document
    if isinstance(item, Attachment):
        return _document_of_attachment(item)
    if isinstance(item, Text):
        document = {"type": TEXT, "length": len(item.text)}
    elif isinstance(item, ToolCall):
        document = {
            "type": TOOL_CALL,
            "id": item.id,
            "name": item.name,
            "arguments": "" if item.content_id else item.arguments,
        }
        if item.content_id:
            document["contentId"] = item.content_id
    else:
        document = {"type": REASONING, "text": item.text}
    if item.metadata is not None:
        document["metadata"] = document_of_metadata(item.metadata)
    return document


def document_of_metadata(metadata: ProviderMetadata) -> dict[str, Any]:
    """Return provider metadata as a dict of JSON types."""
    return {"kind": metadata.kind, "family": metadata.family, "value": metadata.value}


def _document_of_attachment(item: Attachment) -> dict[str, Any]:
    fields = {
        "type": ATTACHMENT,
        "id": item.id,
        "mediaType": item.media_type,
        "bytes": item.size_bytes,
        "name": item.name,
        "url": item.url,
    }
    return {name: value for name, value in fields.items() if value is not None}


def metadata_of(document: Mapping[str, Any] | None) -> ProviderMetadata | None:
    """Return the provider metadata that `document_of_metadata` wrote; None without."""
    if document is None:
        return None
    return ProviderMetadata(
        kind=document["kind"], family=document["family"], value=document["value"]
    )
