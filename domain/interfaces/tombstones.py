"""Port for reading which interactions were erased."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol


class Tombstones(Protocol):
    """Remembers erased interactions for as long as a copy of them may arrive."""

    @abstractmethod
    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        """Return the ids that were erased, of interactions that were stored before or not.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...
