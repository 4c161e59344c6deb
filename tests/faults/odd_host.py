"""The service on a host whose disk or clock does odd things, for as long as a file is there.

Run as `python -m tests.faults.odd_host serve`, with what is odd in the environment:

- `ODD_FULL_EVERY`: every so-manieth write to a SQLite file finds the disk full, while the file `ODD_SWITCH` is there.
- `ODD_SWITCH` holds a number: the host's clock is that many seconds off.
"""

import os
import sys
import time
from pathlib import Path

import apsw

SWITCH = Path(os.environ["ODD_SWITCH"])
UNDERLYING = "unix"


class FullDisk(apsw.VFS):
    """Lets every so-manieth write fail as a full disk does."""

    def __init__(self, every: int) -> None:
        super().__init__("full", UNDERLYING, makedefault=True)
        self.every = every
        self.writes = 0

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "FullFile":  # noqa: N802
        return FullFile(self, name, flags)


class FullFile(apsw.VFSFile):
    def __init__(
        self, disk: FullDisk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__(UNDERLYING, name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if SWITCH.exists():
            self._disk.writes += 1
            if self._disk.writes % self._disk.every == 0:
                raise apsw.FullError
        super().xWrite(data, offset)


def step_clock() -> None:
    real_ns = time.time_ns

    def stepped_ns() -> int:
        try:
            return real_ns() + round(float(SWITCH.read_text()) * 1e9)
        except (FileNotFoundError, ValueError):  # not there, or just being written
            return real_ns()

    time.time_ns = stepped_ns
    time.time = lambda: stepped_ns() / 1e9


if __name__ == "__main__":
    if "ODD_FULL_EVERY" in os.environ:
        disk = FullDisk(int(os.environ["ODD_FULL_EVERY"]))
    else:
        step_clock()
    from main import main

    sys.exit(main(sys.argv[1:]))
