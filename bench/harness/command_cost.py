"""Measures the cost of a command from outside its process."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class CommandCost:
    """A whole command, from the start of its process to its end.

    Attributes:
        cpu_seconds: In and out of the kernel, all threads.
        peak_bytes: The most memory it occupied.
        output: Text printed by the command.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def cost_of(arguments: Sequence[str], environment: Mapping[str, str]) -> CommandCost:
    """Run `python main.py` with `arguments`; anything but success is an error."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "main.py", *arguments],
        cwd=_ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    peak_bytes = 0
    while process.poll() is None:
        peak_bytes = max(peak_bytes, _peak_bytes(process.pid))
        time.sleep(_LOOK_SECONDS)
    wall_seconds = time.perf_counter() - started
    output, _ = process.communicate()  # some lines: they fit the pipe
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}: {output}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return CommandCost(
        wall_seconds=wall_seconds,
        cpu_seconds=used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        peak_bytes=peak_bytes,
        output=output,
    )


def _peak_bytes(pid: int) -> int:
    """Return the most memory a process occupied so far; 0 when it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    kibibytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kibibytes[0]) * 1024 if kibibytes else 0
