"""The port of a store that an outbox can deliver to."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from domain.interfaces.history import HistoryRepository


class DurableStore(HistoryRepository, Protocol):
    """A repository that also reports erasures, for hosts that hold copies."""

    @abstractmethod
    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        """Return which of the user's interactions were erased, whether they ever came or not.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...
