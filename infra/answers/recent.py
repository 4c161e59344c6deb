"""The chunks that this process wrote last, for readers in the same process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from domain.entities.background.answer import AnswerKey, BackgroundAnswer
from domain.entities.background.log import LogPage
from infra.answers.chunks import Chunk, page_of


class RecentChunks:
    """Keeps the last stored chunk of each log that is being watched, so that its reader does not read the store again.

    Events never change, so a cached chunk equals the stored one; only the store shows whether there are more events.
    """

    def __init__(self) -> None:
        self._watched: Counter[AnswerKey] = Counter()
        self._chunks: dict[AnswerKey, Chunk] = {}

    @contextmanager
    def watch(self, key: AnswerKey) -> Iterator[None]:
        """Keep the chunks of a log while the block runs."""
        self._watched[key] += 1
        try:
            yield
        finally:
            self._watched[key] -= 1
            if not self._watched[key]:
                del self._watched[key]
                self.drop(key)

    def keep(self, chunk: Chunk) -> None:
        """Keep a chunk that is stored, in place of the one before; no-op if the log is not watched."""
        if chunk.key in self._watched:
            self._chunks[chunk.key] = chunk

    def drop(self, key: AnswerKey) -> None:
        """Remove the chunk of a removed log."""
        self._chunks.pop(key, None)

    def page(self, answer: BackgroundAnswer, *, after: int, limit: int) -> LogPage | None:
        """Return the events that follow `after`; None if they are not in the cached chunk."""
        chunk = self._chunks.get(answer.key)
        if chunk is None or not chunk.first_number <= after + 1 < chunk.next_number:
            return None
        return page_of(
            answer,
            [(chunk.first_number, chunk.body)],
            after=after,
            limit=limit,
            end_number=chunk.next_number if chunk.is_last else None,
        )
