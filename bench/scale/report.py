"""The table and the plots of `bench.scale`."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_PAGES = ("first page", "last page", "large user: first page", "large user: last page")
_MIB = 1024 * 1024
_NONE = float("nan")


def write_report(results: Path, store: str, command: str, measured: list[dict[str, Any]]) -> None:
    """Save the measurements of one store as JSON and as a plot, and write SCALE.md from all saved ones.

    Sizes that were measured before and not this time stay.
    """
    file = results / f"scale-{store}.json"
    kept = json.loads(file.read_text()) if file.exists() else {"runs": []}
    now = _circumstances(command)
    runs = {run["count"]: run for run in kept["runs"]}
    runs |= {run["count"]: run | now for run in measured}
    file.write_text(json.dumps({"runs": [runs[count] for count in sorted(runs)]}, indent=1) + "\n")
    _plot(results / f"scale-{store}.png", store, [runs[count] for count in sorted(runs)])
    _write_table(results)


def write_import(
    results: Path, command: str, count: int, line_bytes: float, rounds: list[dict[str, Any]]
) -> None:
    """Save the measurements of the commands `import` and `export`, and write SCALE.md."""
    kept = {**_circumstances(command), "count": count, "line_bytes": line_bytes, "rounds": rounds}
    (results / "import.json").write_text(json.dumps(kept, indent=1) + "\n")
    _write_table(results)


def _circumstances(command: str) -> dict[str, str]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}",
        "command": command,
    }


def _import_lines(results: Path) -> list[str]:
    """Return the section about the commands; none before they were measured."""
    file = results / "import.json"
    if not file.exists():
        return []
    run = json.loads(file.read_text())
    rounds = run["rounds"]
    lines = [
        "",
        "## `import` and `export` with SQLite",
        "",
        f"The whole commands, from the start of the process to its end, {_spaced(run['count'])} interactions in lines of "
        f"{run['line_bytes']:.0f} bytes, into an empty store; read back and",
        "summed up on both sides, and exported again to the same lines.",
        "",
        "| | " + " | ".join(f"round {number}" for number in range(1, len(rounds) + 1)) + " |",
        "|---|" + "---:|" * len(rounds),
    ]
    for title, key, scale in (
        ("import, interactions a second", "import_per_second", 1),
        ("import, µs CPU an interaction, all threads", "import_cpu_us", 1),
        ("import, peak memory in MiB", "import_peak_rss", _MIB),
        ("export, interactions a second", "export_per_second", 1),
        ("export, µs CPU an interaction", "export_cpu_us", 1),
        ("export, peak memory in MiB", "export_peak_rss", _MIB),
    ):
        values = [_spaced(round(each[key] / scale)) for each in rounds]
        lines.append(f"| {title} | " + " | ".join(values) + " |")
    return [*lines, "", f"{run['date']}, {run['machine']}, `{run['command']}`{_note(run)}"]


def _write_table(results: Path) -> None:
    lines = [
        "# Cost of history as it grows",
        "",
        "Written by `python -m bench.scale`. Milliseconds are CPU time of the service's process for one whole HTTP request, all",
        "threads. The user that is asked for has 10 000 interactions in every store, which lie apart as others wrote in between; the",
        "large user has a tenth of the store. Pages are of 20. Bytes are as on the disk.",
        *_import_lines(results),
    ]
    for file in sorted(results.glob("scale-*.json")):
        runs = json.loads(file.read_text())["runs"]
        store = file.stem.removeprefix("scale-")
        names = list(dict.fromkeys(name for run in runs for name in run["cpu_ms"]))
        lines += ["", f"## {store}", "", f"![{store}](results/{file.stem}.png)", ""]
        lines += [
            "| CPU ms a request | " + " | ".join(_spaced(run["count"]) for run in runs) + " |"
        ]
        lines += ["|---|" + "---:|" * len(runs)]
        for name in names:
            lines.append(
                f"| {name} | " + " | ".join(_number(run["cpu_ms"].get(name)) for run in runs) + " |"
            )
        for title, key, scale in (
            ("fill, µs CPU an interaction, read back included", "fill_cpu_us", 1),
            ("fill, µs elapsed an interaction", "fill_wall_us", 1),
            ("export of the store, µs CPU an interaction", "export_cpu_us", 1),
            ("export of the store, peak memory in MiB", "export_peak_rss", _MIB),
            ("the service's memory after all this in MiB", "rss_end", _MIB),
            ("the store's file in MiB", "store_bytes", _MIB),
        ):
            if any(run.get(key) for run in runs):
                values = [run[key] / scale if run.get(key) else None for run in runs]
                lines.append(
                    f"| **{title}** | " + " | ".join(_number(value) for value in values) + " |"
                )
        lines.append("")
        lines += [
            f"- {_spaced(run['count'])}: {run['date']}, {run['machine']}, `{run['command']}`{_note(run)}"
            for run in runs
        ]
    (results.parent / "SCALE.md").write_text("\n".join(lines) + "\n")


def _plot(file: Path, store: str, runs: list[dict[str, Any]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    sizes = [run["count"] for run in runs]
    figure, (pages, others, whole) = pyplot.subplots(1, 3, figsize=(17, 5.5))
    names = list(dict.fromkeys(name for run in runs for name in run["cpu_ms"]))
    for name in names:
        axes = pages if name in _PAGES else others
        values = [run["cpu_ms"].get(name, _NONE) for run in runs]
        axes.plot(sizes, values, marker="o", label=name)
    pages.set(title="a page of 20", ylabel="CPU ms a request", ylim=(0, None))
    others.set(title="a user of 10 000", ylabel="CPU ms a request", yscale="log")
    for key, label in (
        ("fill_cpu_us", "fill, µs CPU an interaction"),
        ("export_cpu_us", "export, µs CPU an interaction"),
    ):
        whole.plot(sizes, [run.get(key, _NONE) for run in runs], marker="o", label=label)
    whole.plot(
        sizes,
        [run.get("export_peak_rss", _NONE) / _MIB for run in runs],
        marker="s",
        label="export, peak MiB",
    )
    whole.plot(sizes, [run["rss_end"] / _MIB for run in runs], marker="s", label="service, MiB")
    whole.set(title="the whole store", ylim=(0, None))
    for axes in (pages, others, whole):
        axes.set(xscale="log", xlabel="interactions in the store")
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(f"History in {store}")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _note(run: dict[str, Any]) -> str:
    """Return the notes added by hand to the results."""
    return f"; {run['note']}" if "note" in run else ""


def _spaced(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
