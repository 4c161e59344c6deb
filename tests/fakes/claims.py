"""The port of idempotency records in memory."""

from dataclasses import dataclass, field

from domain.entities.idempotency import IdempotencyKey, IdempotencyRecord
from domain.entities.interaction import first_id_after
from domain.exceptions import IdempotencyUnavailable
from domain.interfaces.idempotency import IdempotencyStore


@dataclass
class InMemoryIdempotencyStore(IdempotencyStore):
    """Holds records in memory; `is_away` makes every call fail."""

    kept: dict[str, tuple[IdempotencyKey, IdempotencyRecord]] = field(default_factory=dict)
    is_away: bool = False

    async def claim(
        self, key: IdempotencyKey, claim: IdempotencyRecord, *, now_milliseconds: int
    ) -> IdempotencyRecord | None:
        found = self._found(key)
        if found is not None and found.expires_milliseconds > now_milliseconds:
            return found
        self.kept[key.digest] = (key, claim)
        return None

    async def replace(
        self, key: IdempotencyKey, seen: IdempotencyRecord, claim: IdempotencyRecord
    ) -> bool:
        if not _is_same(self._found(key), seen):
            return False
        self.kept[key.digest] = (key, claim)
        return True

    async def release(self, key: IdempotencyKey, claim: IdempotencyRecord) -> None:
        if _is_same(self._found(key), claim):
            del self.kept[key.digest]

    async def forget_interaction(self, user_id: str, interaction_id: str) -> None:
        self._forget(
            lambda key, claim: key.user_id == user_id and claim.interaction_id == interaction_id
        )

    async def forget_user(self, user_id: str, until_id: str) -> None:
        before_id = first_id_after(until_id)
        self._forget(lambda key, claim: key.user_id == user_id and claim.interaction_id < before_id)

    def _found(self, key: IdempotencyKey) -> IdempotencyRecord | None:
        self._answer()
        return self.kept.get(key.digest, (key, None))[1]

    def _forget(self, is_gone) -> None:  # type: ignore[no-untyped-def]
        self._answer()
        self.kept = {digest: pair for digest, pair in self.kept.items() if not is_gone(*pair)}

    def _answer(self) -> None:
        if self.is_away:
            raise IdempotencyUnavailable


def _is_same(found: IdempotencyRecord | None, claim: IdempotencyRecord) -> bool:
    return found is not None and (found.interaction_id, found.lease_until_milliseconds) == (
        claim.interaction_id,
        claim.lease_until_milliseconds,
    )
