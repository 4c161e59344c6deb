"""Measures the speed of `python main.py import FILE` and `export` with SQLite.

    python -m bench.import_speed                    # 200 000 interactions, three times
    python -m bench.import_speed --count 1000000

The file is made up beforehand. Each round imports it into a store that is not there yet: from the start of the process to
its end, so that starting, reading, checking each line, writing it durably with all indexes, reading it back and summing up
both sides are in it. What the round exports again has to be the same, line by line. Writes bench/results/import.json and
bench/SCALE.md.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench.harness.command_cost import cost_of
from bench.scale.data import MadeUpHistory
from bench.scale.report import write_import
from infra.history.format.documents import record_of
from infra.history.transfer.jsonl_format import line_of

RESULTS = Path(__file__).parent / "results"


def write_file(file: Path, count: int) -> None:
    """Generate interactions and write them in the export format."""
    history = MadeUpHistory(count)
    with file.open("wb") as lines:
        for number in tqdm(range(count), unit="row", unit_scale=True, desc="make up", disable=None):
            lines.write(line_of(record_of(history.interaction(number))) + b"\n")


def measured(file: Path, folder: Path, count: int) -> dict[str, float]:
    """Import a file into a new store, export it again, and return the cost."""
    environment = {"DATA_DIR": str(folder / "data")}
    imported = cost_of(["import", str(file)], environment)
    assert imported.output.count(f"{count} interactions, checksum") == 2, imported.output
    again = folder / "again.jsonl"
    exported = cost_of(["export", str(again)], environment)
    assert _same_lines(file, again)
    return {
        "import_per_second": count / imported.wall_seconds,
        "import_cpu_us": imported.cpu_seconds / count * 1e6,
        "import_peak_rss": imported.peak_bytes,
        "export_per_second": count / exported.wall_seconds,
        "export_cpu_us": exported.cpu_seconds / count * 1e6,
        "export_peak_rss": exported.peak_bytes,
    }


def _same_lines(one: Path, other: Path) -> bool:
    """Return whether two files have the same lines in any order, by the hashes of the lines."""
    return sorted(_hashes(one)) == sorted(_hashes(other))


def _hashes(file: Path) -> Iterator[int]:
    with file.open("rb") as lines:
        for line in lines:
            yield hash(line)


def main() -> None:
    """Run the measurement named on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.import_speed", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--count", type=int, default=200_000, help="how many interactions")
    parser.add_argument("--rounds", type=int, default=3, help="how often; every round is shown")
    parsed = parser.parse_args()
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="import-speed-") as folder:
        file = Path(folder) / "all.jsonl"
        write_file(file, parsed.count)
        for _ in tqdm(range(parsed.rounds), desc="import", disable=None):
            of_round = Path(folder) / "round"
            of_round.mkdir()
            rounds.append(measured(file, of_round, parsed.count))
            shutil.rmtree(of_round)
            print(rounds[-1], flush=True)
        line_bytes = file.stat().st_size / parsed.count
    command = f"python -m bench.import_speed --count {parsed.count}"
    write_import(RESULTS, command, parsed.count, line_bytes, rounds)


if __name__ == "__main__":
    main()
