"""Who is carrying out which request."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord


class IdempotencyStore(Protocol):
    """Keeps one claim for each key, for all processes that share the store.

    Every method may raise `IdempotencyUnavailable`; whether anything was changed is not known then.
    """

    @abstractmethod
    async def claim(
        self, key: IdempotencyKey, claim: IdempotencyRecord, *, now_milliseconds: int
    ) -> IdempotencyRecord | None:
        """Keep `claim`, unless there is one that has not expired.

        Of any number who call this at the same time one gets None; by then its claim survives a crash.

        Returns:
            None when `claim` is kept now, else the one that is.
        """
        ...

    @abstractmethod
    async def replace(
        self, key: IdempotencyKey, seen: IdempotencyRecord, claim: IdempotencyRecord
    ) -> bool:
        """Keep `claim` instead of `seen`; return False, and change nothing, when another is kept by now."""
        ...

    @abstractmethod
    async def release(self, key: IdempotencyKey, claim: IdempotencyRecord) -> None:
        """Forget `claim`, so that the key is free; nothing happens when another is kept by now."""
        ...

    @abstractmethod
    async def forget_interaction(self, user_id: str, interaction_id: str) -> None:
        """Forget the user's claim that became this interaction, if there is one."""
        ...

    @abstractmethod
    async def forget_user(self, user_id: str, until_id: str) -> None:
        """Forget the user's claims whose interactions are not from a later millisecond than `until_id`.

        The bound is that of `HistoryRepository.erase_all`: a claim is forgotten if its interaction is erased.
        """
        ...
