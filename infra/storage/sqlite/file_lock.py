"""A lock on a file that one process holds at a time."""

import errno
import os
import sys
from pathlib import Path
from typing import Self

from infra.configuration import ConfigurationError

_HELD_ERRORS = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})
"""Error numbers of a lock that is held; any other error leaves open whether it is."""

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """A lock that is held until it is released or its process ends in any way.

    It is on a separate file: opening and closing a SQLite file outside SQLite would drop the locks that SQLite holds
    on it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def try_to_acquire(cls, path: Path) -> Self | None:
        """Return the lock, or None while another process, or another part of this one, holds it.

        Raises:
            ConfigurationError: The file system of `path` does not lock files.
        """
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            _lock(descriptor)
        except OSError as exc:
            os.close(descriptor)
            if exc.errno in _HELD_ERRORS:
                return None
            raise ConfigurationError(
                f"{path} cannot be locked ({exc.strerror}): its file system does not lock files. Set DATA_DIR to a local"
                " disk, or mount the share with locking"
            ) from exc
        if os.fstat(descriptor).st_nlink == 0:
            # Its holder removed the file between opening and locking: the lock is on a file without a name.
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def release(self) -> None:
        """Release the lock; a second call changes nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
