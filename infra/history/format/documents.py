"""The stored document of an interaction: a dict of JSON types, the same in every store, outbox and queue.

Fields that are None or have their default value are omitted. Readers ignore unknown names, so fields may be added
without a new version; `v` changes only when an old reader would misread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from domain.entities.bounds import MAX_COUNT
from domain.entities.interaction import Attempt, Interaction, Status
from domain.entities.prompt import Message, Prompt, Role
from domain.entities.reply import NO_USAGE, FinishReason, Usage
from domain.entities.stored_record import InteractionKey, Record
from domain.exceptions import Unstorable
from infra.history.format.fields import USAGE
from infra.history.format.items import documents_of_items, has_tool_call, items_of
from infra.history.format.options import document_of_options, options_of

VERSION = 1

Document = dict[str, Any]
"""JSON types only; `answered` is `Interaction.is_answered`, stored so that stores can filter by it."""

_REPORTED_FIELDS = frozenset(USAGE) - {"cachedInput", "cacheWrite"}

# A lookup takes half the time of calling the enum, and a page has a hundred of them.
_STATUSES = {status.value: status for status in Status}
_TOOL_CALLS = FinishReason.TOOL_CALLS
# `tool_calls` is not stored: processes of earlier versions, which run at the same time during an upgrade, could not read
# the record. It is stored as `stop`, and follows from the calls among the items.
_FINISH_REASONS = {reason.value: reason for reason in FinishReason if reason is not _TOOL_CALLS}


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
    reason = interaction.finish_reason
    if reason is not None:
        document["finish"] = "stop" if reason is _TOOL_CALLS else reason.value
    if interaction.fallback_used:
        document["fallback"] = True
    if interaction.time_to_first_token_seconds is not None:
        document["firstSeconds"] = interaction.time_to_first_token_seconds
    if interaction.error is not None:
        document["error"] = interaction.error
    if interaction.usage is not NO_USAGE and (usage := _document_of_usage(interaction.usage)):
        document["usage"] = usage
    if interaction.attempts:
        document["attempts"] = list(map(document_of_attempt, interaction.attempts))
    if not interaction.is_content_stored:
        document["contentStored"] = False
    if interaction.is_background:
        document["background"] = True
    if interaction.credential is not None:
        document["credential"] = interaction.credential
    _add_prompt(document, interaction.prompt)
    if interaction.items:
        document["items"] = documents_of_items(interaction.items)
    if interaction.previous_id is not None:
        document["previousId"] = interaction.previous_id
    if interaction.metadata:
        # Pairs: names of fields may not contain a NUL in MongoDB.
        document["metadata"] = [[name, value] for name, value in interaction.metadata.items()]
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
        text = get("text", "")
        reason = None if finish is None else _FINISH_REASONS[finish]
        metadata = get("metadata")
        items = get("items")
        if items is not None:
            if reason is FinishReason.STOP and has_tool_call(items):
                reason = _TOOL_CALLS
            items = items_of(items, text)
        return Interaction(
            id=document["id"],
            user_id=document["userId"],
            conversation_id=get("conversationId"),
            previous_id=get("previousId"),
            prompt=prompt_of(document),
            requested_model=get("requested", document["model"]),
            model=document["model"],
            provider=get("provider"),
            text=text,
            items=() if items is None else items,
            status=_STATUSES[document["status"]],
            finish_reason=reason,
            usage=NO_USAGE if usage is None else _usage_of(usage),
            fallback_used=get("fallback", False),
            latency_seconds=document["seconds"],
            time_to_first_token_seconds=get("firstSeconds"),
            attempts=tuple([attempt_of(attempt) for attempt in get("attempts", ())]),
            error=get("error"),
            metadata={} if metadata is None else dict(metadata),
            is_content_stored=get("contentStored", True),
            is_background=get("background", False),
            credential=get("credential"),
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
    return json_of_document(document_of(interaction))


def json_of_document(document: Document | list[Any]) -> bytes:
    """Return `document` as JSON; raises as `json_of`."""
    try:
        return orjson.dumps(document)
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
    messages = prompt.messages
    if len(messages) == 1:  # a prompt always has a message of the user
        document["prompt"] = messages[0].text
    else:
        document["messages"] = [[message.role.value, message.text] for message in messages]
    if prompt.system and prompt.system_content_id is None:
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
    if messages[0].items or (len(messages) > 1 and any(message.items for message in messages)):
        document["inputItems"] = [documents_of_items(message.items) for message in messages]
    if (
        prompt.tools
        or prompt.tool_choice is not None
        or prompt.parallel_tool_calls is not None
        or prompt.response_format is not None
        or prompt.reasoning_effort is not None
        or prompt.system_content_id is not None
        or prompt.keeps_input
    ):
        document["options"] = document_of_options(prompt)


def prompt_of(document: Mapping[str, Any]) -> Prompt:
    """Return the prompt of an interaction's document."""
    get = document.get
    question, items, options = get("prompt"), get("inputItems"), get("options")
    if question is None:
        messages = _messages_of(document["messages"], items)
    elif items is None:
        messages = (Message(role=Role.USER, text=question),)
    else:
        messages = _messages_of(((Role.USER, question),), items)
    prompt = Prompt(
        messages=messages,
        system=get("system", ""),
        model=get("asked"),
        temperature=get("temperature"),
        max_output_tokens=get("maxOutputTokens"),
        top_p=get("topP"),
        stop=tuple(get("stop", ())),
        seed=get("seed"),
    )
    return prompt if options is None else replace(prompt, **options_of(options))


def _messages_of(
    pairs: Sequence[tuple[str, str]], items: Sequence[Sequence[Mapping[str, Any]]] | None
) -> tuple[Message, ...]:
    """Return the messages of pairs of role and text, and of the items of each."""
    if items is None:
        return tuple(Message(role=Role(role), text=text) for role, text in pairs)
    return tuple(
        Message(role=Role(role), text=text, items=items_of(of_message, text))
        for (role, text), of_message in zip(pairs, items, strict=True)
    )


def _document_of_usage(usage: Usage) -> Document:
    document: Document = {}
    if usage.input_tokens is not None:
        document["input"] = usage.input_tokens
    if usage.output_tokens is not None:
        document["output"] = usage.output_tokens
    if usage.reasoning_tokens is not None:
        document["reasoning"] = usage.reasoning_tokens
    if usage.total_tokens is not None:
        document["total"] = usage.total_tokens
    if usage.cached_input_tokens is not None:
        document["cachedInput"] = usage.cached_input_tokens
    if usage.cache_write_tokens is not None:
        document["cacheWrite"] = usage.cache_write_tokens
    if usage.cost_usd is not None:
        document["costUsd"] = usage.cost_usd
    return document


def _usage_of(document: Mapping[str, Any]) -> Usage:
    get = document.get
    return Usage(
        input_tokens=get("input"),
        output_tokens=get("output"),
        reasoning_tokens=get("reasoning"),
        total_tokens=get("total"),
        cached_input_tokens=get("cachedInput"),
        cache_write_tokens=get("cacheWrite"),
        cost_usd=get("costUsd"),
    )


def document_of_attempt(attempt: Attempt) -> Document:
    """Return a call of a provider as a dict of JSON types."""
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


def attempt_of(document: Mapping[str, Any]) -> Attempt:
    """Return the call that `document_of_attempt` wrote."""
    return Attempt(
        provider=document["provider"],
        model=document["model"],
        outcome=document["outcome"],
        seconds=document["seconds"],
        http_status=document.get("http"),
        usage=None if _REPORTED_FIELDS.isdisjoint(document) else _usage_of(document),
    )
