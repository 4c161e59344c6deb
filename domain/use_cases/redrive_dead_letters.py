"""Give what could not be stored another chance."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.entities.interaction import Interaction
from domain.interfaces.clock import Clock
from domain.interfaces.interaction_queue import DeadLetters, Delivery
from domain.interfaces.tombstones import Tombstones


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveResult:
    """What a redrive did, or would do.

    Attributes:
        sent_back: Put on the queue again.
        erased: Deleted, because their interactions were erased meanwhile.
        unreadable: Left where they are: this program cannot read them, so its worker could not either.
    """

    sent_back: int = 0
    erased: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class RedriveDeadLetters:
    """Puts dead letters back on the queue, but for what was erased or cannot be read.

    It may be stopped anywhere and started again: a message is on one of the two queues at any time, for a moment on
    both, and storing it twice changes nothing. What becomes a dead letter meanwhile is left for the next time.
    """

    dead_letters: DeadLetters
    erasures: Tombstones
    clock: Clock

    async def __call__(
        self, *, is_dry_run: bool, progress: Callable[[int, int], None]
    ) -> RedriveResult:
        """Go through all of them once.

        Args:
            is_dry_run: Look at them only; they cannot be taken by others meanwhile, and are all left there.
            progress: Told how many were looked at, and about how many there are.

        Raises:
            QueueUnavailable: The queues do not answer; what was done so far stays done.
            HistoryUnreadable: The store does not tell what was erased; the same.
        """
        started_milliseconds = self.clock.now_milliseconds()
        total = await self.dead_letters.count()
        sent_back = erased = unreadable = 0
        seen: set[str] = set()
        in_hand: dict[str, Delivery] = {}
        try:
            while new := [
                one for one in await self.dead_letters.take() if one.message_id not in seen
            ]:
                seen.update(one.message_id for one in new)
                in_hand.update((one.message_id, one) for one in new)
                older = [one for one in new if one.sent_milliseconds < started_milliseconds]
                readable = [one for one in older if one.interaction is not None]
                lost = await self._erased(readable)
                back = [one for one in readable if one not in lost]
                if not is_dry_run:
                    await self.dead_letters.remove(lost)
                    await self.dead_letters.send_back(back)
                    for one in readable:
                        del in_hand[one.message_id]
                sent_back += len(back)
                erased += len(lost)
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
    return [one.interaction for one in deliveries if one.interaction is not None]
