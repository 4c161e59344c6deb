"""Shutdown state of the process."""

from collections.abc import Callable
from typing import Protocol


class Stoppable(Protocol):
    """A running operation that can be stopped."""

    def stop(self) -> None:
        """Request the end of the operation, without waiting for it. Idempotent."""
        ...


class Lifecycle:
    """Shutdown state, set by the server and read by the health and stream routes.

    Attributes:
        is_stopping: The shutdown has begun, so readiness fails.
        streams: Open streams; each adds and removes itself.
        readers: Open streams of background answers; each adds and removes itself.
        on_stopping: Called when the shutdown begins; they return at once.
    """

    def __init__(self) -> None:
        self.is_stopping = False
        self.streams: set[Stoppable] = set()
        self.readers: set[Stoppable] = set()
        self.on_stopping: list[Callable[[], None]] = []

    def begin_to_stop(self) -> None:
        """Make the readiness probe fail, so that load balancers send requests to other instances, and release readers."""
        self.is_stopping = True
        for action in self.on_stopping:
            action()
        for reader in tuple(self.readers):
            reader.stop()

    def end_streams(self) -> None:
        """Stop every open stream and reader; a stream sends its closing event to the client."""
        for stream in (*self.streams, *self.readers):
            stream.stop()
