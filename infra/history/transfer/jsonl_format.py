"""The JSON lines of `export` and `import`.

A line is byte for byte the interaction in the HTTP API, with `details` of the items where there are any. It is converted to the stored document and back without an
`Interaction` in between, which takes a third of the time; a file may have millions of lines.
"""

from collections.abc import Mapping
from dataclasses import replace
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

# pydantic accepts the standard library's only from Python 3.12 on
from typing_extensions import TypedDict

from domain.entities.bounds import MAX_AMOUNT, MAX_COUNT
from domain.entities.caller import USER_ID_PATTERN
from domain.entities.interaction import ANSWERED, Status, asked_at, is_interaction_id
from domain.entities.reply import FinishReason
from domain.entities.stored_record import InteractionKey, Record
from domain.entities.tools import ReasoningEffort, ToolMode
from infra.history.format.documents import (
    VERSION,
    Document,
    UnreadableDocument,
    body_of,
    document_of,
    interaction_of,
)
from infra.history.format.fields import ITEM_FIELDS, is_well_formed
from infra.history.transfer.line_items import COMPARED, add_items, read_items

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
    cachedInputTokens: NotRequired[_Count]
    cacheWriteTokens: NotRequired[_Count]


class _AttemptLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    provider: str
    model: str
    outcome: str
    seconds: _Amount
    httpStatus: _Count | None
    usage: NotRequired[_UsageLine]


class _CallLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    id: str
    name: str
    arguments: dict[str, Any] | str


class _ResultLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    callId: str
    output: Any
    isError: NotRequired[Literal[True]]


class _MetadataLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    kind: str
    family: str
    value: str


class _ItemLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    type: str
    length: NotRequired[int]
    arguments: NotRequired[str]
    output: NotRequired[str]
    isJson: NotRequired[bool]
    metadata: NotRequired[_MetadataLine]
    id: NotRequired[str]
    mediaType: NotRequired[str]
    bytes: NotRequired[int]
    name: NotRequired[str]
    url: NotRequired[str]


class _ToolLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    name: str
    description: NotRequired[str]
    parameters: NotRequired[str]
    strict: NotRequired[bool]


class _ChoiceLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    mode: Literal[tuple(mode.value for mode in ToolMode)]  # type: ignore[valid-type]
    names: NotRequired[list[str]]


class _FormatLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    name: str
    description: NotRequired[str]
    schema: NotRequired[str]
    strict: NotRequired[bool]


class _OptionsLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    tools: NotRequired[list[_ToolLine]]
    toolChoice: NotRequired[_ChoiceLine]
    parallelToolCalls: NotRequired[bool]
    responseFormat: NotRequired[_FormatLine]
    reasoningEffort: NotRequired[Literal[tuple(effort.value for effort in ReasoningEffort)]]  # type: ignore[valid-type]


class _KeptLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    messages: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    inputItems: NotRequired[list[list[dict[str, Any]]]]


class _DetailsLine(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    input: NotRequired[list[_ItemLine]]
    output: NotRequired[list[_ItemLine]]
    options: NotRequired[_OptionsLine]
    background: NotRequired[Literal[True]]
    kept: NotRequired[_KeptLine]


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
    previousId: NotRequired[Annotated[str, AfterValidator(_interaction_id)]]
    toolCalls: NotRequired[list[_CallLine]]
    toolResults: NotRequired[list[_ResultLine]]
    attachments: NotRequired[list[dict[str, Any]]]
    reasoning: NotRequired[str]
    stored: NotRequired[Literal[False]]
    metadata: NotRequired[dict[str, str]]
    details: NotRequired[_DetailsLine]


_REQUIRED_FIELDS = len(_Line.__required_keys__)
_LINE = TypeAdapter(_Line)
_STOP, _TOOL_CALLS = FinishReason.STOP.value, FinishReason.TOOL_CALLS.value
_ANSWERED = frozenset(status.value for status in ANSWERED)
_USAGE = (
    ("input", "inputTokens"),
    ("output", "outputTokens"),
    ("reasoning", "reasoningTokens"),
    ("total", "totalTokens"),
    ("costUsd", "costUsd"),
)
"""The names of counts in a document and in a line."""
_CACHES = (("cachedInput", "cachedInputTokens"), ("cacheWrite", "cacheWriteTokens"))
"""The same of counts that are in no line without them."""
_STORED = (*_USAGE[:-1], *_CACHES, _USAGE[-1])
"""All of them, in the order of a document."""
_KEPT = ("messages", "inputItems")
"""The fields of a document that hold all messages of a request, for later turns that continue from them."""
_LINE_USAGE_FIELDS = frozenset(stored_name for stored_name, _ in _USAGE)


class InvalidLine(ValueError):
    """The line is not an interaction; the text gives the reason without the line's contents."""


def read_line(line: bytes) -> tuple[Record, bytes]:
    """Return the record of a line, and the line as an export would write it.

    Every field that each interaction has is required, unknown ones are refused, and no type is converted.

    Raises:
        InvalidLine: It is not an interaction.
    """
    try:
        line_fields: Any = _LINE.validate_python(orjson.loads(line))
    except orjson.JSONDecodeError as exc:
        raise InvalidLine("not JSON") from exc
    except ValidationError as exc:
        raise InvalidLine(_why(exc)) from exc
    if line_fields["timestamp"] != _timestamp(line_fields["id"]):
        raise InvalidLine("timestamp: not the time in the id")
    for attempt in line_fields["attempts"]:
        if "usage" in attempt and not _counts_of(attempt["usage"]):
            del attempt["usage"]  # an export writes no usage without counts
    document = _document_of(line_fields)
    if len(line_fields) > _REQUIRED_FIELDS or line_fields["finishReason"] == _TOOL_CALLS:
        line_fields = _with_items(document, line_fields)
    place = InteractionKey(document["userId"], document["id"])
    return Record(place, body_of(document)), orjson.dumps(line_fields)


def line_of(record: Record) -> bytes:
    """Return the line of a record, without its end.

    Raises:
        UnreadableDocument: It is not an interaction, or has a newer version.
    """
    try:
        document = orjson.loads(record.body)
        if document["v"] != VERSION:
            raise UnreadableDocument("not an interaction of a version this program knows")
        return orjson.dumps(_line_of(document))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as exc:
        raise UnreadableDocument("an interaction with a field missing or wrong") from exc


def digest_of_line(record: Record) -> bytes:
    """Return the SHA-256 of the line of a record.

    Raises:
        UnreadableDocument: It is not an interaction, or has a newer version.
    """
    return sha256(line_of(record)).digest()


def _with_items(document: Document, line_fields: Mapping[str, Any]) -> dict[str, Any]:
    """Add the items of a line to its document, and return the line as an export would write it."""
    kept = line_fields.get("details", {}).get("kept")
    try:
        read_items(document, line_fields)
    except ValueError as exc:
        raise InvalidLine(f"details: {exc}") from exc
    except orjson.JSONEncodeError as exc:
        raise InvalidLine("toolCalls or toolResults: nested too deeply") from exc
    if kept is not None:
        _keep_input(document, kept)
    if not is_well_formed(document):
        raise InvalidLine("details: not items that can be stored")
    try:
        if kept is not None:
            canonical_document = document_of(interaction_of(document))
            document.clear()
            document.update(canonical_document)
        canonical = _line_of(document)
    except (ValueError, LookupError, StopIteration) as exc:
        raise InvalidLine("details: not messages of a request") from exc
    for name in COMPARED if kept is None else (*COMPARED, "userPrompt", "attachments"):
        if canonical.get(name) != line_fields.get(name):
            raise InvalidLine(f"{name}: does not fit the items")
    return canonical


def _keep_input(document: Document, kept: Mapping[str, Any]) -> None:
    """Replace the new message of a document by all messages of its request."""
    del document["prompt"]
    document.pop("inputItems", None)
    document |= kept
    document["options"] = {**document.get("options", {}), "keepsInput": True}


def _document_of(line_fields: Mapping[str, Any]) -> Document:
    """Return the same document as `documents.document_of` for the same interaction."""
    status, text = line_fields["status"], line_fields["response"]
    document: Document = {
        "v": VERSION,
        "id": line_fields["id"],
        "userId": line_fields["userId"],
        "model": line_fields["model"],
        "status": status,
        "seconds": line_fields["llmResponseSeconds"],
    }
    if status in _ANSWERED or (text and status == Status.BLOCKED.value):
        document["answered"] = True
    if line_fields["conversationId"] is not None:
        document["conversationId"] = line_fields["conversationId"]
    if line_fields["requestedModel"] != line_fields["model"]:
        document["requested"] = line_fields["requestedModel"]
    if line_fields["provider"] is not None:
        document["provider"] = line_fields["provider"]
    if text:
        document["text"] = text
    if line_fields["finishReason"] is not None:
        reason = line_fields["finishReason"]
        document["finish"] = _STOP if reason == _TOOL_CALLS else reason
    if line_fields["fallbackUsed"]:
        document["fallback"] = True
    if line_fields["timeToFirstTokenSeconds"] is not None:
        document["firstSeconds"] = line_fields["timeToFirstTokenSeconds"]
    if line_fields["error"] is not None:
        document["error"] = line_fields["error"]
    if counts := _counts_of(line_fields["usage"]):
        document["usage"] = counts
    if line_fields["attempts"]:
        document["attempts"] = [
            _document_of_attempt(attempt) for attempt in line_fields["attempts"]
        ]
    if line_fields.get("stored") is False:
        document["contentStored"] = False
    document["prompt"] = line_fields["userPrompt"]
    if line_fields["systemPrompt"]:
        document["system"] = line_fields["systemPrompt"]
    if line_fields["temperature"] is not None:
        document["temperature"] = line_fields["temperature"]
    return document


def _document_of_attempt(line_fields: Mapping[str, Any]) -> Document:
    document: Document = {
        name: line_fields[name] for name in ("provider", "model", "outcome", "seconds")
    }
    if line_fields["httpStatus"] is not None:
        document["http"] = line_fields["httpStatus"]
    if "usage" in line_fields:
        document |= _counts_of(line_fields["usage"])
    return document


def _counts_of(usage: Mapping[str, Any]) -> Document:
    return {
        stored_name: usage[name] for stored_name, name in _STORED if usage.get(name) is not None
    }


def _usage_of(counts: Mapping[str, Any]) -> dict[str, Any]:
    usage = {name: counts.get(stored_name) for stored_name, name in _USAGE}
    for stored_name, name in _CACHES:
        if stored_name in counts:
            usage[name] = counts[stored_name]
    return usage


def _line_of(document: Document) -> dict[str, Any]:
    kept: Document = {}
    if "messages" in document and "prompt" not in document:
        if document.get("options", {}).get("keepsInput"):
            kept = {name: document[name] for name in _KEPT if name in document}
        document = _with_one_message(document)
    get = document.get
    usage = get("usage", {})
    line: dict[str, Any] = {
        "id": document["id"],
        "userId": document["userId"],
        "conversationId": get("conversationId"),
        "timestamp": _timestamp(document["id"]),
        "userPrompt": document["prompt"],
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
        "usage": _usage_of(usage),
        "attempts": [_line_of_attempt(attempt) for attempt in get("attempts", ())],
        "error": get("error"),
    }
    if not ITEM_FIELDS.isdisjoint(document):
        add_items(line, document)
        if "toolCalls" in line and line["finishReason"] == _STOP:
            line["finishReason"] = _TOOL_CALLS
    if kept:
        line.setdefault("details", {})["kept"] = kept
    return line


def _with_one_message(document: Document) -> Document:
    """Return the document with the new message alone."""
    interaction = interaction_of(document)
    prompt = replace(interaction.prompt, keeps_input=False).for_storage()
    return document_of(replace(interaction, prompt=prompt))


def _line_of_attempt(attempt: Document) -> dict[str, Any]:
    line = {
        "provider": attempt["provider"],
        "model": attempt["model"],
        "outcome": attempt["outcome"],
        "seconds": attempt["seconds"],
        "httpStatus": attempt.get("http"),
    }
    if not _LINE_USAGE_FIELDS.isdisjoint(attempt):
        line["usage"] = _usage_of(attempt)
    return line


def _timestamp(interaction_id: str) -> str:
    return asked_at(interaction_id).isoformat(timespec="milliseconds")[:-6] + "Z"


def _why(error: ValidationError) -> str:
    wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in wrong["loc"])
    return f"{where}: {wrong['msg']}" if where else str(wrong["msg"])
