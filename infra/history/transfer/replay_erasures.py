"""Repeats the erasures of one store in another."""

import asyncio
from collections.abc import Sequence

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
            elif erasure.until_id is not None:
                await store.erase_all(erasure.user_id, erasure.until_id)

    await asyncio.gather(*(erase_one(erasure) for erasure in erasures))
