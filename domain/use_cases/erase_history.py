"""Forget."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from domain.exceptions import HistoryUnreadable, IdempotencyUnavailable
from domain.interfaces.history import HistoryRepository
from domain.interfaces.idempotency import IdempotencyStore


@dataclass(frozen=True, slots=True)
class EraseHistory:
    """Erases one interaction or all of a user's, with the keys that led to them; writes still on their way lose.

    Attributes:
        new_id: Makes an id not below any made before in this process: its time is "now".
    """

    history: HistoryRepository
    claims: IdempotencyStore
    new_id: Callable[[], str]

    async def one(self, user_id: str, interaction_id: str) -> None:
        """Erase one; that there is none is no error.

        Raises:
            HistoryUnreadable: The store is away; nothing was done.
        """
        # The key first: one that outlived its interaction would run again as an id that stays erased.
        with _one_store_away():
            await self.claims.forget_interaction(user_id, interaction_id)
        await self.history.erase(user_id, interaction_id)

    async def all(self, user_id: str) -> int:
        """Erase everything up to now and return how many there were; the second time that is 0.

        Raises:
            HistoryUnreadable: The store is away. Asked again, the erasure is carried out to its end.
        """
        until_id = (
            self.new_id()
        )  # one bound for both: what begins after it keeps its key and its record
        with _one_store_away():
            await self.claims.forget_user(user_id, until_id)
        erased = await self.history.erase_all(user_id, until_id)
        # A chat that began before the bound may have claimed its key meanwhile; its record is erased too.
        with _one_store_away():
            await self.claims.forget_user(user_id, until_id)
        return erased


@contextmanager
def _one_store_away() -> Iterator[None]:
    """Tell of keys that cannot be erased as of history that cannot: to a caller they are one."""
    try:
        yield
    except IdempotencyUnavailable as exc:
        raise HistoryUnreadable("keys cannot be erased") from exc
