"""Measures the cost of the service, compared with the minimum of any proxy.

make bench                  # about seven minutes, all of it; writes bench/RESULTS.md and bench/plots
make bench ARGS="--quick"   # two minutes, CPU and a short overload, to compare two versions; writes nothing
make bench ARGS="--workers" # 1, 2 and 4 processes with MongoDB, and the cost of their shared limits; writes nothing
"""

import argparse
import os
import statistics
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from tqdm import tqdm

from bench.harness import measures, processes
from bench.harness.load import closed_loop
from bench.harness.measures import Added, Costs, Target
from bench.harness.report import Row, as_table, machine, write_results

_MIB = 2**20
_CONNECTIONS = 64
_STARTS = 5
_OWN_WRITES = "mock(gap=0.000001)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """Rate at which the added time is measured, and its targets in milliseconds.

    Attributes:
        may_sync: The disk's own sync comes on top of `most_p50`.
    """

    stream: bool = False
    per_second: float = 50.0
    latency_seconds: float = 0.05
    most_p50: float = 2.0
    may_sync: bool = False
    most_p99: str = ""


_PACES = {
    "whole answer": _Pace(may_sync=True),
    "first token of a stream": _Pace(stream=True),
    "answer that takes 200 ms": _Pace(
        per_second=100.0, latency_seconds=0.2, most_p50=8.0, most_p99="≤ 60"
    ),
}


async def run(*, rounds: int, seconds: float, is_quick: bool) -> None:
    """Measure everything and print it; write the results unless it was a quick run."""
    load_before = os.getloadavg()[0]
    rows: list[Row] = []
    with ExitStack() as stack:
        upstream = stack.enter_context(processes.provider())
        baseline = stack.enter_context(processes.passthrough(upstream))
        starts = _starts(upstream, 1 if is_quick else _STARTS)
        service = stack.enter_context(processes.service(upstream))
        rows += [
            Row(
                "seconds to the first answer",
                f"{statistics.median([start.seconds_to_answer for start in starts]):.2f}",
                "≤ 1.0",
            ),
            Row(
                "of which CPU",
                f"{statistics.median([start.cpu_seconds_to_answer for start in starts]):.2f}",
            ),
            _resident("RSS at start", service.process.resident_bytes(), "≤ 90 MiB"),
        ]
        targets = [
            Target("mock provider", upstream, measures.direct()),
            Target("baseline", baseline, measures.direct()),
            Target("chat, all events in one write", service.process, measures.chat(service)),
            Target(
                "chat, one write per event",
                service.process,
                measures.chat(service, manner=_OWN_WRITES),
            ),
            Target(
                "stream of 30",
                service.process,
                measures.chat(service, manner="mock(chunks=30)", stream=True),
            ),
            Target("chat completion", service.process, measures.completion(service)),
            Target("response", service.process, measures.response(service)),
        ]
        with tqdm(total=len(targets) * (rounds + 1), desc="CPU", file=sys.stderr) as bar:
            costs = await measures.costs(
                targets,
                rounds=rounds,
                seconds=seconds,
                connections=_CONNECTIONS,
                progress=bar.update,
            )
        rows += _cost_rows(costs)
        added: dict[str, Added] = {}
        if not is_quick:
            added = await _added(service, upstream, rows)
            await _crowds(service, rows)
        await _overload(upstream, rows, seconds=5 if is_quick else 60)
    print(as_table(rows))
    if not is_quick:
        from bench.harness import plots  # matplotlib takes seconds to import

        pictures = [plots.draw_costs(costs), plots.draw_added(added)]
        write_results(rows, (load_before, os.getloadavg()[0]), pictures)


async def run_workers(*, rounds: int, seconds: float) -> None:
    """Measure several processes and print the figures."""
    from bench import several  # needs the MongoDB of the tests

    with processes.provider() as upstream:
        print(as_table(await several.rows(upstream, rounds=rounds, seconds=seconds)))
    print(f"on {machine()}; load average {os.getloadavg()[0]:.1f}")


def _starts(upstream: processes.Watched, times: int) -> list[processes.Watched]:
    taken = []
    for _ in tqdm(range(times), desc="starts", file=sys.stderr):
        with processes.service(upstream) as service:
            taken.append(service.process)
    return taken


def _cost_rows(costs: Mapping[str, Costs]) -> list[Row]:
    baseline = costs["baseline"].cpu
    promised = {
        "chat, all events in one write": ("≤ 0.50", "≥ 0.20"),
        "stream of 30": ("≤ 0.67", ""),
    }
    rows = []
    for name, cost in costs.items():
        cpu, ratio = promised.get(name, ("", ""))
        rows += [
            Row(f"{name}: CPU ms", f"{cost.cpu:.3f}", cpu),
            Row(f"{name}: requests a second per core", f"{cost.per_core_second:,.0f}"),
            Row(f"{name}: share of the baseline", f"{baseline / cost.cpu:.2f}", ratio),
            Row(f"{name}: errors at {_CONNECTIONS} connections", str(cost.errors), "0"),
        ]
    share = costs["response"].cpu / costs["chat completion"].cpu
    return [*rows, Row("response: CPU of that of a chat completion", f"{share:.2f}", "≤ 1.25")]


async def _added(
    service: processes.Service, upstream: processes.Watched, rows: list[Row]
) -> dict[str, Added]:
    found = {}
    for title, pace in _PACES.items():
        with tqdm(total=6, desc=title, file=sys.stderr) as bar:
            both = await measures.added(
                service,
                upstream,
                stream=pace.stream,
                rounds=3,
                seconds=8,
                progress=bar.update,
                per_second=pace.per_second,
                latency_seconds=pace.latency_seconds,
            )
        found[title] = both
        sync = statistics.median(both.sync_milliseconds)
        most = pace.most_p50 + (sync if pace.may_sync else 0)
        at = f"{title}: added at {pace.per_second:.0f}/s"
        rows += [
            Row(f"{title}: a sync of the disk meanwhile, ms", f"{sync:.2f}"),
            Row(f"{at}, p50 ms", f"{both.at(0.5):.2f}", f"≤ {most:.2f}"),
            Row(f"{at}, p99 ms", f"{both.at(0.99):.2f}", pace.most_p99),
        ]
    return found


async def _crowds(service: processes.Service, rows: list[Row]) -> None:
    port = service.process.port
    crowd = await closed_loop(port, measures.chat(service), connections=1000, seconds=5)
    rows.append(Row("errors at 1000 connections", str(crowd.errors), "0"))
    with tqdm(total=30_000, desc="1000 in flight", file=sys.stderr) as bar:
        outcome, live = await measures.in_flight(
            service, calls=1000, seconds=60, progress=bar.update
        )
    per_second = outcome.answered / outcome.seconds
    rows += [
        Row("1000 in flight at 2 s: answers/s", f"{per_second:.0f}", "≥ 475"),
        Row("1000 in flight at 2 s: errors", str(outcome.errors), "0"),
        Row(
            "meanwhile, slowest /health/live, ms",
            f"{max(live.latencies_seconds) * 1000:.0f}",
            "≤ 100",
        ),
        _resident("RSS after it", service.process.resident_bytes(), "≤ 200 MiB"),
    ]


async def _overload(upstream: processes.Watched, rows: list[Row], *, seconds: float) -> None:
    with processes.service(upstream, MAX_CONCURRENT_CHATS="50") as service:
        found = await measures.overload(service, chats=50, seconds=seconds)
    rows += [
        Row("threefold overload: answers/s of peak", f"{found.good / found.peak:.2f}", "≥ 0.80"),
        Row("threefold overload: refused in, p99 ms", f"{found.refused_p99:.0f}", "≤ 100"),
        Row("threefold overload: slowest /health/live, ms", f"{found.slowest_live:.0f}", "≤ 100"),
        Row("after the overload: share answered", f"{found.recovered:.3f}", "1"),
    ]


def _resident(name: str, size_bytes: int, promised: str) -> Row:
    return Row(name, f"{size_bytes / _MIB:.0f} MiB", promised)


def main() -> None:
    """Read the command line and measure."""
    import uvloop

    parser = argparse.ArgumentParser(
        prog="python -m bench", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="only CPU and a short overload, and write nothing down"
    )
    parser.add_argument(
        "--workers", action="store_true", help="only several processes, and write nothing down"
    )
    parser.add_argument("--rounds", type=int, default=9, help="turns of all (9)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn (2)")
    arguments = parser.parse_args()
    if arguments.workers:
        uvloop.run(run_workers(rounds=arguments.rounds, seconds=arguments.seconds))
        return
    uvloop.run(run(rounds=arguments.rounds, seconds=arguments.seconds, is_quick=arguments.quick))


if __name__ == "__main__":
    main()
