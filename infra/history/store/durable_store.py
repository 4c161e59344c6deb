"""The port of a store that an outbox can deliver to."""

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from domain.interfaces.history import HistoryRepository, UsageReader
from infra.history.store.visibility import wait_until_found


class DurableStore(HistoryRepository, UsageReader, Protocol):
    """A repository that also adds up the usage of all users, and reports erasures, for hosts that hold copies."""

    @abstractmethod
    async def erased_among(self, user_id: str, interaction_ids: Sequence[str]) -> frozenset[str]:
        """Return which of the user's interactions were erased, whether they were ever stored or not.

        Raises:
            HistoryUnreadable: The store cannot be read.
        """
        ...

    async def wait_for(self, user_id: str, interaction_id: str, *, seconds: float) -> bool:
        # Other hosts write to the store, which sends no notifications, so it is polled.
        return await wait_until_found(
            partial(self.find, user_id, interaction_id), seconds=seconds, appended=asyncio.Event()
        )
