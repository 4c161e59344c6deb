"""Requests and records of background answers as JSON, the same in every log.

Readers ignore unknown names, so that fields may be added.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from domain.entities.background.answer import BackgroundAnswer
from domain.entities.background.log import Asked, Concluded, LogRecord, Restarted
from domain.entities.interaction import Attempt, Interaction
from domain.entities.items import ToolCall
from domain.entities.reply import MetadataReceived, ProviderSelected, ReasoningDelta
from infra.history.format.documents import (
    Document,
    UnreadableDocument,
    attempt_of,
    document_of,
    document_of_attempt,
    interaction_of,
    json_of_document,
)
from infra.history.format.items import (
    document_of_metadata,
    documents_of_items,
    items_of,
    metadata_of,
)


def json_of_answer(answer: BackgroundAnswer) -> bytes:
    """Return the request of a background answer as JSON."""
    document: Document = {"interaction": document_of(answer.interaction)}
    if answer.brings_context:
        document["bringsContext"] = True
    if not answer.may_fall_back:
        document["mayFallBack"] = False
    if answer.rate_limit_key is not None:
        document["rateLimitKey"] = answer.rate_limit_key
    if answer.request_id:
        document["requestId"] = answer.request_id
    if answer.traceparent is not None:
        document["traceparent"] = answer.traceparent
    return json_of_document(document)


def answer_in(body: bytes | str) -> BackgroundAnswer:
    """Return the request that `json_of_answer` wrote; raises `UnreadableDocument`."""
    try:
        document = orjson.loads(body)
        get = document.get
        return BackgroundAnswer(
            interaction=interaction_of(document["interaction"]),
            brings_context=get("bringsContext", False),
            may_fall_back=get("mayFallBack", True),
            rate_limit_key=get("rateLimitKey"),
            request_id=get("requestId", ""),
            traceparent=get("traceparent"),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise UnreadableDocument("not the request of a background answer") from exc


def json_of_records(records: Sequence[LogRecord]) -> bytes:
    """Return records as a JSON array."""
    return json_of_document([_document_of(record) for record in records])


def records_in(body: bytes | str) -> list[LogRecord]:
    """Return the records that `json_of_records` wrote; raises `UnreadableDocument`."""
    try:
        return [_record_of(document) for document in orjson.loads(body)]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UnreadableDocument("not records of a background answer") from exc


def _document_of(record: LogRecord) -> str | Document:
    match record:
        case str():
            return record
        case ProviderSelected():
            return {"selected": [record.provider, record.model]}
        case ReasoningDelta():
            return {"reasoning": record.text}
        case ToolCall():
            return {"call": documents_of_items((record,))[0]}
        case Restarted():
            return {"restarted": record.reason}
        case Interaction():
            return {"end": document_of(record)}
        case MetadataReceived():
            metadata = document_of_metadata(record.metadata)
            return {
                "metadata": metadata,
                "isReasoning": record.is_reasoning,
                "characters": record.characters,
            }
        case Asked():
            selected = record.selected
            return {"asked": [selected.provider, selected.model, selected.continues]}
        case Attempt():
            return {"attempt": document_of_attempt(record)}
        case Concluded():
            return {"concluded": document_of(record.interaction)}


def _record_of(document: str | Mapping[str, Any]) -> LogRecord:
    if isinstance(document, str):
        return document
    if "metadata" in document:
        metadata = metadata_of(document["metadata"])
        assert metadata is not None
        return MetadataReceived(
            metadata=metadata,
            is_reasoning=document["isReasoning"],
            characters=document["characters"],
        )
    ((kind, value),) = document.items()
    match kind:
        case "selected":
            return ProviderSelected(provider=value[0], model=value[1])
        case "reasoning":
            return ReasoningDelta(value)
        case "call":
            call: ToolCall = items_of((value,), "")[0]
            return call
        case "restarted":
            return Restarted(value)
        case "end":
            return interaction_of(value)
        case "asked":
            provider, model, continues = value
            return Asked(ProviderSelected(provider=provider, model=model, continues=continues))
        case "attempt":
            return attempt_of(value)
        case "concluded":
            return Concluded(interaction_of(value))
    raise ValueError("a record of a kind this program does not know")
