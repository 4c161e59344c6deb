"""Forget."""

from collections.abc import Callable
from dataclasses import dataclass

from domain.interfaces.history import HistoryRepository


@dataclass(frozen=True, slots=True)
class EraseHistory:
    """Erases one interaction or all of a user's; writes still on their way lose.

    Attributes:
        new_id: Makes an id not below any made before in this process: its time is "now".
    """

    history: HistoryRepository
    new_id: Callable[[], str]

    async def one(self, user_id: str, interaction_id: str) -> None:
        """Erase one; that there is none is no error.

        Raises:
            HistoryUnreadable: The store is away; nothing was done.
        """
        await self.history.erase(user_id, interaction_id)

    async def all(self, user_id: str) -> int:
        """Erase everything up to now and return how many there were; the second time that is 0.

        Raises:
            HistoryUnreadable: The store is away; nothing was done.
        """
        return await self.history.erase_all(user_id, self.new_id())
