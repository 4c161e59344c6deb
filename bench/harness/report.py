"""The figures of one run as a table, and as `bench/RESULTS.md`."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "RESULTS.md"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement, with its target if there is one."""

    name: str
    value: str
    promised: str = ""


def machine() -> str:
    """Return a description of the machine."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def as_table(rows: Sequence[Row]) -> str:
    """Return a table in Markdown that reads well as plain text too."""
    cells = [("figure", "measured", "promised")] + [
        (row.name, row.value, row.promised) for row in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write_results(rows: Sequence[Row], loads: tuple[float, float], plots: Sequence[Path]) -> None:
    """Write `RESULTS.md` anew."""
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    pictures = "\n".join(f"![{plot.stem}]({plot.parent.name}/{plot.name})" for plot in plots)
    RESULTS.write_text(
        f"""# Cost of the service

Written by `make bench`; nothing here is typed by hand. {moment}, on {machine()}. Load average {loads[0]:.1f} at the
start and {loads[1]:.1f} at the end: where it is above the number of cores, others were at work on this machine, which
makes CPU times larger for everything measured. So the ratio to the yardstick counts, which is measured in turns with the rest.

{as_table(rows)}

- *CPU* is the whole process's, all threads, in and out of the kernel (`/proc/PID/task/*/schedstat`), over the requests
  answered; the median of the rounds. *A core's second* is its inverse.
- The *yardstick* is `bench/servers/passthrough.py`: a bare ASGI application on uvicorn that hands a request on with aiohttp, and
  parses and keeps nothing.
- A *chat* is `POST /v1/chat` with an API key, everything at its default: the provider streams 8 events, the answer is
  committed to the disk before it is sent, limits, metrics and one line of log. *In one write* and *each on its own* say how the mock
  provider sends its events.
- The mock provider is `bench/servers/provider.py`; its row shows that it is not what is measured.

{pictures}
"""
    )
