"""A queue and its dead letters in memory."""

from collections.abc import Sequence

from domain.entities.interaction import Interaction
from domain.interfaces.interaction_queue import DeadLetters, Delivery, InteractionQueue
from tests.fakes.clock import START_MILLISECONDS


def a_delivery(
    interaction: Interaction | None,
    *,
    message_id: str = "",
    problem: str = "",
    sent_milliseconds: int = START_MILLISECONDS,
    receives: int = 1,
) -> Delivery:
    """Return a delivery of a message, which has the id of its interaction unless another is given."""
    message_id = message_id or (interaction.id if interaction else "invalid")
    return Delivery(
        message_id=message_id,
        receipt=f"receipt of {message_id}",
        body="",
        interaction=interaction,
        problem=problem,
        sent_milliseconds=sent_milliseconds,
        receives=receives,
    )


class InMemoryQueue(InteractionQueue):
    """A queue that holds the deliveries it is created with.

    Attributes:
        messages: Messages that were not removed, by message id.
        dead_letters: Reasons of the messages that were moved to the dead letters, by message id.
    """

    def __init__(self, *deliveries: Delivery) -> None:
        self.messages = {delivery.message_id: delivery for delivery in deliveries}
        self.dead_letters: dict[str, str] = {}

    @property
    def hold_seconds(self) -> float:
        return 60.0

    async def receive(self) -> Sequence[Delivery]:
        return list(self.messages.values())

    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        """Deliveries are held for ever."""

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """All messages are available to every `receive`."""

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.messages.pop(delivery.message_id, None)

    async def bury(self, delivery: Delivery, reason: str) -> None:
        await self.remove([delivery])
        self.dead_letters[delivery.message_id] = reason

    async def count(self) -> int:
        return len(self.messages)


class InMemoryDeadLetters(DeadLetters):
    """Dead letters, handed out `BATCH_SIZE` at a time.

    Attributes:
        waiting: Messages that can be taken, by message id.
        held: Messages that were taken, by message id.
        sent_back: Ids of the messages that were moved back to the queue, in order.
    """

    BATCH_SIZE = 2

    def __init__(self, *deliveries: Delivery) -> None:
        self.waiting = {delivery.message_id: delivery for delivery in deliveries}
        self.held: dict[str, Delivery] = {}
        self.sent_back: list[str] = []

    async def count(self) -> int:
        return len(self.waiting) + len(self.held)

    async def take(self) -> Sequence[Delivery]:
        taken = list(self.waiting.values())[: self.BATCH_SIZE]
        for delivery in taken:
            self.held[delivery.message_id] = self.waiting.pop(delivery.message_id)
        return taken

    async def send_back(self, deliveries: Sequence[Delivery]) -> None:
        self.sent_back += [delivery.message_id for delivery in deliveries]
        await self.remove(deliveries)

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.held.pop(delivery.message_id, None)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.waiting[delivery.message_id] = self.held.pop(delivery.message_id)
