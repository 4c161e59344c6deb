"""Files that API keys are read from, and read again after changes."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import apsw

from domain.entities.api_key import ApiKey
from domain.interfaces.clock import Clock
from domain.interfaces.health import Degraded
from infra.operator_text import text_of
from infra.security.api_keys.file import NewerKeyFile, read_keys, stamp_of
from infra.security.api_keys.lines import BadKeyLine, parse_lines

_MOST_LINE_FILE_BYTES = 4 * 1024 * 1024
_logger = logging.getLogger("infra.security")


class KeySource(ABC):
    """A file with keys, and the keys last read from it.

    If the file can no longer be read, the keys last read stay valid for a while, so that a failed disk does not lock
    out all callers.

    Attributes:
        keys: Keys as last read.
        degraded: Set while the file cannot be read; None otherwise.
    """

    def __init__(self, path: Path, clock: Clock, *, stale_seconds: float) -> None:
        self.keys: Sequence[ApiKey] = ()
        self.degraded: Degraded | None = None
        self._path = path
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._good_until_seconds = -1.0

    @property
    def is_known(self) -> bool:
        """Whether `keys` are recent enough to be used."""
        return self.degraded is None or self._clock.monotonic() < self._good_until_seconds

    def load(self) -> bool:
        """Read the file if it changed, and return whether it did. Blocks.

        Raises:
            OSError: The file cannot be read.
            ValueError: The content is not valid.
            apsw.Error: The file is not a database.
            NewerKeyFile: The file was written by a newer version.
        """
        found = self._read_if_changed()
        self._good_until_seconds = self._clock.monotonic() + self._stale_seconds
        if found is None:
            return False
        self.keys = found
        return True

    def reload(self) -> bool:
        """Like `load`, but mark the source as degraded instead of raising."""
        try:
            is_changed = self.load()
        except (OSError, ValueError, apsw.Error, NewerKeyFile) as exc:
            self._invalidate()
            self._degrade(exc)
            return False
        self._recover()
        return is_changed

    @abstractmethod
    def _read_if_changed(self) -> Sequence[ApiKey] | None:
        """Return the keys; None if the file did not change."""

    @abstractmethod
    def _invalidate(self) -> None:
        """Make the next call read the file in any case."""

    def _degrade(self, exc: Exception) -> None:
        if self.degraded is not None:
            return
        self.degraded = Degraded(
            component="api keys",
            reason=f"{self._path.name} cannot be read",
            since_milliseconds=self._clock.now_milliseconds(),
        )
        _logger.error("keys cannot be read from %s: %s", self._path, exc)

    def _recover(self) -> None:
        if self.degraded is not None:
            self.degraded = None
            _logger.info("keys can be read again from %s", self._path)


class KeyFileSource(KeySource):
    """The file `keys.db`. It may not exist yet; a file that disappeared counts as unreadable."""

    def __init__(self, path: Path, clock: Clock, *, stale_seconds: float) -> None:
        super().__init__(path, clock, stale_seconds=stale_seconds)
        self._stamp: tuple[int, ...] | None = None
        self._was_there = False

    def _read_if_changed(self) -> Sequence[ApiKey] | None:
        stamp = stamp_of(self._path)
        if not stamp and self._was_there:
            raise FileNotFoundError("it is gone")
        if stamp == self._stamp:
            return None
        keys = read_keys(self._path)
        self._stamp = stamp
        self._was_there = bool(stamp)
        return keys

    def _invalidate(self) -> None:
        self._stamp = None


class KeyLinesSource(KeySource):
    """A file of key lines, such as a secret mounted by an orchestrator."""

    def __init__(self, path: Path, clock: Clock, *, stale_seconds: float) -> None:
        super().__init__(path, clock, stale_seconds=stale_seconds)
        self._content: bytes | None = None

    def _read_if_changed(self) -> Sequence[ApiKey] | None:
        # A small file, read completely each time: two quick changes may have the same modification time.
        with self._path.open("rb") as file:
            content = file.read(_MOST_LINE_FILE_BYTES + 1)
        if len(content) > _MOST_LINE_FILE_BYTES:
            raise BadKeyLine("the file is too large for a list of keys")
        if content == self._content:
            return None
        keys = list(parse_lines(text_of(content).splitlines()))
        self._content = content
        return keys

    def _invalidate(self) -> None:
        self._content = None
