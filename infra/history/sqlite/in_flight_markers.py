"""Markers of requests in flight, from which a crash is recorded as `interrupted`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from domain.entities.interaction import Interaction, milliseconds_of
from infra.history.format.documents import document_of
from infra.history.sqlite.write_jobs import KeepInFlightMarkers, SqlJob

SWEEP_SECONDS = 0.1


@dataclass(slots=True)
class InFlightMarker:
    """A request in flight.

    Attributes:
        interrupted: Returns the interaction that is recorded if the process dies.
        lost_after_seconds: When it is recorded, after receipt.
        begun_seconds: When it was noted, on the loop's clock.
    """

    interaction_id: str
    user_id: str
    interrupted: Callable[[], Interaction]
    lost_after_seconds: float
    begun_seconds: float

    def row(self) -> bytes:
        """Return the marker as JSON, with the time from which on the request counts as interrupted."""
        due_milliseconds = milliseconds_of(self.interaction_id) + round(
            self.lost_after_seconds * 1000
        )
        return orjson.dumps({"dueMs": due_milliseconds, "of": document_of(self.interrupted())})


class InFlightMarkers:
    """Holds markers in memory for 0.1 s, so that requests that end sooner cost no write.

    Those still open are then written together; no request waits for that.
    """

    def __init__(self, submit: Callable[[SqlJob], asyncio.Future[None]]) -> None:
        self._submit = submit
        self._loop = asyncio.get_running_loop()
        self._unwritten: dict[str, InFlightMarker] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(
        self,
        interaction_id: str,
        user_id: str,
        interrupted: Callable[[], Interaction],
        lost_after_seconds: float,
    ) -> None:
        """Note that a request is in flight."""
        self._unwritten[interaction_id] = InFlightMarker(
            interaction_id, user_id, interrupted, lost_after_seconds, self._loop.time()
        )
        self._schedule_sweep()

    def end(self, interaction_id: str, user_id: str | None = None) -> InFlightMarker | None:
        """Remove a marker that was not written yet, and return it.

        A written one is removed by the append of its outcome, in the same transaction.

        Args:
            interaction_id: The id of the request.
            user_id: A marker of another user is not removed; None matches every user.
        """
        marker = self._unwritten.get(interaction_id)
        if marker is None or user_id not in (None, marker.user_id):
            return None
        return self._unwritten.pop(interaction_id)

    def reopen(self, marker: InFlightMarker) -> None:
        """Add a marker again whose outcome could not be stored."""
        self._unwritten.setdefault(marker.interaction_id, marker)
        self._schedule_sweep()

    def write(self, *, begun_before_seconds: float) -> None:
        """Submit the markers begun before a time on the loop's clock; a failed write loses them."""
        due = []
        for marker in self._unwritten.values():
            if marker.begun_seconds > begun_before_seconds:
                break  # the dict is in the order of beginning
            due.append(marker)
        if not due:
            return
        for marker in due:
            del self._unwritten[marker.interaction_id]
        self._submit(KeepInFlightMarkers(b",".join([marker.row() for marker in due])))

    def close(self) -> None:
        """Submit all markers that are still open."""
        if self._timer is not None:
            self._timer.cancel()
        self.write(begun_before_seconds=self._loop.time())

    def _schedule_sweep(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        self.write(begun_before_seconds=self._loop.time() - SWEEP_SECONDS)
        if self._unwritten:
            self._schedule_sweep()
