"""Amazon Bedrock's JSON: events of `ConverseStream`, and the answer of `Converse`."""

from base64 import b64decode, b64encode
from binascii import Error as InvalidBase64
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
from infra.llm.providers.bedrock.event_stream import EventStreamDecoder
from infra.llm.providers.bedrock.request import DATA, KIND, SIGNATURE
from infra.llm.transport.body_decoder import BodyDecoder
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


class BedrockReader(AnswerReader):
    """Reads the events of a stream, and the complete answer of a model that does not stream.

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
        self._counts: dict[str, object] = {}
        self._open: dict[object, OpenBlock] = {}
        self._encrypted: dict[object, list[str]] = {}
        self._held: list[OpenBlock] = []
        self._encrypted_bytes = 0

    def new_decoder(self, max_event_bytes: int) -> BodyDecoder:
        return EventStreamDecoder(max_event_bytes)

    @property
    def held_bytes(self) -> int:
        if not self._open and not self._held and not self._encrypted_bytes:
            return 0
        blocks = (*self._open.values(), *self._held)
        return self._encrypted_bytes + sum(block.size_bytes for block in blocks)

    def take(self, document: object) -> Received:
        # Fast path for the common event.
        if type(document) is dict and type(event := document.get("contentBlockDelta")) is dict:
            delta = event.get("delta")
            if type(delta) is dict and type(text := delta.get("text")) is str:
                return text
        return self._take_any(document)

    def _take_any(self, document: object) -> Sequence[AnswerEvent]:
        if type(document) is not dict:
            raise UnreadableAnswer("not an object")
        if document.get("error"):
            raise ErrorInAnswer(document)
        if "output" in document:
            return self._whole(document)
        events: list[AnswerEvent] = []
        for kind, event in document.items():
            match kind:
                case "contentBlockDelta":
                    fields = object_of(event)
                    index, delta = fields.get("contentBlockIndex"), object_of(fields.get("delta"))
                    events += self._delta(_index(index), delta)
                case "contentBlockStart":
                    fields = object_of(event)
                    start = object_of(fields.get("start"))
                    self._start(_index(fields.get("contentBlockIndex")), start)
                case "contentBlockStop":
                    events += self._stopped(_index(object_of(event).get("contentBlockIndex")))
                case "messageStop":
                    self._take_reason(object_of(event).get("stopReason"))
                case "metadata":
                    self._take_counts(object_of(event).get("usage"))
        return events

    def done(self) -> None:
        """Do nothing: the API ends a stream with its body, after the stop reason."""

    def rest(self) -> Sequence[AnswerEvent]:
        events: list[AnswerEvent] = []
        for index in (*self._open, *self._encrypted):
            events += self._stopped(index)
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
        # Cached tokens are not contained in the tokens of the input, but in the total.
        cached = count(counts.get("cacheReadInputTokens"))
        written = count(counts.get("cacheWriteInputTokens"))
        parts = (count(counts.get("inputTokens")), cached, written)
        input_tokens = None if parts[0] is None else sum(part or 0 for part in parts)
        output_tokens = count(counts.get("outputTokens"))
        total_tokens = count(counts.get("totalTokens"))
        if input_tokens is not None and output_tokens is not None:
            total_tokens = input_tokens + output_tokens
        return Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            total_tokens=total_tokens,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            hour_cache_write_tokens=_hour_writes(counts.get("cacheDetails")),
        )

    def _take_counts(self, counts: object) -> None:
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

    def _whole(self, document: dict[str, object]) -> Sequence[AnswerEvent]:
        """Return the events of a complete answer."""
        content = object_of(object_of(document.get("output")).get("message")).get("content")
        if not isinstance(content, list):
            raise UnreadableAnswer("content of a wrong shape")
        events: list[AnswerEvent] = []
        for index, each in enumerate(content):
            block = object_of(each)
            if text := text_of(block.get("text")):
                events.append(text)
            elif (call := block.get("toolUse")) is not None:
                self._begin(index, is_call=True).begin_call(_call(object_of(call)))
            elif (reasoning := block.get("reasoningContent")) is not None:
                fields = object_of(reasoning)
                if "reasoningText" in fields:
                    fields = object_of(fields["reasoningText"])
                for name, value in fields.items():
                    events += self._reasoning(index, {name: value})
            events += self._stopped(index)
        self._take_counts(document.get("usage"))
        self._take_reason(document.get("stopReason"))
        return events

    def _start(self, index: object, start: dict[str, object]) -> None:
        self.has_progress = True
        if "toolUse" in start:
            self._begin(index, is_call=True).begin_call(_call(object_of(start["toolUse"])))

    def _begin(self, index: object, *, is_call: bool) -> OpenBlock:
        if index in self._open:
            raise UnreadableAnswer("a block within a block")
        if len(self._open) + len(self._held) + len(self._encrypted) >= _MAX_BLOCKS:
            raise UnreadableAnswer("too many blocks")
        block = self._open[index] = OpenBlock(is_call=is_call, names=self._names)
        return block

    def _delta(self, index: object, delta: dict[str, object]) -> Sequence[AnswerEvent]:
        if "reasoningContent" in delta:
            return self._reasoning(index, object_of(delta["reasoningContent"]))
        if "text" in delta:
            raise UnreadableAnswer("a text that is not a string")
        self.has_progress = True
        if "toolUse" in delta:
            block = self._open.get(index)
            if block is None or not block.is_call:
                raise UnreadableAnswer("a part of a call that was not begun")
            block.add(text_of(object_of(delta["toolUse"]).get("input")))
        return ()

    def _reasoning(self, index: object, reasoning: dict[str, object]) -> Sequence[AnswerEvent]:
        if data := text_of(reasoning.get("redactedContent")):
            if index not in self._encrypted and len(self._encrypted) >= _MAX_BLOCKS:
                raise UnreadableAnswer("too many blocks")
            self._encrypted.setdefault(index, []).append(data)
            self._encrypted_bytes += len(data.encode(errors="surrogatepass"))
            self.has_progress = True
        if signature := text_of(reasoning.get("signature")):
            block = self._open.get(index) or self._begin(index, is_call=False)
            if block.is_call:
                raise UnreadableAnswer("reasoning within a call")
            block.add(signature)
        text = text_of(reasoning.get("text"))
        return (ReasoningDelta(text),) if text else ()

    def _stopped(self, index: object) -> Sequence[AnswerEvent]:
        """Return the events that the end of a block completes."""
        events: list[AnswerEvent] = []
        if (parts := self._encrypted.pop(index, None)) is not None:
            self._encrypted_bytes -= sum(len(part.encode(errors="surrogatepass")) for part in parts)
            events.append(self._reasoning_end({DATA: _joined(parts)}))
        block = self._open.pop(index, None)
        if block is None:
            return events
        if not block.is_call:
            events.append(self._reasoning_end({SIGNATURE: block.text()}))
        elif self._held or not block.is_whole():
            self._held.append(block)
        else:
            events.append(block.call(self._new_call_id))
        return events

    def _reasoning_end(self, value: dict[str, object]) -> MetadataReceived:
        metadata = ProviderMetadata(kind=KIND, family=self._family, value=json_text(value))
        return MetadataReceived(metadata=metadata, is_reasoning=True)


def _call(fields: dict[str, object]) -> dict[str, object]:
    return {**fields, "id": fields.get("toolUseId")}


def _index(index: object) -> object:
    if isinstance(index, list | dict):
        raise UnreadableAnswer("an index of a wrong shape")
    return index


def _joined(parts: Sequence[str]) -> str:
    """Return the base64 of encrypted reasoning; that of a single part as it came."""
    if len(parts) == 1:
        return parts[0]
    try:
        return b64encode(b"".join(b64decode(part, validate=True) for part in parts)).decode()
    except (InvalidBase64, ValueError) as exc:
        raise UnreadableAnswer("encrypted reasoning that is not base64") from exc


def _hour_writes(details: object) -> int | None:
    """Return the tokens that were written for an hour, of the counts by time to live."""
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and detail.get("ttl") == "1h":
            return count(detail.get("inputTokens"))
    return None
