"""Port for idempotency records."""

from abc import abstractmethod
from typing import Protocol

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord


class IdempotencyStore(Protocol):
    """Stores one record per key, for all processes that share the store.

    Every method may raise `IdempotencyUnavailable`; the change may then have been made or not.
    """

    @abstractmethod
    async def claim(
        self, key: IdempotencyKey, record: IdempotencyRecord, *, now_milliseconds: int
    ) -> IdempotencyRecord | None:
        """Store `record`, unless the key has one that has not expired.

        Of any number of concurrent calls exactly one returns None; its record is durable by then.

        Returns:
            None if `record` was stored, else the existing one.
        """
        ...

    @abstractmethod
    async def replace(
        self, key: IdempotencyKey, seen: IdempotencyRecord, record: IdempotencyRecord
    ) -> bool:
        """Replace `seen` by `record`; return False, and change nothing, if the stored one is no longer `seen`."""
        ...

    @abstractmethod
    async def release(self, key: IdempotencyKey, record: IdempotencyRecord) -> None:
        """Delete `record`, so that the key can be used again; no-op if another one is stored."""
        ...

    @abstractmethod
    async def forget_interaction(self, user_id: str, interaction_id: str) -> None:
        """Delete the user's record of this interaction, if there is one. Idempotent."""
        ...

    @abstractmethod
    async def forget_user(self, user_id: str, until_id: str) -> None:
        """Delete the user's records whose interactions are not later than the millisecond of `until_id`.

        The bound is that of `HistoryRepository.erase_all`: a record is deleted if its interaction is erased.
        """
        ...
