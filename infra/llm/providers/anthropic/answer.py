"""Anthropic's JSON: events of a streamed message, and the message of an answer that is not streamed."""

from collections.abc import Mapping, Sequence
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
from infra.llm.providers.anthropic.request import DATA, KIND, SIGNATURE
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.finish_reasons import finish_reason_of, is_unset
from infra.llm.transport.json_document import json_text
from infra.llm.transport.open_block import OpenBlock, object_of, text_of
from infra.llm.transport.response_parser import (
    NO_INTERACTION,
    AnswerReader,
    CallIds,
    Received,
    count,
)

_MAX_BLOCKS = 1024  # of one answer that are open at a time or held back


class AnthropicReader(AnswerReader):
    """Reads the events of a message, and the complete message of a server that ignores `stream`.

    A call is given out with the end of its block if its arguments are an object; otherwise, and if it has none, only
    the finish reason shows whether it was cut.

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
        self._message_id: object = None
        self._has_content = False
        self._counts: dict[str, object] = {}
        self._open: dict[object, OpenBlock] = {}
        self._held: list[OpenBlock] = []

    @property
    def held_bytes(self) -> int:
        if not self._open and not self._held:
            return 0
        return sum(block.size_bytes for block in (*self._open.values(), *self._held))

    def take(self, document: object) -> Received:
        # Fast path for the common event.
        if type(document) is dict and document.get("type") == "content_block_delta":
            delta = document.get("delta")
            if (
                type(delta) is dict
                and delta.get("type") == "text_delta"
                and type(text := delta.get("text")) is str
            ):
                self._has_content = True
                return text
        return self._take_any(document)

    def _take_any(self, document: object) -> Sequence[AnswerEvent]:
        if type(document) is not dict:
            raise UnreadableAnswer("not an object")
        kind = document.get("type")
        if kind == "error" or document.get("error"):
            self._take_counts(document.get("usage"))
            raise ErrorInAnswer(document)
        match kind:
            case "content_block_delta":
                self._has_content = True
                return self._delta(document.get("index"), object_of(document.get("delta")))
            case "content_block_start":
                self._has_content = True
                return self._start(document.get("index"), object_of(document.get("content_block")))
            case "content_block_stop":
                block = self._open.pop(document.get("index"), None)
                return () if block is None else self._ended(block)
            case "message_start":
                self._take_start(object_of(document.get("message")))
            case "message_delta":
                self._take_counts(document.get("usage"))
                self._take_reason(object_of(document.get("delta")).get("stop_reason"))
            case "message_stop":
                self.done()
            case "message":
                return self._message(document)
            case "ping":
                pass
            case _ if not isinstance(kind, str):
                raise UnreadableAnswer("an event without a type")
        return ()

    def done(self) -> None:
        if self.finish_reason is None:
            self.finish_reason = FinishReason.STOP

    def rest(self) -> Sequence[AnswerEvent]:
        events: list[AnswerEvent] = []
        for block in list(self._open.values()):
            events += self._ended(block)
        self._open.clear()
        was_cut = self.finish_reason in (FinishReason.LENGTH, FinishReason.CONTENT_FILTER)
        held, self._held = self._held, []
        events += [
            block.call(self._new_call_id) for block in held if not was_cut or block.is_whole()
        ]
        return events

    def usage(self) -> Usage:
        counts = self._counts
        if not counts:
            return NO_USAGE
        # Cached tokens are not contained in the tokens of the input.
        cached = count(counts.get("cache_read_input_tokens"))
        written = count(counts.get("cache_creation_input_tokens"))
        parts = (count(counts.get("input_tokens")), cached, written)
        input_tokens = None if parts[0] is None else sum(part or 0 for part in parts)
        output_tokens = count(counts.get("output_tokens"))
        total_tokens = None
        if input_tokens is not None and output_tokens is not None:
            total_tokens = input_tokens + output_tokens
        return Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            reasoning_tokens=_count_in(counts.get("output_tokens_details"), "thinking_tokens"),
            total_tokens=total_tokens,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            hour_cache_write_tokens=_count_in(
                counts.get("cache_creation"), "ephemeral_1h_input_tokens"
            ),
        )

    def _take_start(self, message: dict[str, object]) -> None:
        """Take the start of the message; some servers send it twice."""
        message_id = message.get("id")
        if self._has_content and message_id != self._message_id:
            raise UnreadableAnswer("a message within a message")
        self._message_id = message_id
        self._take_counts(message.get("usage"))

    def _take_counts(self, counts: object) -> None:
        """Take counts, which correct those before them."""
        if isinstance(counts, dict):
            self._counts |= {name: value for name, value in counts.items() if value is not None}

    def _take_reason(self, reason: object) -> None:
        if is_unset(reason):
            return
        if type(reason) is not str:
            raise UnreadableAnswer("a stop reason that is not a string")
        meaning = finish_reason_of(reason)
        if meaning is None:
            self.is_reason_unknown = True
        elif self.finish_reason is not FinishReason.CONTENT_FILTER:
            self.finish_reason = meaning

    def _message(self, message: dict[str, object]) -> Sequence[AnswerEvent]:
        """Return the events of a complete message."""
        if self._has_content:
            raise UnreadableAnswer("a message within a message")
        self._take_start(message)
        content = message.get("content")
        if not isinstance(content, list):
            raise UnreadableAnswer("content of a wrong shape")
        events: list[AnswerEvent] = []
        for block in content:
            events += self._start(None, object_of(block))
            if (complete := self._open.pop(None, None)) is not None:
                events += self._ended(complete)
        self._has_content = True
        self._take_reason(message.get("stop_reason"))
        return events

    def _start(self, index: object, content: dict[str, object]) -> Sequence[AnswerEvent]:
        """Return the events of a block's start, which some servers send with content."""
        kind = content.get("type")
        if isinstance(index, list | dict) or index in self._open:
            raise UnreadableAnswer("a block within a block")
        if kind == "text":
            text = text_of(content.get("text"))
            return (text,) if text else ()
        if kind == "redacted_thinking":
            data = text_of(content.get("data"))
            return (self._reasoning_end({DATA: data}),)
        if kind not in ("thinking", "tool_use"):
            self.has_progress = True
            return ()
        if len(self._open) + len(self._held) >= _MAX_BLOCKS:
            raise UnreadableAnswer("too many blocks")
        block = OpenBlock(is_call=kind == "tool_use", names=self._names)
        self._open[index] = block
        if block.is_call:
            self.has_progress = True
            block.begin_call(content)
            return ()
        block.add(text_of(content.get("signature")))
        thinking = text_of(content.get("thinking"))
        return (ReasoningDelta(thinking),) if thinking else ()

    def _delta(self, index: object, delta: dict[str, object]) -> Sequence[AnswerEvent]:
        match delta.get("type"):
            case "thinking_delta":
                thinking = text_of(delta.get("thinking"))
                return (ReasoningDelta(thinking),) if thinking else ()
            case "signature_delta":
                self._block(index, is_call=False).add(text_of(delta.get("signature")))
            case "input_json_delta":
                self.has_progress = True
                self._block(index, is_call=True).add(text_of(delta.get("partial_json")))
            case "text_delta":
                raise UnreadableAnswer("a text that is not a string")
            case _:
                self.has_progress = True
        return ()

    def _block(self, index: object, *, is_call: bool) -> OpenBlock:
        block = None if isinstance(index, list | dict) else self._open.get(index)
        if block is None or block.is_call is not is_call:
            raise UnreadableAnswer("a part of a block that was not begun")
        return block

    def _ended(self, block: OpenBlock) -> Sequence[AnswerEvent]:
        """Return the events that the end of a block completes."""
        if not block.is_call:
            return (self._reasoning_end({SIGNATURE: block.text()}),)
        if self._held or not block.is_whole():
            self._held.append(block)
            return ()
        return (block.call(self._new_call_id),)

    def _reasoning_end(self, value: dict[str, object]) -> MetadataReceived:
        metadata = ProviderMetadata(kind=KIND, family=self._family, value=json_text(value))
        return MetadataReceived(metadata=metadata, is_reasoning=True)


def _count_in(details: object, name: str) -> int | None:
    return count(details.get(name)) if isinstance(details, dict) else None
