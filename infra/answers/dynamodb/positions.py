"""Positions at which readers of logs in DynamoDB continue."""

from collections import OrderedDict
from collections.abc import Sequence

from domain.entities.background.answer import AnswerKey
from infra.answers.logs import StoredChunk

MAX_POSITIONS = 4096


class Positions:
    """Remembers the chunk where a reader continues, so that a page does not read the log from its beginning."""

    def __init__(self) -> None:
        self._by_number: OrderedDict[tuple[AnswerKey, int], int] = OrderedDict()

    def get(self, key: AnswerKey, after: int) -> int:
        """Return a position before which there are no events with numbers greater than `after`."""
        position = self._by_number.get((key, after), 0)
        if position:
            self._by_number.move_to_end((key, after))
        return position

    def note(
        self, key: AnswerKey, chunks: Sequence[StoredChunk], *, after: int, limit: int
    ) -> None:
        """Remember where a reader continues that has received up to `limit` events after a number, from these chunks."""
        if not chunks:
            return
        number = min(after + limit, chunks[-1].next_number - 1)
        positions = (chunk.position for chunk in chunks if chunk.next_number > number + 1)
        self._by_number[key, number] = next(positions, chunks[-1].position + 1)
        if len(self._by_number) > MAX_POSITIONS:
            self._by_number.popitem(last=False)
