"""From bytes as the network cuts them to the JSON documents a provider sent."""

from collections.abc import Iterator

import orjson

from infra.llm.answer_reader import UnreadableAnswer

DONE = b"[DONE]"
"""The data that says OpenAI's streams are over; the one event that is not JSON."""

_IGNORED = (b":", b"event", b"id", b"retry")
_JSON = (b"{", b"[")
_BLANK = frozenset({b"", b"\r"})


class EventDecoder:
    """Splits a body of server-sent events into their data; a body that is plain JSON is one event.

    Providers leave the format in two ways: one that ignores `stream` answers with a JSON document, and Gemini puts an
    error that occurs in mid stream into it as bare JSON. So what starts like JSON where a field should be is read
    to the end of the body. Any other unknown line is refused rather than skipped, as it may be text that got lost.

    Args:
        max_event_bytes: A longer event is refused, so that memory stays bounded.

    Attributes:
        is_bare: The body, or its end, is JSON without the format of events.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._unended: list[bytes] = []
        self._unended_bytes = 0
        self.is_bare = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that `chunk` completes.

        Raises:
            UnreadableAnswer: Neither events nor JSON, or an event too long; those before it were yielded.
        """
        if not (self._unended or self._data or self.is_bare):
            lines = chunk.split(b"\n")
            if not lines[-1] and _BLANK.issuperset(lines[1::2]):
                data = [line[5:].strip() for line in lines[:-1:2] if line.startswith(b"data:")]
                if len(data) * 2 == len(lines) - 1 and len(chunk) <= self._max_event_bytes:
                    return iter(data)  # whole events of one line each, and nothing else: the rule
        return self._each(chunk)

    def _each(self, chunk: bytes) -> Iterator[bytes]:
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline or self.is_bare:
            self._keep(chunk)
            return
        if self._unended:
            head = b"".join((*self._unended, head))
            self._unended.clear()
            self._unended_bytes = 0
        lines = head.split(b"\n")
        for index, line in enumerate(lines):
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
                self._data_bytes += len(line)
            elif not line.strip():
                if self._data:
                    yield self._event()
            elif line.lstrip().startswith(_JSON):
                self.is_bare = True
                self._keep(b"\n".join((*lines[index:], tail)))
                return
            elif not line.startswith(_IGNORED):
                raise UnreadableAnswer("neither events nor JSON")
        self._keep(tail)

    def end(self) -> Iterator[bytes]:
        """Yield what the end of the body completes. An event that was cut in two is none, and not yielded."""
        rest = b"".join(self._unended)
        if self.is_bare or rest.lstrip().startswith(_JSON):
            self.is_bare = True
            yield rest
            return
        if rest.startswith(b"data:"):
            self._data.append(rest[5:].strip())
        if self._data:
            event = self._event()
            if event == DONE or _is_json(event):
                yield event

    def _event(self) -> bytes:
        event = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._data_bytes = 0
        return event

    def _keep(self, part: bytes) -> None:
        if part:
            self._unended.append(part)
            self._unended_bytes += len(part)
        if self._unended_bytes + self._data_bytes > self._max_event_bytes:
            raise UnreadableAnswer("an event is too long")


def _is_json(event: bytes) -> bool:
    try:
        orjson.loads(event)
    except orjson.JSONDecodeError:
        return False
    return True
