"""Waits until an interaction can be read: by notification if this process writes it, otherwise by polling."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from domain.entities.interaction import Interaction

LOOK_AGAIN_SECONDS = 0.05


async def wait_until_found(
    find: Callable[[], Awaitable[Interaction | None]],
    *,
    seconds: float,
    appended: asyncio.Event,
    look_again_seconds: float = LOOK_AGAIN_SECONDS,
) -> bool:
    """Return whether `find` finds the interaction, as soon as it does and after `seconds` at the latest.

    Args:
        find: Reads the interaction; its errors are passed on.
        seconds: Limits the wait; the last read is at its end.
        appended: Set when a read may find it.
        look_again_seconds: Interval of polling; infinite if no other process writes.
    """
    loop = asyncio.get_running_loop()
    until_seconds = loop.time() + seconds
    while True:
        appended.clear()  # before reading, so that an append during it is not missed
        if await find() is not None:
            return True
        left_seconds = until_seconds - loop.time()
        if left_seconds <= 0:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(min(look_again_seconds, left_seconds)):
                await appended.wait()
