"""How far the process is on its way from start to end."""

from typing import Protocol


class Stoppable(Protocol):
    """Something that runs until it is told to end."""

    def stop(self) -> None:
        """End soon; returns at once."""
        ...


class Lifecycle:
    """Shared by the server, which knows when the end comes, and the routes, which have to tell and to obey."""

    def __init__(self) -> None:
        self.is_stopping = False
        self.streams: set[Stoppable] = set()

    def withdraw_readiness(self) -> None:
        """Let readiness fail from now on, so that load balancers look elsewhere."""
        self.is_stopping = True

    def end_streams(self) -> None:
        """Tell every open stream to say goodbye."""
        for stream in tuple(self.streams):
            stream.stop()
