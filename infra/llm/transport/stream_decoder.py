"""Decodes the body of an answer into events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orjson import JSONDecodeError, loads

from domain.entities.items import ToolCall
from domain.entities.reply import (
    CALL_PROGRESS,
    PROGRESS,
    AnswerEvent,
    AnswerProgress,
    FinishReason,
    MetadataReceived,
    ReasoningDelta,
    Reply,
    Usage,
)
from domain.exceptions import ContentBlocked, LLMUnavailable
from infra.llm.transport.body_decoder import DONE
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.errors.body import WireError
from infra.llm.transport.errors.mapping import refusal
from infra.llm.transport.json_document import (
    ends_in_half_a_character,
    parse_with_surrogates,
    whole_characters,
)
from infra.llm.transport.response_parser import AnswerReader, Received

_EVENT_OVERHEAD = 4  # a complete answer in one event, with JSON escapes and signatures of thoughts
_LEAST_EVENT_BYTES = 256 * 1024  # signatures do not shrink with the limit on answers

# On Python 3.11 a lookup in the class takes forty times as long, and these are made for every chat.
_ERROR = FinishReason.ERROR
_TOOL_CALLS = FinishReason.TOOL_CALLS


class ReceivedAnswer:
    """Decodes a body chunk by chunk; uses no network and no clock.

    Args:
        provider: The provider's name in the catalogue.
        reader: A new reader.
        headers: Of the response; used for a refusal inside it.
        max_bytes: In UTF-8; longer answers are cut.
        may_be_empty: The prompt ends with a partial answer, which may have been complete.
        may_call: The request offered tools; otherwise a call is invalid.

    Attributes:
        is_over: No more chunks are needed; `end` returns the rest.
        is_finished: The provider sent a finish reason. Counts and more text may follow.
        has_event: The last chunk completed an event; comments do not count.
        was_cut: The answer was too long, and the provider may still be sending.
    """

    def __init__(
        self,
        provider: str,
        reader: AnswerReader,
        headers: Mapping[str, str],
        *,
        max_bytes: int,
        may_be_empty: bool = False,
        may_call: bool = False,
    ) -> None:
        self._provider = provider
        self._reader = reader
        self._headers = headers
        self._most_bytes = self._room_bytes = max_bytes
        self._decoder = reader.new_decoder(max(_EVENT_OVERHEAD * max_bytes, _LEAST_EVENT_BYTES))
        self._has_text = may_be_empty
        self._may_call = may_call
        self._has_call = False
        self._failure: Exception | None = None
        self._half = ""  # the first half of a character whose other half may be in the next text
        self._has_surrogates = False
        self.is_over = False
        self.was_cut = False
        self.has_event = False

    @property
    def is_finished(self) -> bool:
        return self._reader.finish_reason is not None or self._reader.is_reason_unknown

    @property
    def progress(self) -> AnswerProgress | None:
        """The event of a chunk without text that shows the model at work; None if the last chunk showed nothing."""
        if not self._reader.has_progress:
            return None
        return CALL_PROGRESS if self._may_call and self._reader.held_bytes else PROGRESS

    @property
    def refusal_body(self) -> object:
        """The body of an error that arrived in place of an answer; None without one, or after text."""
        has_text = self._room_bytes < self._most_bytes
        if isinstance(self._failure, ErrorInAnswer) and not has_text:
            return self._failure.body
        return None

    def take(self, chunk: bytes) -> Received:
        """Return the text or the events that `chunk` completes; an empty chunk is the end of the body.

        Never raises: events before a failure count, so `end` raises it.
        """
        text = ""
        events: list[AnswerEvent] = []
        reader = self._reader
        reader.has_progress = has_event = False
        take_document = reader.take
        try:
            for event in self._decoder.feed(chunk) if chunk else self._decoder.end():
                try:
                    document = loads(event)
                except JSONDecodeError as exc:
                    if event == DONE:  # here, since it is not JSON and comes once
                        reader.done()
                        self.is_over = True
                        break
                    document = parse_with_surrogates(event, exc)
                    self._has_surrogates = True
                received = take_document(document)
                if type(received) is str:
                    text += received
                else:
                    if text:
                        events.append(text)
                        text = ""
                    events += received
                has_event = True
        except (ErrorInAnswer, UnreadableAnswer, JSONDecodeError) as exc:
            self._failure = exc
        self.has_event = has_event
        if not chunk or self._failure or reader.finish_reason is _ERROR:
            self.is_over = True
        if reader.held_bytes > self._room_bytes:
            self.was_cut = self.is_over = True
        if events:
            if text or (self.is_over and self._half):
                events.append(text)
            return self._accepted(events)
        if self._has_surrogates:
            text = self._joined(text)
        return self._fit(text) if text else ""

    def end(self, cost: Callable[[Usage], Usage]) -> Sequence[AnswerEvent]:
        """Return the last events of the answer, a `Reply` with its cost added by `cost` at the end.

        Raises:
            LLMError: The answer failed; its events were returned before.
            UnreadableAnswer: It has a wrong shape.
            JSONDecodeError: It is not JSON.
        """
        rest: list[AnswerEvent] = []
        is_usable = self._failure is None and not self.was_cut
        if is_usable and self._reader.finish_reason is not _ERROR:
            rest = self._accepted(self._reader.rest())
        finish_reason = FinishReason.LENGTH if self.was_cut else self._finish_reason()
        reply = Reply(
            finish_reason=finish_reason,
            usage=cost(self._reader.usage()),
            was_cut_at_limit=self.was_cut,
        )
        return (*rest, reply)

    def _accepted(self, events: Sequence[AnswerEvent]) -> list[AnswerEvent]:
        """Return `events` as far as they fit; sizes count, and calls are checked against the request."""
        accepted: list[AnswerEvent] = []
        for event in events:
            if self.was_cut:
                break
            if isinstance(event, str):
                text = self._joined(event) if self._has_surrogates else event
                if text and (fitting := self._fit(text)):
                    accepted.append(fitting)
            elif isinstance(event, ToolCall):
                if not self._may_call:
                    self._failure = UnreadableAnswer("a call although no tools were offered")
                    self.is_over = True
                    break
                call = _with_whole_characters(event)
                size_bytes = len(call.arguments.encode())
                if event.metadata is not None:
                    size_bytes += len(event.metadata.value)
                if self._takes(size_bytes):
                    self._has_call = True
                    accepted.append(call)
            elif isinstance(event, ReasoningDelta):
                reasoning = whole_characters(event.text)
                if self._takes(len(reasoning.encode())):
                    accepted.append(event if reasoning == event.text else ReasoningDelta(reasoning))
            elif not isinstance(event, MetadataReceived) or self._takes(len(event.metadata.value)):
                accepted.append(event)
        return accepted

    def _takes(self, size_bytes: int) -> bool:
        """Return whether so many bytes still fit; the answer is cut before an item that does not."""
        if size_bytes > self._room_bytes:
            self.was_cut = self.is_over = True
            return False
        self._room_bytes -= size_bytes
        return True

    def _finish_reason(self) -> FinishReason:
        finish_reason = self._reader.finish_reason
        if self._failure is not None and finish_reason is not FinishReason.CONTENT_FILTER:
            return self._failed(self._failure)
        if self._has_call and finish_reason is FinishReason.STOP:
            finish_reason = _TOOL_CALLS
        elif not self._has_call and finish_reason is _TOOL_CALLS:
            finish_reason = FinishReason.STOP
        if finish_reason is None:
            if self._decoder.is_bare or self._decoder.is_foreign:
                raise UnreadableAnswer("no answer in it")
            if self._reader.is_reason_unknown:
                raise LLMUnavailable(
                    f"{self._provider} stopped for a reason unknown", http_status=200
                )
            raise LLMUnavailable(
                f"{self._provider} broke off", connection_broke=True, http_status=200
            )
        if finish_reason is _ERROR:
            raise LLMUnavailable(f"{self._provider} gave up", http_status=200)
        if not self._has_text and not self._has_call:
            if finish_reason is FinishReason.CONTENT_FILTER:
                raise ContentBlocked(f"{self._provider} blocked it", http_status=200)
            if finish_reason is FinishReason.STOP:
                raise LLMUnavailable(f"{self._provider} sent no text", http_status=200)
        return finish_reason

    def _failed(self, failure: Exception) -> FinishReason:
        if not isinstance(failure, ErrorInAnswer):
            raise failure
        status = WireError.parse(failure.body).status or 200
        error = refusal(self._provider, status, failure.body, self._headers)
        if isinstance(error, ContentBlocked) and (self._has_text or self._has_call):
            return FinishReason.CONTENT_FILTER
        raise error from failure

    def _joined(self, text: str) -> str:
        """Return `text` with complete characters; hold back a half that the next text may complete."""
        if not text and not self.is_over:
            return ""
        text = self._half + text
        self._half = ""
        if ends_in_half_a_character(text) and not self.is_over:
            text, self._half = text[:-1], text[-1]
        self._has_surrogates = bool(self._half)
        return whole_characters(text)

    def _fit(self, text: str) -> str:
        self._has_text = True
        size_bytes = len(text) if text.isascii() else len(text.encode())
        if size_bytes > self._room_bytes:
            text = text.encode()[: self._room_bytes].decode(errors="ignore")
            self.was_cut = self.is_over = True
        self._room_bytes -= size_bytes
        return text


def _with_whole_characters(call: ToolCall) -> ToolCall:
    """Return `call` without lone surrogates, which no store can hold."""
    if call.id.isascii() and call.name.isascii() and call.arguments.isascii():
        return call
    return replace(
        call,
        id=whole_characters(call.id),
        name=whole_characters(call.name),
        arguments=whole_characters(call.arguments),
    )
