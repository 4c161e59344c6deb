"""A cache of the requests of logs that are being read: each page of a log contains its request, which may be long."""

from collections import OrderedDict
from threading import Lock

from domain.entities.background.answer import AnswerKey, BackgroundAnswer

MAX_BYTES = 16 * 1024 * 1024


class RequestCache:
    """Keeps the requests that were read last, as many as fit in `MAX_BYTES` of JSON. Requests never change.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._requests: OrderedDict[AnswerKey, tuple[BackgroundAnswer, int]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: AnswerKey) -> BackgroundAnswer | None:
        """Return the request of a log, if it is cached."""
        with self._lock:
            kept = self._requests.get(key)
            if kept is None:
                return None
            self._requests.move_to_end(key)
            return kept[0]

    def keep(self, answer: BackgroundAnswer, size_bytes: int) -> None:
        """Cache a request of this size, and remove the least recently read ones if there is no room."""
        with self._lock:
            self._drop(answer.key)
            if size_bytes > MAX_BYTES:
                return
            self._requests[answer.key] = (answer, size_bytes)
            self._bytes += size_bytes
            while self._bytes > MAX_BYTES:
                _, (_, removed_bytes) = self._requests.popitem(last=False)
                self._bytes -= removed_bytes

    def drop(self, key: AnswerKey) -> None:
        """Remove the request of a removed log."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: AnswerKey) -> None:
        kept = self._requests.pop(key, None)
        if kept is not None:
            self._bytes -= kept[1]
