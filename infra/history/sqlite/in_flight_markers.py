"""Requests under way, noted so that a crash does not make them vanish."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from domain.entities.interaction import Interaction
from infra.history.format.documents import document_of
from infra.history.sqlite.write_jobs import KeepInFlightMarkers, SqlJob

SWEEP_SECONDS = 0.1


@dataclass(slots=True)
class InFlightMarker:
    """A request under way: what is recorded of it should its process die, and how long after receipt."""

    interaction: Interaction
    lost_after_seconds: float
    begun_seconds: float

    def row(self) -> bytes:
        """Return it as JSON, with the moment from which on it counts as interrupted."""
        due_milliseconds = self.interaction.milliseconds + round(self.lost_after_seconds * 1000)
        return orjson.dumps({"dueMs": due_milliseconds, "of": document_of(self.interaction)})


class InFlightMarkers:
    """Keeps markers in memory at first: most requests that fail or are answered at once never cost a write.

    Those still open after 0.1 s are written together; nobody waits for that.
    """

    def __init__(self, submit: Callable[[SqlJob], asyncio.Future[None]]) -> None:
        self._submit = submit
        self._loop = asyncio.get_running_loop()
        self._unwritten: dict[str, InFlightMarker] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, interaction: Interaction, lost_after_seconds: float) -> None:
        """Note that `interaction` is under way."""
        self._unwritten[interaction.id] = InFlightMarker(
            interaction, lost_after_seconds, self._loop.time()
        )
        self._wake_later()

    def end(self, interaction_id: str, user_id: str | None = None) -> InFlightMarker | None:
        """Forget the marker; return it when it was not written yet.

        A written one is removed by the append of its outcome, in the same transaction.

        Args:
            interaction_id: Whose it is.
            user_id: It is left alone if it is of another user; None asks for no user.
        """
        marker = self._unwritten.get(interaction_id)
        if marker is None or user_id not in (None, marker.interaction.user_id):
            return None
        return self._unwritten.pop(interaction_id)

    def reopen(self, marker: InFlightMarker) -> None:
        """Take a marker back whose outcome could not be kept."""
        self._unwritten.setdefault(marker.interaction.id, marker)
        self._wake_later()

    def write(self, *, begun_before_seconds: float) -> None:
        """Submit every marker begun before that time of the loop; if they cannot be written, they are lost."""
        due = []
        for marker in self._unwritten.values():
            if marker.begun_seconds > begun_before_seconds:
                break  # they stand in the order in which they began
            due.append(marker)
        if not due:
            return
        for marker in due:
            del self._unwritten[marker.interaction.id]
        self._submit(KeepInFlightMarkers(b",".join([marker.row() for marker in due])))

    def close(self) -> None:
        """Submit whatever is still open."""
        if self._timer is not None:
            self._timer.cancel()
        self.write(begun_before_seconds=self._loop.time())

    def _wake_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        self.write(begun_before_seconds=self._loop.time() - SWEEP_SECONDS)
        if self._unwritten:
            self._wake_later()
