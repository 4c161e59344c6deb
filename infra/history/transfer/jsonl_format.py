"""Interactions as lines of JSON: the files that `export` writes and `import` reads.

A line is the interaction as callers of the HTTP API see it, to the byte. It goes to the stores' own form and back
without an `Interaction` in between: that takes a third of the time, and millions of lines come at once.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal, NotRequired

import orjson
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

# pydantic takes the one of the standard library from Python 3.12 on only
from typing_extensions import TypedDict

from domain.entities.bounds import MAX_AMOUNT, MAX_COUNT
from domain.entities.caller import USER_ID_PATTERN
from domain.entities.interaction import ANSWERED, Status, asked_at, is_interaction_id
from domain.entities.reply import FinishReason
from domain.entities.stored_record import InteractionKey, Record
from infra.history.format.documents import VERSION, Document, UnreadableDocument, body_of

_STRICT = ConfigDict(strict=True, extra="forbid")


def _interaction_id(value: str) -> str:
    if not is_interaction_id(value):
        raise ValueError("not the id of an interaction: a UUIDv7, of the year 9999 at the latest")
    return value


_Name = Annotated[str, StringConstraints(pattern=USER_ID_PATTERN)]
_Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
_Amount = Annotated[float, Field(ge=0, le=MAX_AMOUNT)]


class _UsageLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    inputTokens: _Count | None
    outputTokens: _Count | None
    reasoningTokens: _Count | None
    totalTokens: _Count | None
    costUsd: _Amount | None


class _AttemptLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    provider: str
    model: str
    outcome: str
    seconds: _Amount
    httpStatus: _Count | None
    usage: NotRequired[_UsageLine]


class _Line(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    id: Annotated[str, AfterValidator(_interaction_id)]
    userId: _Name
    conversationId: _Name | None
    timestamp: str
    userPrompt: str
    systemPrompt: str
    temperature: Annotated[float, Field(ge=0, le=2)] | None
    response: str
    model: str
    requestedModel: str
    provider: str | None
    status: Literal[tuple(status.value for status in Status)]  # type: ignore[valid-type]
    finishReason: Literal[tuple(reason.value for reason in FinishReason)] | None  # type: ignore[valid-type]
    fallbackUsed: bool
    llmResponseSeconds: _Amount
    timeToFirstTokenSeconds: _Amount | None
    usage: _UsageLine
    attempts: list[_AttemptLine]
    error: str | None


_LINE = TypeAdapter(_Line)
_ANSWERED = frozenset(status.value for status in ANSWERED)
_USAGE = (
    ("input", "inputTokens"),
    ("output", "outputTokens"),
    ("reasoning", "reasoningTokens"),
    ("total", "totalTokens"),
    ("costUsd", "costUsd"),
)
"""Counts by their name in a document and in a line."""
_LINE_USAGE_FIELDS = frozenset(kept for kept, _ in _USAGE)


class InvalidLine(ValueError):
    """Not an interaction; the text says why, without what the line holds."""


def read_line(line: bytes) -> tuple[Record, bytes]:
    """Return the record of a line, and the line as an export would write it.

    Every field has to be there, no other may be, and nothing is converted.

    Raises:
        InvalidLine: It is not an interaction.
    """
    try:
        said: Any = _LINE.validate_python(orjson.loads(line))
    except orjson.JSONDecodeError as exc:
        raise InvalidLine("not JSON") from exc
    except ValidationError as exc:
        raise InvalidLine(_why(exc)) from exc
    if said["timestamp"] != _timestamp(said["id"]):
        raise InvalidLine("timestamp: not the time that the id carries")
    for attempt in said["attempts"]:
        if "usage" in attempt and not _counts_of(attempt["usage"]):
            del attempt["usage"]  # an export writes none where nothing is known
    document = _document_of(said)
    place = InteractionKey(document["userId"], document["id"])
    return Record(place, body_of(document)), orjson.dumps(said)


def line_of(record: Record) -> bytes:
    """Return the line of a record, without its end.

    Raises:
        UnreadableDocument: Not one of ours, or of a newer version.
    """
    try:
        document = orjson.loads(record.body)
        if document["v"] != VERSION:
            raise UnreadableDocument("not an interaction of a version this program knows")
        return orjson.dumps(_line_of(document))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as exc:
        raise UnreadableDocument("an interaction with a field missing or wrong") from exc


def digest_of_line(record: Record) -> bytes:
    """Return the SHA-256 of the line of a record: of what callers see of it.

    Raises:
        UnreadableDocument: Not one of ours, or of a newer version.
    """
    return sha256(line_of(record)).digest()


def _document_of(said: Mapping[str, Any]) -> Document:
    """Return what `documents.document_of` would, of the same interaction."""
    status, text = said["status"], said["response"]
    document: Document = {
        "v": VERSION,
        "id": said["id"],
        "userId": said["userId"],
        "model": said["model"],
        "status": status,
        "seconds": said["llmResponseSeconds"],
    }
    if status in _ANSWERED or (text and status == Status.BLOCKED.value):
        document["answered"] = True
    if said["conversationId"] is not None:
        document["conversationId"] = said["conversationId"]
    if said["requestedModel"] != said["model"]:
        document["requested"] = said["requestedModel"]
    if said["provider"] is not None:
        document["provider"] = said["provider"]
    if text:
        document["text"] = text
    if said["finishReason"] is not None:
        document["finish"] = said["finishReason"]
    if said["fallbackUsed"]:
        document["fallback"] = True
    if said["timeToFirstTokenSeconds"] is not None:
        document["firstSeconds"] = said["timeToFirstTokenSeconds"]
    if said["error"] is not None:
        document["error"] = said["error"]
    if counts := _counts_of(said["usage"]):
        document["usage"] = counts
    if said["attempts"]:
        document["attempts"] = [_document_of_attempt(attempt) for attempt in said["attempts"]]
    document["prompt"] = said["userPrompt"]
    if said["systemPrompt"]:
        document["system"] = said["systemPrompt"]
    if said["temperature"] is not None:
        document["temperature"] = said["temperature"]
    return document


def _document_of_attempt(said: Mapping[str, Any]) -> Document:
    document: Document = {name: said[name] for name in ("provider", "model", "outcome", "seconds")}
    if said["httpStatus"] is not None:
        document["http"] = said["httpStatus"]
    if "usage" in said:
        document |= _counts_of(said["usage"])
    return document


def _counts_of(usage: Mapping[str, Any]) -> Document:
    return {kept: usage[name] for kept, name in _USAGE if usage[name] is not None}


def _line_of(document: Document) -> dict[str, Any]:
    get = document.get
    usage = get("usage", {})
    prompt = get("prompt")
    if prompt is None:
        prompt = next(text for role, text in reversed(document["messages"]) if role == "user")
    return {
        "id": document["id"],
        "userId": document["userId"],
        "conversationId": get("conversationId"),
        "timestamp": _timestamp(document["id"]),
        "userPrompt": prompt,
        "systemPrompt": get("system", ""),
        "temperature": get("temperature"),
        "response": get("text", ""),
        "model": document["model"],
        "requestedModel": get("requested", document["model"]),
        "provider": get("provider"),
        "status": document["status"],
        "finishReason": get("finish"),
        "fallbackUsed": get("fallback", False),
        "llmResponseSeconds": document["seconds"],
        "timeToFirstTokenSeconds": get("firstSeconds"),
        "usage": {name: usage.get(kept) for kept, name in _USAGE},
        "attempts": [_line_of_attempt(attempt) for attempt in get("attempts", ())],
        "error": get("error"),
    }


def _line_of_attempt(attempt: Document) -> dict[str, Any]:
    line = {
        "provider": attempt["provider"],
        "model": attempt["model"],
        "outcome": attempt["outcome"],
        "seconds": attempt["seconds"],
        "httpStatus": attempt.get("http"),
    }
    if not _LINE_USAGE_FIELDS.isdisjoint(attempt):
        line["usage"] = {name: attempt.get(kept) for kept, name in _USAGE}
    return line


def _timestamp(interaction_id: str) -> str:
    return asked_at(interaction_id).isoformat(timespec="milliseconds")[:-6] + "Z"


def _why(error: ValidationError) -> str:
    wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in wrong["loc"])
    return f"{where}: {wrong['msg']}" if where else str(wrong["msg"])
