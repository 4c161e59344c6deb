"""Migrates the schema of a SQLite file step by step, and logs the progress."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import apsw

from infra.configuration import ConfigurationError

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0
_OPERATIONS_BETWEEN_CHECKS = 100_000


class GradualStep(Protocol):
    """A step with too much work for one transaction, which continues at the next start if the process dies.

    No other writer uses the file before the step has ended.
    """

    def begin(self) -> str:
        """Return the statements to run first, also before each continuation."""
        ...

    def go_on(self, connection: apsw.Connection) -> float:
        """Do a part of the work, within a transaction; return the share of the whole that is done, 1 at the end."""
        ...

    def end(self) -> str:
        """Return the statements to run last."""
        ...


Step = str | GradualStep


def migrate(connection: apsw.Connection, migrations: Sequence[Step], path: Path) -> None:
    """Run the steps that are missing in the file `path`; its `user_version` counts those that are done.

    Raises:
        ConfigurationError: The file was written by a newer version of the program.
        apsw.Error: A step failed and was rolled back; the finished parts of a gradual step stay.
    """
    version = connection.pragma("user_version")
    if version > len(migrations):
        raise ConfigurationError(f"{path} was written by a newer version of this program")
    for number, step in enumerate(migrations[version:], start=version + 1):
        progress = _ProgressLog(f"{path} is being migrated, step {number} of {len(migrations)}")
        connection.set_progress_handler(progress, _OPERATIONS_BETWEEN_CHECKS)
        try:
            _run_step(connection, step, number, progress)
        finally:
            connection.set_progress_handler(None)


class _ProgressLog:
    """Logs every few seconds how far a step is.

    Attributes:
        done: The share that is done, as text.
    """

    def __init__(self, description: str) -> None:
        self.done = ""
        self._description = description
        self._began_seconds = self._logged_seconds = time.monotonic()

    def __call__(self) -> bool:
        """Log if it is time to; return False, so that SQLite continues."""
        now = time.monotonic()
        if now - self._logged_seconds >= PROGRESS_SECONDS:
            self._logged_seconds = now
            logger.info(
                "%s: %s%d s so far", self._description, self.done, now - self._began_seconds
            )
        return False


def _run_step(connection: apsw.Connection, step: Step, number: int, progress: _ProgressLog) -> None:
    if not isinstance(step, str):
        with connection:
            connection.execute(step.begin())
        share = 0.0
        while share < 1.0:
            with connection:
                share = step.go_on(connection)
            if share < 1.0:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            progress.done = f"{share:.0%} done, "
    with connection:
        connection.execute(step if isinstance(step, str) else step.end())
        connection.pragma("user_version", number)
