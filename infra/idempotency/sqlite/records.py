"""The writer of `idempotency.db`."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from domain.exceptions import IdempotencyUnavailable
from domain.interfaces.clock import Clock
from infra.idempotency.sqlite.jobs import SCHEMA
from infra.storage.sqlite.group_commit import Committer
from infra.storage.sqlite.shared_file import FileJob, SharedFile

SWEEP_SECONDS = 600.0
SWEPT_AT_ONCE = 5000


class SqliteIdempotencyRecords(Committer[FileJob]):
    """Carries out pending jobs in one transaction. Several processes may share the file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = SharedFile[FileJob](path, SCHEMA)
        self._clock = clock
        self._swept_seconds = clock.monotonic()

    def commit(self, batch: Sequence[FileJob]) -> bool:
        try:
            return self._file.run(batch)
        except (OSError, apsw.Error) as exc:
            raise IdempotencyUnavailable("idempotency.db cannot be used") from exc

    def settle(self) -> None:
        """Delete expired records every ten minutes."""
        now_seconds = self._clock.monotonic()
        connection = self._file.connection
        if connection is None or now_seconds - self._swept_seconds < SWEEP_SECONDS:
            return
        self._swept_seconds = now_seconds
        with suppress(apsw.Error):  # busy or full; the next sweep tries again
            connection.execute(
                "DELETE FROM claim WHERE key IN"
                " (SELECT key FROM claim WHERE expires_ms <= ? LIMIT ?)",
                (self._clock.now_milliseconds(), SWEPT_AT_ONCE),
            )

    def close(self) -> None:
        self._file.close()
