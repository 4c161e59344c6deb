"""Brings a SQLite file up to date, step by step, and tells those who wait for it how far it is."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import apsw

from infra.configuration import ConfigurationError

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0
_OPERATIONS_BETWEEN_LOOKS = 100_000


class GradualStep(Protocol):
    """A step with too much work for one transaction: a process that dies in the middle goes on at its next start.

    Nobody else writes the file before the step has ended.
    """

    def begin(self) -> str:
        """Return the statements before; run again when it is gone on with."""
        ...

    def go_on(self, connection: apsw.Connection) -> float:
        """Do some of it, within a transaction; return which share of the whole is done, 1 when all is."""
        ...

    def end(self) -> str:
        """Return the statements after."""
        ...


Step = str | GradualStep


def migrate(connection: apsw.Connection, migrations: Sequence[Step], path: Path) -> None:
    """Carry out the steps that the file `path` has not had yet; its `user_version` counts them.

    Raises:
        ConfigurationError: The file is of a newer program.
        apsw.Error: A step failed, and left nothing behind but what a gradual one has done.
    """
    version = connection.pragma("user_version")
    if version > len(migrations):
        raise ConfigurationError(f"{path} was written by a newer version of this program")
    for number, step in enumerate(migrations[version:], start=version + 1):
        told = _ProgressLog(f"{path} is brought up to date, step {number} of {len(migrations)}")
        connection.set_progress_handler(told, _OPERATIONS_BETWEEN_LOOKS)
        try:
            _carry_out(connection, step, number, told)
        finally:
            connection.set_progress_handler(None)


class _ProgressLog:
    """Says every few seconds that something goes on."""

    def __init__(self, what: str) -> None:
        self.done = ""
        self._what = what
        self._began_seconds = self._told_seconds = time.monotonic()

    def __call__(self) -> bool:
        """Say it if it is time to; return that SQLite shall not stop."""
        now = time.monotonic()
        if now - self._told_seconds >= PROGRESS_SECONDS:
            self._told_seconds = now
            logger.info("%s: %s%d s so far", self._what, self.done, now - self._began_seconds)
        return False


def _carry_out(connection: apsw.Connection, step: Step, number: int, told: _ProgressLog) -> None:
    if not isinstance(step, str):
        with connection:
            connection.execute(step.begin())
        share = 0.0
        while share < 1.0:
            with connection:
                share = step.go_on(connection)
            if share < 1.0:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            told.done = f"{share:.0%} done, "
    with connection:
        connection.execute(step if isinstance(step, str) else step.end())
        connection.pragma("user_version", number)
