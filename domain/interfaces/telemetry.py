"""Who keeps count of what the service does, and who follows a request through it."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt
from domain.entities.reply import Reply
from domain.interfaces.interaction_queue import Delivery

OK: Final = "ok"
"""The outcome of an attempt that was answered."""
CANCELLED: Final = "cancelled"
"""The outcome of an attempt whose caller disconnected."""


@dataclass(slots=True, kw_only=True)
class RequestOutcome:
    """A request that has ended.

    Attributes:
        route: The template that matched, never the path itself: a path may name a user.
        method: As the client sent it; known ones are told apart.
        status: The HTTP status sent; 0 when the connection ended before one was.
        seconds: From receipt to the last byte handed over.
        context: What became of the chat it was; None when no model was asked.
        problem: The slug of the problem the caller was told of; None when all went well.
        limit: Which of the caller's limits was used up, where that was the problem.
    """

    route: str
    method: str
    status: int
    seconds: float
    context: ChatRequestContext | None = None
    problem: str | None = None
    limit: str | None = None


class RequestObserver(Protocol):
    """Is told of every request once it has ended."""

    @abstractmethod
    def observe_request(self, answered: RequestOutcome) -> None:
        """Take note of one request; returns at once and never fails."""
        ...


class RequestSpan(Protocol):
    """One request as a tracer follows it; what is done within it, in the same task or one made there, belongs to it."""

    @property
    @abstractmethod
    def trace_id(self) -> str:
        """The trace's name in hexadecimal, shared by all processes the request passes through."""
        ...

    @abstractmethod
    def end(self, answered: RequestOutcome) -> None:
        """Tell what became of it; once, in the task that began it. Never fails."""
        ...


class RequestTracer(Protocol):
    """Follows requests for whoever wants to see later where their time went."""

    @abstractmethod
    def begin(self, method: str, headers: Sequence[tuple[bytes, bytes]]) -> RequestSpan:
        """Begin to follow a request, as part of the trace its headers name if they do; never fails."""
        ...


class QueueObserver(Protocol):
    """Is told what became of messages that came through the queue. Returns at once and never fails."""

    @abstractmethod
    def observe_recorded(
        self, delivery: Delivery, *, lag_seconds: float, work_seconds: float
    ) -> None:
        """Take note of one that the store now has.

        Args:
            delivery: What came.
            lag_seconds: Since it was sent.
            work_seconds: Since work on it began.
        """
        ...

    @abstractmethod
    def observe_dead_letter(self, delivery: Delivery, reason: str, *, work_seconds: float) -> None:
        """Take note of one that can never be stored; `reason` is one of a handful of fixed texts."""
        ...


class AttemptObserver(Protocol):
    """Records calls of providers; its methods return at once and never fail.

    Attempts of one request follow each other, so `context.id` links an end to its start.
    """

    @abstractmethod
    def attempt_started(self, context: ChatRequestContext, provider: str, model: str) -> None:
        """Record that a call is about to be made."""
        ...

    @abstractmethod
    def attempt_ended(
        self,
        context: ChatRequestContext,
        attempt: Attempt,
        first_text_seconds: float | None,
        reply: Reply | None,
    ) -> None:
        """Record the end of a call.

        Args:
            context: As at the start.
            attempt: Provider, outcome, HTTP status, duration and reported usage.
            first_text_seconds: From the start of the attempt to its first text; None without text.
            reply: The reply that ended it; None for a failed call.
        """
        ...
