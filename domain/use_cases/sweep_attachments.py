"""Remove attachments that no interaction refers to any longer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.entities.interaction import milliseconds_of
from domain.exceptions import HistoryDamaged
from domain.interfaces.attachments import AttachmentStore
from domain.interfaces.clock import Clock
from domain.interfaces.history import HistoryRepository

_MOST_SUSPECTS = 10_000
"""Limits the memory of a sweep: after this number of suspects they are checked before the sweep continues."""


def _keep_all(_now_milliseconds: int) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """Figures of one sweep.

    Attributes:
        attachments: Contents that were looked at.
        released: References that were removed, of interactions that do not exist or have expired.
    """

    attachments: int
    released: int


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A reference whose interaction was not found."""

    user_id: str
    attachment_id: str
    interaction_id: str


@dataclass(frozen=True, slots=True)
class SweepAttachments:
    """Removes references of interactions that were never stored, have expired, or were removed by the store.

    Attributes:
        grace_seconds: References of younger interactions stay: those may still be on their way to the store.
        second_look_seconds: Time after which a missing interaction is looked up again before its reference is removed.
            An import or an outbox stores old interactions, each shortly after its attachments.
        first_kept_id: Returns the smallest id that has not expired at a time in milliseconds since 1970 UTC. References of
            smaller ones are removed at once, wherever the interaction is.
    """

    attachments: AttachmentStore
    history: HistoryRepository
    clock: Clock
    grace_seconds: float = 3_600.0
    second_look_seconds: float = 60.0
    first_kept_id: Callable[[int], str] = _keep_all

    async def __call__(self) -> SweepResult:
        """Check all attachments once. Safe to run in several processes, and to repeat.

        Raises:
            HistoryUnreadable: The store is unavailable; the next sweep continues.
        """
        now_milliseconds = self.clock.now_milliseconds()
        before_milliseconds = now_milliseconds - round(self.grace_seconds * 1000)
        first_kept_id = self.first_kept_id(now_milliseconds)
        looked_at = released = 0
        suspects: list[_Suspect] = []
        async for references in self.attachments.references():
            looked_at += 1
            for interaction_id in references.interaction_ids:
                if interaction_id < first_kept_id:
                    await self.attachments.release(
                        references.user_id, interaction_id, [references.attachment_id]
                    )
                    released += 1
                    continue
                if milliseconds_of(interaction_id) >= before_milliseconds:
                    continue
                suspect = _Suspect(references.user_id, references.attachment_id, interaction_id)
                if await self._is_missing(suspect):
                    suspects.append(suspect)
            if len(suspects) >= _MOST_SUSPECTS:
                released += await self._release(suspects)
                suspects = []
        released += await self._release(suspects)
        return SweepResult(attachments=looked_at, released=released)

    async def _release(self, suspects: Sequence[_Suspect]) -> int:
        """Remove the references whose interactions are still missing after a pause; return their number."""
        if not suspects:
            return 0
        await self.clock.sleep(self.second_look_seconds)
        released = 0
        for suspect in suspects:
            if await self._is_missing(suspect):
                await self.attachments.release(
                    suspect.user_id, suspect.interaction_id, [suspect.attachment_id]
                )
                released += 1
        return released

    async def _is_missing(self, suspect: _Suspect) -> bool:
        try:
            return await self.history.find(suspect.user_id, suspect.interaction_id) is None
        except HistoryDamaged:
            return False  # it exists; the references after this one must be checked too
