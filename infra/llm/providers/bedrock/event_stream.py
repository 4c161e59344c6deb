"""Decodes AWS's event streams into JSON documents."""

from collections.abc import Iterator

import orjson
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from infra.llm.transport.body_decoder import BodyDecoder
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.sse_decoder import EventDecoder


class EventStreamDecoder(BodyDecoder):
    """Splits a body of framed messages into documents, each an object of the event's type and its payload.

    The checksums of each message are verified. A body that is JSON, as of an answer that is not streamed, is one
    document: its first byte cannot begin a message, which would be two gigabytes long.

    Args:
        max_event_bytes: Longer messages are refused, which bounds memory.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = EventStreamBuffer()
        self._buffered_bytes = 0
        self._is_at_start = True
        self._document: EventDecoder | None = None
        self.is_bare = False

    @property
    def is_foreign(self) -> bool:
        return False  # a body that is not an event stream fails the first checksum

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._is_at_start and chunk:
            self._is_at_start = False
            if chunk[:1].isspace() or chunk[:1] == b"{":
                self._document = EventDecoder(self._max_event_bytes)
        if self._document is not None:
            yield from self._document.feed(chunk)
            return
        self._buffer.add_data(chunk)
        self._buffered_bytes += len(chunk)
        try:
            for message in self._buffer:
                self._buffered_bytes -= message.prelude.total_length
                yield _document_of(message)
        except (ParserError, UnicodeDecodeError, LookupError) as exc:
            raise UnreadableAnswer("a damaged event stream") from exc
        if self._buffered_bytes > self._max_event_bytes:
            raise UnreadableAnswer("an event is too long")

    def end(self) -> Iterator[bytes]:
        if self._document is not None:
            yield from self._document.end()
            self.is_bare = self._document.is_bare


def _document_of(message: EventStreamMessage) -> bytes:
    headers = message.headers
    kind = headers.get(":message-type")
    if kind == "event":
        return b"{%b:%b}" % (_name(headers.get(":event-type")), message.payload or b"{}")
    if kind == "exception":
        raise ErrorInAnswer(_error(headers.get(":exception-type"), _text_in(message.payload)))
    if kind == "error":
        raise ErrorInAnswer(_error(headers.get(":error-code"), headers.get(":error-message")))
    raise UnreadableAnswer("a message of an unknown type")


def _name(event_type: object) -> bytes:
    if not isinstance(event_type, str):
        raise UnreadableAnswer("an event without a type")
    return orjson.dumps(event_type)


def _error(name: object, text: object) -> dict[str, object]:
    """Return an error in the shape of a refusal's body, under the name that refusals have for it."""
    name = name if isinstance(name, str) else ""
    return {"error": {"type": name[:1].upper() + name[1:], "message": text}}


def _text_in(payload: bytes) -> object:
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return document.get("message") if isinstance(document, dict) else None
