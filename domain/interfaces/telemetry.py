"""Ports for metrics and traces of requests and queue messages."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

from domain.entities.background.answer import BackgroundAnswer
from domain.entities.chat_request_context import ChatRequestContext
from domain.entities.interaction import Attempt, Interaction
from domain.entities.reply import Reply
from domain.interfaces.interaction_queue import Delivery

OK: Final = "ok"
"""The outcome of an attempt that was answered."""
CANCELLED: Final = "cancelled"
"""The outcome of an attempt whose caller disconnected."""
LOST: Final = "lost"
"""The outcome of an attempt whose process ended before the attempt did."""


@dataclass(slots=True, kw_only=True)
class RequestOutcome:
    """Outcome of a finished HTTP request.

    Attributes:
        route: Template of the matched route; never the path, which may contain a user id.
        method: Method as sent by the client.
        status: HTTP status sent; 0 if the connection ended before one was.
        seconds: Time from receipt until the last byte was passed to the kernel.
        context: Context of the chat; None for other requests.
        problem: Slug of the problem in the response; None on success.
        limit: The exhausted limit of the caller, if that was the problem.
    """

    route: str
    method: str
    status: int
    seconds: float
    context: ChatRequestContext | None = None
    problem: str | None = None
    limit: str | None = None


class RequestObserver(Protocol):
    """Observes every request after its end."""

    @abstractmethod
    def observe_request(self, outcome: RequestOutcome) -> None:
        """Record one request. Does not wait and does not raise."""
        ...


class RequestSpan(Protocol):
    """The span of one request; spans started in the same task, or in tasks created there, are its children."""

    @property
    @abstractmethod
    def trace_id(self) -> str:
        """Id of the trace in hexadecimal, shared by all processes that handle the request."""
        ...

    @abstractmethod
    def end(self, outcome: RequestOutcome) -> None:
        """End the span with its outcome; once, in the task that began it. Does not raise."""
        ...


class RequestTracer(Protocol):
    """Starts a span for each request."""

    @abstractmethod
    def begin(self, method: str, headers: Sequence[tuple[bytes, bytes]]) -> RequestSpan:
        """Start a span, as part of the trace named in the headers if there is one. Does not raise."""
        ...


class QueueObserver(Protocol):
    """Observes the outcome of queue messages. Methods do not wait and do not raise."""

    @abstractmethod
    def observe_recorded(
        self, delivery: Delivery, *, lag_seconds: float, work_seconds: float
    ) -> None:
        """Record a message whose interaction was stored.

        Args:
            delivery: The message.
            lag_seconds: Time since it was sent.
            work_seconds: Time since its processing began.
        """
        ...

    @abstractmethod
    def observe_dead_letter(self, delivery: Delivery, reason: str, *, work_seconds: float) -> None:
        """Record a message that was moved to the dead letters; `reason` is one of a few fixed texts."""
        ...


class AttachmentObserver(Protocol):
    """Observes what is stored and swept of attachments. Methods do not wait and do not raise."""

    @abstractmethod
    def observe_stored(self, size_bytes: int, *, is_new: bool) -> None:
        """Record a content that an interaction refers to; if it is not new, it was stored before."""
        ...

    @abstractmethod
    def observe_sweep(self, *, contents: int, released: int, seconds: float) -> None:
        """Record a complete sweep.

        Args:
            contents: Contents that were looked at.
            released: References that were removed.
            seconds: How long it took.
        """
        ...

    @abstractmethod
    def observe_failed_sweep(self) -> None:
        """Record a sweep that could not be completed."""
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


class BackgroundObserver(Protocol):
    """Observes the background answers of this process. Methods do not wait and do not raise."""

    def making(self, answer: BackgroundAnswer) -> AbstractContextManager[None]:
        """Return the context in which this process generates the answer; all observations except `answer_begun` are made within it."""
        return nullcontext()

    @abstractmethod
    def answer_begun(self, answer: BackgroundAnswer) -> None:
        """Record that an answer was accepted."""
        ...

    @abstractmethod
    def answer_taken_over(self, answer: BackgroundAnswer) -> None:
        """Record that this process took over an answer of a process that died or released it."""
        ...

    @abstractmethod
    def answer_restarted(self, answer: BackgroundAnswer, reason: str) -> None:
        """Record that an answer was restarted, so that the text that readers saw is void."""
        ...

    @abstractmethod
    def records_written(self, *, seconds: float) -> None:
        """Record that records are durable, and for how long they waited for it."""
        ...

    @abstractmethod
    def answer_ended(self, answer: BackgroundAnswer, interaction: Interaction) -> None:
        """Record the outcome of an answer, after it is stored."""
        ...
