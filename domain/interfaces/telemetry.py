"""Who keeps count of what the service does."""

from abc import abstractmethod
from typing import Protocol


class RequestObserver(Protocol):
    """Is told of every request once it has ended."""

    @abstractmethod
    def observe_request(
        self, route: str, method: str, status: int, seconds: float, llm_seconds: float | None
    ) -> None:
        """Take note of one request; returns at once and never fails.

        Args:
            route: The template that matched, never the path itself: a path may name a user.
            method: As the client sent it; known ones are told apart.
            status: The HTTP status sent; 0 when the connection ended before one was.
            seconds: From receipt to the last byte handed over.
            llm_seconds: The part of it spent on waiting for a model; None when none was asked.
        """
        ...


class QueueObserver(Protocol):
    """Is told what became of messages that came through the queue."""

    @abstractmethod
    def observe_recorded(self, lag_seconds: float) -> None:
        """Take note of one that the store now has, so long after it was sent; returns at once and never fails."""
        ...

    @abstractmethod
    def observe_buried(self, reason: str) -> None:
        """Take note of one that can never be stored; `reason` is one of a handful of fixed texts."""
        ...
