"""Wakes tasks that wait for an event of a key."""

import asyncio
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Notifier(Generic[K]):
    """Wakes the tasks of this process that wait for a key."""

    def __init__(self) -> None:
        self._waiting: dict[K, list[asyncio.Event]] = {}

    def notify(self, keys: Iterable[K]) -> None:
        """Wake the tasks that wait for one of the keys."""
        if self._waiting:
            for key in keys:
                for event in self._waiting.get(key, ()):
                    event.set()

    def notify_all(self) -> None:
        """Wake all tasks, after an event of which the key is not known."""
        for events in self._waiting.values():
            for event in events:
                event.set()

    @contextmanager
    def subscribe(self, key: K) -> Iterator[asyncio.Event]:
        """Yield an event of asyncio that is set whenever the key is notified."""
        event = asyncio.Event()
        events = self._waiting.setdefault(key, [])
        events.append(event)
        try:
            yield event
        finally:
            events.remove(event)
            if not events:
                del self._waiting[key]
