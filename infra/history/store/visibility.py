"""Waits until an interaction can be read: notified where this process writes it, else by looking again and again."""

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
        seconds: Bounds the wait; the last look is made at its end.
        appended: Set when it is worth looking again.
        look_again_seconds: Pause between looks without a notification; infinite where no other process writes.
    """
    loop = asyncio.get_running_loop()
    until_seconds = loop.time() + seconds
    while True:
        appended.clear()  # before the look: an append during it must not be missed
        if await find() is not None:
            return True
        left_seconds = until_seconds - loop.time()
        if left_seconds <= 0:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(min(look_again_seconds, left_seconds)):
                await appended.wait()
