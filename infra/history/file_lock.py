"""A file that one process holds at a time."""

import os
import sys
from pathlib import Path
from typing import Self

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """Held until it is released or its process ends, however it ends.

    The lock is on a file of its own beside what it guards: opening and closing a SQLite file by hand would drop the
    locks SQLite holds on it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def try_to_hold(cls, path: Path) -> Self | None:
        """Return the lock, or None while another process, or another part of this one, holds it."""
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink == 0:
            # Its holder removed it between our two steps: this lock guards a name that is gone.
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def release(self) -> None:
        """Let others hold it."""
        os.close(self._descriptor)
