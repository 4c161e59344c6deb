"""Repeats the erasures of one store in another."""

import asyncio
from collections.abc import Sequence

from domain.entities.interaction import first_id_at, milliseconds_of
from domain.entities.stored_record import Tombstone
from infra.history.store.durable_store import DurableStore

ERASED_AT_ONCE = 16


async def apply_tombstones(store: DurableStore, erasures: Sequence[Tombstone]) -> None:
    """Erase in `store`, several concurrently, through the same calls as its users."""
    slots = asyncio.Semaphore(ERASED_AT_ONCE)

    async def erase_one(erasure: Tombstone) -> None:
        async with slots:
            if erasure.interaction_id is not None:
                await store.erase(erasure.user_id, erasure.interaction_id)
            elif erasure.before_id is not None:
                last_millisecond = milliseconds_of(erasure.before_id) - 1
                await store.erase_all(erasure.user_id, first_id_at(last_millisecond))

    await asyncio.gather(*(erase_one(erasure) for erasure in erasures))
