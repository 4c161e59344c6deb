"""Move dead letters back to the queue."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.entities.interaction import Interaction
from domain.interfaces.clock import Clock
from domain.interfaces.interaction_queue import DeadLetters, Delivery
from domain.interfaces.tombstones import Tombstones


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveResult:
    """Result of a redrive or of its dry run.

    Attributes:
        sent_back: Messages moved back to the queue.
        erased: Messages deleted because their interactions were erased meanwhile.
        unreadable: Messages left in place because they are not valid for this version.
    """

    sent_back: int = 0
    erased: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class RedriveDeadLetters:
    """Moves dead letters back to the queue, except those that were erased or are not valid.

    It may be killed at any time and started again: a message is always in at least one of the two queues, and storing
    it twice changes nothing. Messages that become dead letters meanwhile are left for the next run.
    """

    dead_letters: DeadLetters
    erasures: Tombstones
    clock: Clock

    async def __call__(
        self, *, is_dry_run: bool, progress: Callable[[int, int], None]
    ) -> RedriveResult:
        """Process all dead letters once.

        Args:
            is_dry_run: Only count; the messages are held meanwhile, and all stay.
            progress: Called with the number of processed messages, and the approximate total.

        Raises:
            QueueUnavailable: A queue does not answer; finished steps are not undone.
            HistoryUnreadable: The tombstones cannot be read; finished steps are not undone.
        """
        started_milliseconds = self.clock.now_milliseconds()
        total = await self.dead_letters.count()
        sent_back = erased = unreadable = 0
        seen: set[str] = set()
        in_hand: dict[str, Delivery] = {}
        try:
            while new := [
                letter for letter in await self.dead_letters.take() if letter.message_id not in seen
            ]:
                seen.update(letter.message_id for letter in new)
                in_hand.update((letter.message_id, letter) for letter in new)
                older = [each for each in new if each.sent_milliseconds < started_milliseconds]
                readable = [letter for letter in older if letter.interaction is not None]
                gone = await self._erased(readable)
                back = [letter for letter in readable if letter not in gone]
                if not is_dry_run:
                    await self.dead_letters.remove(gone)
                    await self.dead_letters.send_back(back)
                    for letter in readable:
                        del in_hand[letter.message_id]
                sent_back += len(back)
                erased += len(gone)
                unreadable += len(older) - len(readable)
                progress(len(seen), max(total, len(seen)))
        finally:
            await self.dead_letters.give_back(list(in_hand.values()))
        return RedriveResult(sent_back=sent_back, erased=erased, unreadable=unreadable)

    async def _erased(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        ids_by_user: dict[str, list[str]] = defaultdict(list)
        for interaction in _interactions(deliveries):
            ids_by_user[interaction.user_id].append(interaction.id)
        erased: set[tuple[str, str]] = set()
        for user_id, ids in ids_by_user.items():
            found = await self.erasures.erased_among(user_id, ids)
            erased.update((user_id, interaction_id) for interaction_id in found)
        return [
            delivery
            for delivery, interaction in zip(deliveries, _interactions(deliveries), strict=True)
            if (interaction.user_id, interaction.id) in erased
        ]


def _interactions(deliveries: Sequence[Delivery]) -> list[Interaction]:
    return [each.interaction for each in deliveries if each.interaction is not None]
