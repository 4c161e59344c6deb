"""Ports for the queue between the service and the store, and for its dead letters."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.entities.interaction import Interaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A received message; no other receiver gets it while it is held.

    Attributes:
        message_id: Id of the message, the same for each delivery.
        receipt: Receipt handle of this delivery, used by the queue.
        body: Body as sent.
        interaction: The decoded interaction; None if the message is not valid.
        problem: Reason why it is not valid, without any of its content; empty if it is valid.
        reason: Reason given when it became a dead letter; empty if there was none.
        sent_milliseconds: Time of sending, in milliseconds since 1970 UTC.
        receives: Number of deliveries, this one included.
        traceparent: W3C Trace Context of the span it was sent in; empty without tracing.
    """

    message_id: str
    receipt: str
    body: str
    interaction: Interaction | None = None
    problem: str = ""
    reason: str = ""
    sent_milliseconds: int
    receives: int = 1
    traceparent: str = ""


class InteractionQueue(Protocol):
    """Delivers each message until it is removed: at least once, and in any order.

    Every method raises `QueueUnavailable` if the queue does not answer.
    """

    @property
    @abstractmethod
    def hold_seconds(self) -> float:
        """Time for which a delivery is held, from its receipt or the last `hold`."""
        ...

    @abstractmethod
    async def receive(self) -> Sequence[Delivery]:
        """Return some messages; wait a few seconds if there are none, then return an empty sequence."""
        ...

    @abstractmethod
    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        """Hold the deliveries for another `hold_seconds` from now."""
        ...

    @abstractmethod
    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Make the messages available to other receivers at once."""
        ...

    @abstractmethod
    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        """Delete the messages from the queue. Idempotent."""
        ...

    @abstractmethod
    async def bury(self, delivery: Delivery, reason: str) -> None:
        """Move a message to the dead letters; a crash in between leaves it in both queues."""
        ...

    @abstractmethod
    async def count(self) -> int:
        """Return the approximate number of messages, held ones included."""
        ...


class DeadLetters(Protocol):
    """Messages that could not be stored, for an operator to inspect.

    Every method raises `QueueUnavailable` if the queue does not answer.
    """

    @abstractmethod
    async def count(self) -> int:
        """Return the approximate number of messages."""
        ...

    @abstractmethod
    async def take(self) -> Sequence[Delivery]:
        """Return some messages that are not held, and hold them for some minutes; empty if there are none."""
        ...

    @abstractmethod
    async def send_back(self, deliveries: Sequence[Delivery]) -> None:
        """Move the messages back to the queue; a crash in between leaves them in both queues."""
        ...

    @abstractmethod
    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        """Delete the messages. Idempotent."""
        ...

    @abstractmethod
    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """End the hold, so that others can receive the messages at once."""
        ...
