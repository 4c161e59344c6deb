"""Remove attachments that no interaction refers to any longer."""

from dataclasses import dataclass

from domain.entities.interaction import milliseconds_of
from domain.interfaces.attachments import AttachmentStore
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What one sweep found.

    Attributes:
        attachments: Contents that were looked at.
        released: References that were removed, of interactions that do not exist.
    """

    attachments: int
    released: int


@dataclass(frozen=True, slots=True)
class SweepAttachments:
    """Removes references of interactions that were never stored, have expired, or were removed by the store.

    Attributes:
        grace_seconds: References of younger interactions stay: those may still be on their way to the store.
    """

    attachments: AttachmentStore
    history: HistoryRepository
    clock: Clock
    grace_seconds: float = 3_600.0

    async def run(self) -> None:
        """Sweep once, for a task that repeats it."""
        await self()

    async def __call__(self) -> SweepResult:
        """Look at all attachments once. Safe to run in several processes, and to repeat.

        Raises:
            HistoryUnreadable: The store is unavailable; the next sweep continues.
        """
        before_milliseconds = self.clock.now_milliseconds() - round(self.grace_seconds * 1000)
        looked_at = released = 0
        async for references in self.attachments.references():
            looked_at += 1
            for interaction_id in references.interaction_ids:
                if milliseconds_of(interaction_id) >= before_milliseconds:
                    continue
                if await self.history.find(references.user_id, interaction_id) is None:
                    await self.attachments.release(
                        references.user_id, interaction_id, [references.attachment_id]
                    )
                    released += 1
        return SweepResult(attachments=looked_at, released=released)
