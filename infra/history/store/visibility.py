"""Waits until an interaction can be read: notified where this process writes it, else by looking again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from domain.entities.interaction import Interaction

LOOK_AGAIN_SECONDS = 0.05


class AppendNotifier:
    """Notifies readers that wait for an interaction when this process has appended it."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Event]] = {}

    def notify(self, interactions: Iterable[Interaction]) -> None:
        """Wake the readers of interactions that were appended."""
        if self._waiting:
            for interaction in interactions:
                for event in self._waiting.get(interaction.id, ()):
                    event.set()

    def notify_all(self) -> None:
        """Wake all readers, after a write of which the ids are not known."""
        for events in self._waiting.values():
            for event in events:
                event.set()

    @contextmanager
    def subscribe(self, interaction_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the interaction may have been appended."""
        event = asyncio.Event()
        events = self._waiting.setdefault(interaction_id, [])
        events.append(event)
        try:
            yield event
        finally:
            events.remove(event)
            if not events:
                del self._waiting[interaction_id]


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
