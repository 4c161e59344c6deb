"""An answer as far as it has come, and what it came to."""

from collections.abc import Callable, Mapping

import orjson

from domain.entities.reply import FinishReason, Reply, Usage
from domain.exceptions import ContentBlocked, LLMUnavailable
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.errors.body import WireError
from infra.llm.transport.errors.mapping import refusal
from infra.llm.transport.json_document import (
    ends_in_half_a_character,
    parse_with_surrogates,
    whole_characters,
)
from infra.llm.transport.response_parser import AnswerReader
from infra.llm.transport.sse_decoder import DONE, EventDecoder

_EVENT_OVERHEAD = 4  # a whole answer in one event: JSON's escapes, signatures of thoughts beside it
_LEAST_EVENT_BYTES = 256 * 1024  # signatures do not shrink with the limit on answers


class ReceivedAnswer:
    """Takes a body piece by piece and gives out its text; no network, no clock.

    Args:
        provider: Its name in the catalogue.
        reader: New, for this answer.
        headers: The answer's; a refusal inside it is read with them.
        max_bytes: In UTF-8; a longer answer is cut there.
        may_be_empty: The model was asked to go on from a text that may have been whole already.

    Attributes:
        is_over: Nothing more is to be taken; `reply` says how it ended.
        is_finished: The provider gave its reason for stopping. Counts may still come, and even more text.
        has_event: The last chunk completed one, which a comment is not.
        has_progress: The last chunk showed that the model is at work, in an event without text.
        was_cut: It grew too long, and the provider may still be talking.
    """

    def __init__(
        self,
        provider: str,
        reader: AnswerReader,
        headers: Mapping[str, str],
        *,
        max_bytes: int,
        may_be_empty: bool = False,
    ) -> None:
        self._provider = provider
        self._reader = reader
        self._headers = headers
        self._most_bytes = self._room_bytes = max_bytes
        self._decoder = EventDecoder(max(_EVENT_OVERHEAD * max_bytes, _LEAST_EVENT_BYTES))
        self._has_text = may_be_empty
        self._failure: Exception | None = None
        self._half = ""  # the first half of a character whose other half may come in the next text
        self._has_surrogates = False
        self.is_over = False
        self.was_cut = False
        self.has_event = False

    @property
    def is_finished(self) -> bool:
        return self._reader.finish_reason is not None or self._reader.is_reason_unknown

    @property
    def has_progress(self) -> bool:
        return self._reader.has_progress

    @property
    def refusal_body(self) -> object:
        """The body of an error that came instead of an answer; None where none did, or text came before it."""
        has_text = self._room_bytes < self._most_bytes
        if isinstance(self._failure, ErrorInAnswer) and not has_text:
            return self._failure.body
        return None

    def take(self, chunk: bytes) -> str:
        """Return the text that `chunk` completes, events joined; an empty chunk is the end of the body.

        Never raises: text that came before a failure counts, so `reply` tells of it.
        """
        text = ""
        reader = self._reader
        reader.has_progress = self.has_event = False
        try:
            for event in self._decoder.feed(chunk) if chunk else self._decoder.end():
                if event == DONE:
                    reader.done()
                    self.is_over = True
                    break
                try:
                    document = orjson.loads(event)
                except orjson.JSONDecodeError as exc:
                    document = parse_with_surrogates(event, exc)
                    self._has_surrogates = True
                text += reader.take(document)
                self.has_event = True
        except (ErrorInAnswer, UnreadableAnswer, orjson.JSONDecodeError) as exc:
            self._failure = exc
        if not chunk or self._failure or reader.finish_reason is FinishReason.ERROR:
            self.is_over = True
        if self._has_surrogates:
            text = self._joined(text)
        return self._fit(text) if text else ""

    def reply(self, cost: Callable[[Usage], Usage]) -> Reply:
        """Return how the answer ended, its usage passed through `cost`.

        Raises:
            LLMError: It did not end well; what text there was has been given out.
            UnreadableAnswer: It makes no sense.
            orjson.JSONDecodeError: It is not JSON.
        """
        finish_reason = FinishReason.LENGTH if self.was_cut else self._finish_reason()
        return Reply(
            finish_reason=finish_reason,
            usage=cost(self._reader.usage()),
            was_cut_at_limit=self.was_cut,
        )

    def _finish_reason(self) -> FinishReason:
        finish_reason = self._reader.finish_reason
        if self._failure is not None and finish_reason is not FinishReason.CONTENT_FILTER:
            return self._failed(self._failure)
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
        if finish_reason is FinishReason.ERROR:
            raise LLMUnavailable(f"{self._provider} gave up", http_status=200)
        if not self._has_text:
            if finish_reason is FinishReason.CONTENT_FILTER:
                raise ContentBlocked(f"{self._provider} blocked it", http_status=200)
            if finish_reason is FinishReason.STOP:
                raise LLMUnavailable(f"{self._provider} said nothing", http_status=200)
        return finish_reason

    def _failed(self, failure: Exception) -> FinishReason:
        if not isinstance(failure, ErrorInAnswer):
            raise failure
        status = WireError.parse(failure.body).status or 200
        error = refusal(self._provider, status, failure.body, self._headers)
        if isinstance(error, ContentBlocked) and self._has_text:
            return FinishReason.CONTENT_FILTER
        raise error from failure

    def _joined(self, text: str) -> str:
        """Return `text` with characters whole, and keep back a half that the next text may complete."""
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
