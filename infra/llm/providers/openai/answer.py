"""The JSON of Chat Completions: answers of OpenAI, OpenRouter, Ollama, vLLM and llama.cpp."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from domain.entities.items import ProviderMetadata
from domain.entities.reply import (
    NO_USAGE,
    AnswerEvent,
    FinishReason,
    MetadataReceived,
    ReasoningDelta,
    Usage,
)
from infra.llm.providers.openai.call_fragments import CallFragments
from infra.llm.providers.openai.reasoning_details import ReasoningDetails
from infra.llm.providers.openai.request import DETAILS, FIELD, KIND
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.finish_reasons import finish_reason_of, is_unset
from infra.llm.transport.json_document import json_text
from infra.llm.transport.response_parser import (
    NO_INTERACTION,
    AnswerReader,
    CallIds,
    Received,
    count,
    price_usd,
)


def usage_of(counts: object) -> Usage:
    """Return the usage in the `usage` of an answer, of any shape."""
    if not isinstance(counts, dict):
        return NO_USAGE
    input_tokens = _count(counts, _INPUT)
    output_tokens = _count(counts, _OUTPUT)
    reasoning_tokens = _count(counts, _REASONING)
    total_tokens = _count(counts, _TOTAL)
    if (
        input_tokens is not None
        and output_tokens is not None
        and reasoning_tokens
        and total_tokens == input_tokens + output_tokens + reasoning_tokens
    ):
        output_tokens += reasoning_tokens  # some servers do not include them in the output
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        reasoning_tokens=reasoning_tokens,
        total_tokens=total_tokens,
        cached_input_tokens=_count(counts, _CACHED_INPUT),
        cache_write_tokens=_count(counts, _CACHE_WRITE),
        # With a key of the user at OpenRouter, the reported cost does not include the host's price.
        cost_usd=None if counts.get("is_byok") else price_usd(counts.get("cost")),
    )


class OpenAIReader(AnswerReader):
    """Reads chunks, and the complete answer of a server that ignores `stream`.

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
        self._has_text = False
        self._has_reasoning = False
        self._counts: object = None
        self._calls = CallFragments(self._metadata, CallIds(interaction_id), names)
        self._reasoning_field: str | None = None
        self._details = ReasoningDetails()

    @property
    def held_bytes(self) -> int:
        return self._calls.size_bytes + self._details.size_bytes

    def take(self, document: object) -> Received:
        if type(document) is not dict:
            raise UnreadableAnswer("not an object")
        if counts := document.get("usage"):
            self._counts = counts  # also next to an error, whose cost counts
        if document.get("error"):
            raise ErrorInAnswer(document)
        choices = document.get("choices")
        if not choices:
            return ""  # the chunk that contains the usage
        if type(choices) is not list or type(choice := choices[0]) is not dict:
            raise UnreadableAnswer("choices of a wrong shape")
        if choice.get("error"):
            raise ErrorInAnswer(choice)
        if "usage" in choice and not counts:
            self._counts = choice["usage"] or self._counts
        if reason := choice.get("finish_reason"):
            self._take_reason(reason)
        delta = choice.get("delta")
        if (
            type(delta) is dict
            and type(text := delta.get("content")) is str
            and text
            and self._reasoning_field is None
            and (_MORE.isdisjoint(delta) or not any(map(delta.get, _MORE)))
        ):
            self._has_text = True
            return text  # fast path for the common chunk shape
        if delta is not None and (events := self._events_of(delta)):
            first = events[0]
            return first if type(first) is str and len(events) == 1 else events
        if (message := choice.get("message")) is not None:
            return self._events_of(message, is_whole=True)
        return ""

    def done(self) -> None:
        if self.finish_reason is None:
            self.finish_reason = FinishReason.STOP

    def rest(self) -> Sequence[AnswerEvent]:
        events: list[AnswerEvent] = list(self._end_reasoning())
        if self._details:
            events.append(self._reasoning_metadata({DETAILS: self._details.complete()}))
        was_cut = self.finish_reason in (FinishReason.LENGTH, FinishReason.CONTENT_FILTER)
        return (*events, *self._calls.complete(may_be_cut=was_cut))

    def usage(self) -> Usage:
        return usage_of(self._counts)

    def _take_reason(self, reason: object) -> None:
        if is_unset(reason):
            return
        if type(reason) is not str:
            raise UnreadableAnswer("a finish reason that is not a string")
        meaning = finish_reason_of(reason)
        if meaning is None:
            self.is_reason_unknown = True
        elif self.finish_reason is not FinishReason.CONTENT_FILTER:
            self.finish_reason = meaning

    def _events_of(self, message: object, *, is_whole: bool = False) -> list[AnswerEvent]:
        """Return the events of a delta or a message; the text of a refusal counts and marks the answer as blocked.

        Args:
            message: The delta or message.
            is_whole: It is a message, which repeats the deltas before it; their content gives no further events.
        """
        if type(message) is not dict:
            raise UnreadableAnswer("a message of a wrong shape")
        events: list[AnswerEvent] = []
        if not (is_whole and self._has_reasoning):
            events += self._reasoning_of(message, is_whole=is_whole)
        content = message.get("content")
        text = content if type(content) is str else self._text_in(content)
        if refusal := message.get("refusal"):
            text += self._text_in(refusal)
            self.finish_reason = FinishReason.CONTENT_FILTER
        if text and not (is_whole and self._has_text):
            events += self._end_reasoning()
            events.append(text)
            self._has_text = True
        if not (is_whole and self._calls.is_begun):
            self._calls.take(message)
        if not events and not self.has_progress:
            self.has_progress = any(message.get(name) for name in _AT_WORK)
        return events

    def _reasoning_of(self, message: dict[str, object], *, is_whole: bool) -> Iterator[AnswerEvent]:
        details = message.get(DETAILS)
        text = self._details.take(details, is_whole=is_whole) if isinstance(details, list) else ""
        for name in _REASONING_FIELDS:
            if isinstance(found := message.get(name), str) and found:
                self._reasoning_field = name
                text = found
                break
        if text:
            self._has_reasoning = True
            yield ReasoningDelta(text)

    def _end_reasoning(self) -> Iterator[AnswerEvent]:
        """Yield the metadata of the reasoning before a text, unless its details follow at the end."""
        field, self._reasoning_field = self._reasoning_field, None
        if field is not None and not self._details:
            yield self._reasoning_metadata({FIELD: field})

    def _reasoning_metadata(self, value: dict[str, object]) -> MetadataReceived:
        return MetadataReceived(metadata=self._metadata(value), is_reasoning=True)

    def _metadata(self, value: dict[str, object]) -> ProviderMetadata:
        return ProviderMetadata(kind=KIND, family=self._family, value=json_text(value))

    def _text_in(self, content: object, depth: int = 0) -> str:
        """Return the text of content in any shape: a string, a part, a list of either, or null."""
        if content is None:
            return ""
        if type(content) is str:
            return content
        if depth == _DEEPEST_CONTENT:
            raise UnreadableAnswer("content nested too deep")
        if type(content) is list:
            return "".join([self._text_in(part, depth + 1) for part in content])
        if type(content) is not dict:
            raise UnreadableAnswer("a text that is not a string")
        kind = content.get("type")
        if type(kind) is str and kind.startswith(_REASONING_PARTS):
            self.has_progress = True
            return ""
        if refusal := content.get("refusal"):
            self.finish_reason = FinishReason.CONTENT_FILTER
            return self._text_in(refusal, depth + 1)
        return self._text_in(content.get("text"), depth + 1)


_DEEPEST_CONTENT = 8  # parts in parts; two are known
_REASONING_PARTS = ("thinking", "reasoning", "redacted_thinking")
_MORE = frozenset(
    {
        "refusal",
        "tool_calls",
        "function_call",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
    }
)
"""Fields of a delta that hold more than text, unless they are null or empty."""
_REASONING_FIELDS = ("reasoning_content", "reasoning")
_AT_WORK = (
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "thinking",
    "tool_calls",
    "function_call",
)
# Places of each count; the first that has a number is used.
_INPUT = (("prompt_tokens",),)
_OUTPUT = (("completion_tokens",),)
_TOTAL = (("total_tokens",),)
_REASONING = (("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",))
_CACHED_INPUT = (
    ("prompt_tokens_details", "cached_tokens"),
    ("prompt_cache_hit_tokens",),
    ("cached_tokens",),
)
_CACHE_WRITE = (("prompt_tokens_details", "cache_write_tokens"),)


def _count(counts: dict[str, object], places: Sequence[Sequence[str]]) -> int | None:
    for *groups, name in places:
        group: object = counts
        for inner in groups:
            group = group.get(inner) if isinstance(group, dict) else None
        if isinstance(group, dict) and (number := count(group.get(name))) is not None:
            return number
    return None
