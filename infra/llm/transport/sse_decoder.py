"""Decodes server-sent events into the JSON documents of a provider."""

from collections.abc import Iterator

import orjson

from infra.llm.transport.body_decoder import DONE, BodyDecoder
from infra.llm.transport.errors.answer_errors import ErrorInAnswer, UnreadableAnswer
from infra.llm.transport.json_document import parse

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON = (b"{", b"[")


class EventDecoder(BodyDecoder):
    """Splits a body of server-sent events into their data; a body that is plain JSON is one event.

    Lines end as the standard allows: in CR, LF or both. Comments, unknown fields, and events without data are ignored.
    Providers deviate from the format in three ways: one that ignores `stream` answers with a JSON document, Gemini
    sends an error in mid-stream as bare JSON, and others send it in a field named `error` or as the data of an event of
    that name. So a line that starts like JSON is read to the end of the body.

    Args:
        max_event_bytes: Longer events are refused, which bounds memory.

    Attributes:
        is_bare: The body, or its end, is JSON outside of events.
        is_foreign: The lines so far contain neither events nor JSON, as in a web page.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._unended: list[bytes] = []
        self._unended_bytes = 0
        self._is_at_start = True
        self._is_between_events = True
        self._ends_in_cr = False
        self._is_error = False
        self._has_events = False
        self._has_ignored_lines = False
        self.is_bare = False

    @property
    def is_foreign(self) -> bool:
        return self._has_ignored_lines and not self._has_events

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that `chunk` completes.

        Raises:
            ErrorInAnswer: The provider sent an error event; the events before it were yielded.
            UnreadableAnswer: An event is too long; the events before it were yielded.
        """
        if self._is_between_events and chunk.endswith(b"\n"):
            # Fast path for complete events of one line each. Counting bytes is far cheaper than splitting lines.
            returns = chunk.count(b"\r")
            events = chunk.split(b"\r\n\r\n" if returns else b"\n\n")
            is_complete = not events.pop()
            line_ends = 2 * len(events)
            if is_complete and chunk.count(b"\n") == line_ends and returns in (0, line_ends):
                data = [event[5:].strip() for event in events if event.startswith(b"data:")]
                if len(data) == len(events) and len(chunk) <= self._max_event_bytes and all(data):
                    self._is_at_start = False
                    self._has_events = True
                    return iter(data)
        return self._each(chunk)

    def end(self) -> Iterator[bytes]:
        """Yield the events that the end of the body completes; an incomplete event is not yielded.

        Raises:
            ErrorInAnswer: As `feed`.
        """
        if not (self._unended or self._data or self.is_bare):
            return  # the common end
        rest = b"".join(self._unended)
        if self._is_at_start:
            rest = rest.removeprefix(_BYTE_ORDER_MARK)
        if not self.is_bare and _is_bare_json(rest):
            self.is_bare = True
        elif not self.is_bare:
            name, _, value = rest.partition(b":")
            if name == b"data":
                self._data.append(value.strip())
            elif rest.strip() == DONE or (name == b"error" and _is_json(value)):
                yield from self._line(rest)
        if self._data:
            event = self._event()
            if event == DONE or (event and _is_json(event)):
                yield self._checked(event)
        if self.is_bare:
            yield rest

    def _each(self, chunk: bytes) -> Iterator[bytes]:
        if self._ends_in_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a line end
        self._ends_in_cr = chunk.endswith(b"\r")
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if self.is_bare or not end:
            self._buffer(chunk)
            return
        lines = b"".join((*self._unended, chunk[:end])).splitlines()
        self._unended.clear()
        self._unended_bytes = 0
        if self._is_at_start:
            self._is_at_start = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        for index, line in enumerate(lines):
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
                self._data_bytes += len(line)
            elif not line or line.isspace():
                if event := self._event():
                    yield self._checked(event)
                self._is_error = False
            elif _is_bare_json(line):
                if event := self._event():
                    yield self._checked(event)
                self.is_bare = True
                self._buffer(b"\n".join((*lines[index:], chunk[end:])))
                return
            else:
                yield from self._line(line)
        self._buffer(chunk[end:])
        self._is_between_events = not (
            self._unended or self._data or self._ends_in_cr or self._is_error or self.is_foreign
        )

    def _line(self, line: bytes) -> Iterator[bytes]:
        """Process a line that is neither data with a value nor blank."""
        name, colon, value = line.partition(b":")
        if not name and colon:
            return
        if line.strip() == DONE:
            yield DONE
        elif name == b"data":
            self._data.append(b"")
        elif name == b"event":
            self._is_error = value.strip() == b"error"
        elif name == b"error" and value.strip():
            raise ErrorInAnswer(_error_in(value.strip()))
        elif name not in (b"id", b"retry"):
            self._has_ignored_lines = True

    def _event(self) -> bytes:
        """Return the data of the current event; empty without data."""
        data = self._data
        if not data:
            return b""
        event = data[0] if len(data) == 1 else b"\n".join(data).strip()
        data.clear()
        self._data_bytes = 0
        self._has_events = True
        return event

    def _checked(self, event: bytes) -> bytes:
        if self._is_error and event != DONE:
            raise ErrorInAnswer(_error_in(event))
        return event

    def _buffer(self, part: bytes) -> None:
        if part:
            self._unended.append(part)
            self._unended_bytes += len(part)
        if self._unended_bytes + self._data_bytes > self._max_event_bytes:
            raise UnreadableAnswer("an event is too long")


def _is_bare_json(line: bytes) -> bool:
    line = line.strip()
    return line.startswith(_JSON) and line != DONE


def _is_json(event: bytes) -> bool:
    try:
        parse(event)
    except orjson.JSONDecodeError:
        return False
    return True


def _error_in(value: bytes) -> object:
    """Return an error in the shape of a refusal's body."""
    try:
        error = parse(value)
    except orjson.JSONDecodeError:
        error = value.decode(errors="replace")
    return error if isinstance(error, dict) else {"error": error}
