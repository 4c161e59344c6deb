"""Waits for the outbox."""

import asyncio

from domain.entities.history_query import Order
from domain.entities.interaction import Interaction
from tests.contracts.history_walks import EVERY_STATUS, asking, walk
from tests.fakes.unreliable_store import UnreliableStore

PATIENCE_SECONDS = 120.0


async def stored(store: UnreliableStore) -> list[Interaction]:
    """Return what reached the store."""
    return await walk(store.behind, asking(order=Order.ASC, statuses=EVERY_STATUS))


async def until_stored(store: UnreliableStore, *expected: Interaction) -> None:
    """Return once exactly this is in the store."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await stored(store) != list(expected):
            await asyncio.sleep(0.01)
