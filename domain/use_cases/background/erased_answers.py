"""Remove the logs of answers whose erasure did not reach the log."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from domain.entities.background.answer import AnswerKey, BackgroundAnswer
from domain.entities.interaction import Interaction
from domain.exceptions import HistoryError
from domain.interfaces.answer_log import AnswerLog
from domain.interfaces.clock import Clock
from domain.interfaces.telemetry import BackgroundObserver
from domain.interfaces.tombstones import Tombstones

MOST_DUE = 10_000
"""Maximum number of answers that wait for their check while the store is unavailable; others are checked when they are followed."""


class ErasedAnswers(BackgroundObserver):
    """Compares logs with the tombstones of history, and removes those of erased answers; their writers lose the lease.

    An erasure of all of a user's interactions may end between the id of a request and its log, on any host. Where the
    log is on the disk of one host, the erasures of all other hosts do not reach it.
    """

    def __init__(
        self,
        log: AnswerLog,
        tombstones: Tombstones,
        clock: Clock,
        *,
        is_log_apart: bool,
        again_seconds: float,
    ) -> None:
        """Check the answers of this process.

        Args:
            log: The logs.
            tombstones: Of the store, so that they have the erasures of all hosts.
            clock: For the time between checks.
            is_log_apart: Whether erasures on other hosts do not reach the log; otherwise an answer is checked once.
            again_seconds: Time between two checks of an answer that is generated or followed, and after a failed check.
        """
        self._log = log
        self._tombstones = tombstones
        self._clock = clock
        self._is_log_apart = is_log_apart
        self._again_seconds = again_seconds
        self._due: set[AnswerKey] = set()
        self._checked_seconds = clock.monotonic()
        self._failed_seconds: float | None = None

    def answer_begun(self, answer: BackgroundAnswer) -> None:
        self._add(answer.key)

    def answer_taken_over(self, answer: BackgroundAnswer) -> None:
        self._add(answer.key)

    def answer_restarted(self, answer: BackgroundAnswer, reason: str) -> None:
        """Do nothing."""

    def records_written(self, *, seconds: float) -> None:
        """Do nothing."""

    def answer_ended(self, answer: BackgroundAnswer, interaction: Interaction) -> None:
        if self._is_log_apart:
            self._add(answer.key)

    async def watch(self, in_use: Callable[[], Iterable[AnswerKey]]) -> None:
        """Check the answers that began or ended since the last call and, where it is time, those in use.

        While the store is unavailable they wait for a later call.

        Args:
            in_use: Returns the answers that this process generates or has readers of.
        """
        if self._has_just_failed:
            return
        due, self._due = self._due, set()
        now_seconds = self._clock.monotonic()
        if self._is_log_apart and now_seconds - self._checked_seconds >= self._again_seconds:
            self._checked_seconds = now_seconds
            due |= set(in_use())
        if not await self._remove_erased(due):
            for key in due:
                self._add(key)

    async def before_reading(self, key: AnswerKey) -> None:
        """Check an answer before it is followed; no-op if every erasure reaches the log.

        While the store is unavailable the log stays readable, as this host's part of history does.
        """
        if self._is_log_apart and not self._has_just_failed:
            await self._remove_erased({key})

    @property
    def _has_just_failed(self) -> bool:
        """Whether the store was unavailable a moment ago, so that readers do not wait for it one after the other."""
        if self._failed_seconds is None:
            return False
        return self._clock.monotonic() - self._failed_seconds < self._again_seconds

    async def _remove_erased(self, keys: Collection[AnswerKey]) -> bool:
        """Remove the logs of those that were erased; return False if that failed."""
        by_user: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            by_user[key.user_id].append(key.interaction_id)
        try:
            for user_id, ids in by_user.items():
                for erased in await self._tombstones.erased_among(user_id, ids):
                    await self._log.erase(AnswerKey(user_id=user_id, interaction_id=erased))
        except HistoryError:
            self._failed_seconds = self._clock.monotonic()
            return False
        self._failed_seconds = None
        return True

    def _add(self, key: AnswerKey) -> None:
        if len(self._due) < MOST_DUE:
            self._due.add(key)
