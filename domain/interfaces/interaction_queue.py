"""A queue between those who answer and the store."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.entities.interaction import Interaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message in hand: nobody else gets it while it is held.

    Attributes:
        message_id: The same each time this message is received.
        receipt: Proof of this delivery, for the queue alone.
        body: The message as it was sent.
        interaction: What it carries; None when it cannot be read.
        problem: Why it cannot be read; empty when it can. Never anything of its content.
        reason: Why it was buried, if it was; the words of whoever did.
        sent_milliseconds: When it was sent, since 1970 UTC.
        receives: How often it was delivered, this time included.
        traceparent: The span it was sent in, as W3C Trace Context writes it; empty when nobody followed it.
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
    """Hands out each message until somebody removes it: more than once, and in any order.

    Every method raises `QueueUnavailable` when the queue does not answer.
    """

    @property
    @abstractmethod
    def hold_seconds(self) -> float:
        """How long a delivery is held, from its receipt or from the last `hold`."""
        ...

    @abstractmethod
    async def receive(self) -> Sequence[Delivery]:
        """Return what is there, waiting some seconds for it; nothing when nothing came."""
        ...

    @abstractmethod
    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        """Hold them for another `hold_seconds` from now."""
        ...

    @abstractmethod
    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Let others have them at once."""
        ...

    @abstractmethod
    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        """Take them off the queue; they are done. The second time changes nothing."""
        ...

    @abstractmethod
    async def bury(self, delivery: Delivery, reason: str) -> None:
        """Put one among the dead letters, then take it off the queue; a crash in between leaves it in both."""
        ...

    @abstractmethod
    async def count(self) -> int:
        """Return about how many there are, those in somebody's hands included."""
        ...


class DeadLetters(Protocol):
    """Messages that could not be stored, kept for an operator.

    Every method raises `QueueUnavailable` when the queue does not answer.
    """

    @abstractmethod
    async def count(self) -> int:
        """Return about how many there are."""
        ...

    @abstractmethod
    async def take(self) -> Sequence[Delivery]:
        """Return some that nobody holds, and hold them for some minutes; nothing when there are no more."""
        ...

    @abstractmethod
    async def send_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put them on the queue they came from, then take them off here; a crash in between leaves them in both."""
        ...

    @abstractmethod
    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        """Delete them. The second time changes nothing."""
        ...

    @abstractmethod
    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Leave them here for others to take."""
        ...
