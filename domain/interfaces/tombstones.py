"""What was erased, for those who hold copies."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol


class Tombstones(Protocol):
    """Remembers what was erased for as long as a copy may turn up."""

    @abstractmethod
    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        """Return which of the user's interactions were erased, whether they ever came or not.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...
