"""Gemini's JSON: events of `streamGenerateContent`."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from domain.entities.items import ProviderMetadata, ToolCall
from domain.entities.reply import (
    NO_USAGE,
    AnswerEvent,
    FinishReason,
    MetadataReceived,
    ReasoningDelta,
    Usage,
)
from infra.llm.providers.gemini.request import KIND
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.finish_reasons import finish_reason_of, is_unset
from infra.llm.transport.json_document import json_text
from infra.llm.transport.response_parser import (
    NO_INTERACTION,
    AnswerReader,
    CallIds,
    Received,
    count,
)

# On Python 3.11 a lookup in the class takes forty times as long, and this one is made for every chat.
_CONTENT_FILTER = FinishReason.CONTENT_FILTER


class GeminiReader(AnswerReader):
    """Reads `GenerateContentResponse` objects.

    Args:
        family: Family of the metadata in the answer.
        interaction_id: For the ids of calls that come without one.
        names: Names of tools by the names that they were sent with, of those sent under another.
    """

    def __init__(
        self,
        family: str = "",
        interaction_id: str = NO_INTERACTION,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.finish_reason: FinishReason | None = None
        self.is_reason_unknown = False
        self.has_progress = False
        self._family = family
        self._new_call_id = CallIds(interaction_id)
        self._names = names
        self._counts: object = None
        self._open_call: _OpenCall | None = None

    @property
    def held_bytes(self) -> int:
        return 0 if self._open_call is None else self._open_call.size_bytes

    def take(self, document: object) -> Received:
        # Fast path for the common event: one part that is text alone.
        try:
            candidate = document["candidates"][0]  # type: ignore[index]
            (part,) = candidate["content"]["parts"]
            text = part["text"]
        except (LookupError, TypeError, ValueError):
            return self._take_any(document)
        if type(text) is not str or len(part) > 1 or "error" in document:  # type: ignore[operator]
            return self._take_any(document)
        if "usageMetadata" in document:  # type: ignore[operator]
            self._counts = document["usageMetadata"] or self._counts  # type: ignore[index]
        if "finishReason" in candidate:
            self._take_reason(candidate["finishReason"])
        return text

    def _take_any(self, document: object) -> Received:
        if type(document) is list:  # the format without `alt=sse`
            return [event for item in document for event in self._take_object(item)]
        return self._take_object(document)

    def _take_object(self, document: object) -> Sequence[AnswerEvent]:
        if type(document) is not dict:
            raise UnreadableAnswer("not an object")
        if counts := document.get("usageMetadata"):
            self._counts = counts  # each event contains the running totals, one with an error too
        if document.get("error"):
            raise ErrorInAnswer(document)
        candidates = document.get("candidates")
        if not candidates:
            self._take_feedback(document.get("promptFeedback"))
            return ()
        if type(candidates) is not list or type(candidate := candidates[0]) is not dict:
            raise UnreadableAnswer("candidates of a wrong shape")
        self._take_reason(candidate.get("finishReason"))
        content = candidate.get("content")
        return self._events(content) if content is not None else ()

    def _take_reason(self, reason: object) -> None:
        if is_unset(reason):
            return
        if type(reason) is not str:
            raise UnreadableAnswer("a finish reason that is not a string")
        if self.finish_reason is not _CONTENT_FILTER:
            # without a `[DONE]`, an answer that ended for an unknown reason may be incomplete
            self.finish_reason = finish_reason_of(reason) or FinishReason.ERROR

    def done(self) -> None:
        """Ignored: Gemini sends no such event, and a proxy that does must still send a finish reason."""

    def rest(self) -> Sequence[AnswerEvent]:
        """Return nothing: a call is complete with its last part, and one that lacks it was cut."""
        if self._open_call is not None and self.finish_reason is FinishReason.STOP:
            raise UnreadableAnswer("a call without its last part")
        return ()

    def usage(self) -> Usage:
        counts = self._counts
        if not isinstance(counts, dict):
            return NO_USAGE
        answer = count(counts.get("candidatesTokenCount"))
        thoughts = count(counts.get("thoughtsTokenCount"))
        return Usage(
            input_tokens=count(counts.get("promptTokenCount")),
            # Thoughts are billed as output and not included in the candidates' count.
            output_tokens=_sum(answer, thoughts),
            reasoning_tokens=thoughts,
            total_tokens=count(counts.get("totalTokenCount")),
            cached_input_tokens=count(counts.get("cachedContentTokenCount")),
        )

    def _take_feedback(self, feedback: object) -> None:
        if type(feedback) is dict and not is_unset(feedback.get("blockReason")):
            self.finish_reason = FinishReason.CONTENT_FILTER

    def _events(self, content: object) -> list[AnswerEvent]:
        """Return the events in a candidate's content."""
        if type(content) is not dict:
            raise UnreadableAnswer("content of a wrong shape")
        parts = content.get("parts") or []
        if type(parts) is not list:
            raise UnreadableAnswer("parts of a wrong shape")
        events: list[AnswerEvent] = []
        for part in parts:
            if type(part) is not dict:
                raise UnreadableAnswer("a part of a wrong shape")
            metadata = self._metadata(part)
            if (call := part.get("functionCall")) is not None:
                events += self._call(call, metadata)
                continue
            text = part.get("text")
            if text is None:
                text = ""
                if metadata is None:
                    self.has_progress = self.has_progress or bool(part)
                    continue
            if type(text) is not str:
                raise UnreadableAnswer("a text that is not a string")
            is_thought = bool(part.get("thought"))
            if text:
                events.append(ReasoningDelta(text) if is_thought else text)
            if metadata is not None:
                events.append(
                    MetadataReceived(
                        metadata=metadata,
                        is_reasoning=is_thought,
                        characters=0 if is_thought else len(text),
                    )
                )
        return events

    def _metadata(self, part: dict[str, object]) -> ProviderMetadata | None:
        signature = part.get("thoughtSignature")
        if not signature:
            return None
        if type(signature) is not str or not signature.isascii():
            raise UnreadableAnswer("a signature that is not Base64")
        return ProviderMetadata(kind=KIND, family=self._family, value=signature)

    def _call(self, call: object, metadata: ProviderMetadata | None) -> Sequence[ToolCall]:
        """Return the call that a part completes; Vertex may send a call in several parts."""
        if type(call) is not dict:
            raise UnreadableAnswer("a call of a wrong shape")
        open_call = self._open_call
        name = call.get("name")
        if open_call is None:
            if not name and not call:
                return ()  # the end of a call that another part completed
            if type(name) is not str or not name:
                raise UnreadableAnswer("a call without a name")
            call_id = call.get("id")
            self._open_call = open_call = _OpenCall(
                call_id if isinstance(call_id, str) and call_id else self._new_call_id(), name
            )
        elif name and name != open_call.name:
            raise UnreadableAnswer("a call within a call")
        open_call.add(call, metadata)
        if call.get("willContinue"):
            self.has_progress = True
            return ()
        self._open_call = None
        return (open_call.complete(self._names),)


class _OpenCall:
    """A call whose arguments may arrive in several parts.

    Attributes:
        size_bytes: About the size of its arguments.
    """

    def __init__(self, call_id: str, name: str) -> None:
        self._id = call_id
        self.name = name
        self._metadata: ProviderMetadata | None = None
        self._arguments: object = {}
        self.size_bytes = 0

    def add(self, call: dict[str, object], metadata: ProviderMetadata | None) -> None:
        """Add one part of the call."""
        self._metadata = self._metadata or metadata
        arguments = call.get("args")
        if arguments is not None:
            if type(arguments) is not dict:
                raise UnreadableAnswer("arguments that are not an object")
            self._arguments = arguments
        partial = call.get("partialArgs") or []
        if type(partial) is not list:
            raise UnreadableAnswer("partial arguments of a wrong shape")
        for argument in partial:
            if type(argument) is not dict or type(path := argument.get("jsonPath")) is not str:
                raise UnreadableAnswer("a partial argument of a wrong shape")
            for name in _VALUES:
                if name in argument:
                    value = None if name == "nullValue" else argument[name]
                    self.size_bytes += len(path) + (len(value) if isinstance(value, str) else 8)
                    self._arguments = _with_value(self._arguments, _steps_of(path), value)

    def complete(self, names: Mapping[str, str]) -> ToolCall:
        """Return the call, with the name of its tool by the one that it was sent with."""
        return ToolCall(
            id=self._id,
            name=names.get(self.name, self.name),
            arguments=json_text(self._arguments, default=str),
            metadata=self._metadata,
        )


_MAX_STEPS = 32
_MAX_GAP = 16  # elements without a value of their own, such as empty objects
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class _GrowingText:
    """A string whose parts are joined once, at the end."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, part: str) -> "_GrowingText":
        """Append a part; return the string."""
        self._parts.append(part)
        return self

    def __str__(self) -> str:
        return "".join(self._parts)


def _steps_of(path: str) -> list[str | int]:
    """Return the keys and indexes of a path such as `$.stops[0].city`."""
    steps: list[str | int] = []
    position = 1
    while position < len(path) and len(steps) < _MAX_STEPS:
        match = _STEP.match(path, position)
        if match is None:
            break
        key, index, *quoted = match.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append(next(name for name in (key, *quoted) if name is not None))
        position = match.end()
    if not path.startswith("$") or position < len(path) or not steps:
        raise UnreadableAnswer("a path that cannot be followed")
    return steps


def _with_value(container: object, steps: Sequence[str | int], value: object) -> object:
    """Return `container` with the value at `steps`; a string is appended to the string that is there."""
    if not steps:
        if not isinstance(value, str):
            return value
        text = container if isinstance(container, _GrowingText) else _GrowingText()
        return text.add(value)
    step, *others = steps
    if isinstance(step, int):
        items = container if isinstance(container, list) else []
        if step > len(items) + _MAX_GAP:
            raise UnreadableAnswer("an index out of any range")
        while len(items) <= step:
            items.append(None)
        items[step] = _with_value(items[step], others, value)
        return items
    members = container if isinstance(container, dict) else {}
    members[step] = _with_value(members.get(step), others, value)
    return members


def _sum(answer: int | None, thoughts: int | None) -> int | None:
    return None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0)
