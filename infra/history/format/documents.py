"""The stored document of an interaction: a dict of JSON types, the same in every store, outbox and queue.

Fields that are None or have their default value are omitted. Readers ignore unknown names, so fields may be added
without a new version; `v` changes only when an old reader would misread.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from domain.entities.bounds import MAX_COUNT
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import NO_USAGE, FinishReason, Usage
from domain.entities.stored_record import InteractionKey, Record
from domain.exceptions import Unstorable
from infra.history.format.fields import USAGE

VERSION = 1

Document = dict[str, Any]
"""JSON types only; `answered` is `Interaction.is_answered`, stored so that stores can filter by it."""

_REPORTED_FIELDS = frozenset(USAGE) - {"cachedInput"}

# A lookup takes half the time of calling the enum, and a page has a hundred of them.
_STATUSES = {status.value: status for status in Status}
_FINISH_REASONS = {reason.value: reason for reason in FinishReason}


class UnreadableDocument(ValueError):
    """The document has a newer version than this program knows, or is not an interaction."""


def document_of(interaction: Interaction) -> Document:
    """Return `interaction` as a dict of JSON types."""
    document: Document = {
        "v": VERSION,
        "id": interaction.id,
        "userId": interaction.user_id,
        "model": interaction.model,
        "status": interaction.status.value,
        "seconds": interaction.latency_seconds,
    }
    if interaction.is_answered:
        document["answered"] = True
    if interaction.conversation_id is not None:
        document["conversationId"] = interaction.conversation_id
    if interaction.requested_model != interaction.model:
        document["requested"] = interaction.requested_model
    if interaction.provider is not None:
        document["provider"] = interaction.provider
    if interaction.text:
        document["text"] = interaction.text
    if interaction.finish_reason is not None:
        document["finish"] = interaction.finish_reason.value
    if interaction.fallback_used:
        document["fallback"] = True
    if interaction.time_to_first_token_seconds is not None:
        document["firstSeconds"] = interaction.time_to_first_token_seconds
    if interaction.error is not None:
        document["error"] = interaction.error
    if interaction.usage is not NO_USAGE and interaction.usage != NO_USAGE:
        document["usage"] = _document_of_usage(interaction.usage)
    if interaction.attempts:
        document["attempts"] = [_document_of_attempt(attempt) for attempt in interaction.attempts]
    _add_prompt(document, interaction.prompt)
    return document


def interaction_of(document: Mapping[str, Any]) -> Interaction:
    """Return the interaction of a document that `document_of` made.

    Raises:
        UnreadableDocument: It is not an interaction, or has a newer version.
    """
    get = document.get
    if get("v") != VERSION:
        raise UnreadableDocument("not an interaction of a version this program knows")
    try:
        finish = get("finish")
        usage = get("usage")
        return Interaction(
            id=document["id"],
            user_id=document["userId"],
            conversation_id=get("conversationId"),
            prompt=_prompt_of(document),
            requested_model=get("requested", document["model"]),
            model=document["model"],
            provider=get("provider"),
            text=get("text", ""),
            status=_STATUSES[document["status"]],
            finish_reason=None if finish is None else _FINISH_REASONS[finish],
            usage=NO_USAGE if usage is None else _usage_of(usage),
            fallback_used=get("fallback", False),
            latency_seconds=document["seconds"],
            time_to_first_token_seconds=get("firstSeconds"),
            attempts=tuple([_attempt_of(attempt) for attempt in get("attempts", ())]),
            error=get("error"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UnreadableDocument("an interaction with a field missing or wrong") from exc


def record_of(interaction: Interaction) -> Record:
    """Return the record of `interaction`, as in the embedded store."""
    return Record(
        InteractionKey(interaction.user_id, interaction.id), body_of(document_of(interaction))
    )


def json_of(interaction: Interaction) -> bytes:
    """Return the document of `interaction` as JSON.

    Raises:
        Unstorable: It contains text that JSON cannot represent, such as half of a surrogate pair.
    """
    try:
        return orjson.dumps(document_of(interaction))
    except orjson.JSONEncodeError as exc:
        raise Unstorable("it cannot be written as JSON") from exc


def body_of(document: Document) -> bytes:
    """Return the body of a record of `document`.

    It is a copy: orjson returns a slice of a buffer of some kilobytes, and thousands of these fragment the memory.
    """
    return bytes(memoryview(orjson.dumps(document)))


def record_holding(body: bytes) -> Record:
    """Return the record of a body that `body_of` made.

    Raises:
        UnreadableDocument: Not an interaction.
    """
    try:
        document = orjson.loads(body)
        return Record(InteractionKey(document["userId"], document["id"]), body)
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise UnreadableDocument("not an interaction") from exc


def interaction_in(record: Record) -> Interaction:
    """Return the interaction of a record.

    Raises:
        UnreadableDocument: It is not an interaction, or has a newer version.
    """
    try:
        return interaction_of(orjson.loads(record.body))
    except (orjson.JSONDecodeError, AttributeError) as exc:
        raise UnreadableDocument("not JSON") from exc


def _add_prompt(document: Document, prompt: Prompt) -> None:
    if len(prompt.messages) == 1:  # a prompt always has a message of the user
        document["prompt"] = prompt.messages[0].text
    else:
        document["messages"] = [[message.role.value, message.text] for message in prompt.messages]
    if prompt.system:
        document["system"] = prompt.system
    if prompt.model is not None:
        document["asked"] = prompt.model
    if prompt.temperature is not None:
        document["temperature"] = prompt.temperature
    if prompt.max_output_tokens is not None:
        # Providers get the caller's number; no store holds integers of any length.
        document["maxOutputTokens"] = min(prompt.max_output_tokens, MAX_COUNT)
    if prompt.top_p is not None:
        document["topP"] = prompt.top_p
    if prompt.stop:
        document["stop"] = list(prompt.stop)
    if prompt.seed is not None:
        document["seed"] = prompt.seed


def _prompt_of(document: Mapping[str, Any]) -> Prompt:
    get = document.get
    question = get("prompt")
    if question is not None:
        messages: tuple[Message, ...] = (Message(role=Role.USER, text=question),)
    else:
        messages = tuple(Message(role=Role(role), text=text) for role, text in document["messages"])
    return Prompt(
        messages=messages,
        system=get("system", ""),
        model=get("asked"),
        temperature=get("temperature"),
        max_output_tokens=get("maxOutputTokens"),
        top_p=get("topP"),
        stop=tuple(get("stop", ())),
        seed=get("seed"),
    )


def _document_of_usage(usage: Usage) -> Document:
    fields = {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "reasoning": usage.reasoning_tokens,
        "total": usage.total_tokens,
        "cachedInput": usage.cached_input_tokens,
        "costUsd": usage.cost_usd,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _usage_of(document: Mapping[str, Any]) -> Usage:
    get = document.get
    return Usage(
        input_tokens=get("input"),
        output_tokens=get("output"),
        reasoning_tokens=get("reasoning"),
        total_tokens=get("total"),
        cached_input_tokens=get("cachedInput"),
        cost_usd=get("costUsd"),
    )


def _document_of_attempt(attempt: Attempt) -> Document:
    document: Document = {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "seconds": attempt.seconds,
    }
    if attempt.http_status is not None:
        document["http"] = attempt.http_status
    if attempt.usage is not None:
        # Not nested: a worker of an older version rejects messages whose attempts hold objects.
        document |= _document_of_usage(attempt.usage)
    return document


def _attempt_of(document: Mapping[str, Any]) -> Attempt:
    return Attempt(
        provider=document["provider"],
        model=document["model"],
        outcome=document["outcome"],
        seconds=document["seconds"],
        http_status=document.get("http"),
        usage=None if _REPORTED_FIELDS.isdisjoint(document) else _usage_of(document),
    )
