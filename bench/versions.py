"""Compares versions of the service: the CPU time of a start, a chat and a stream of thirty events, in turns.

    git worktree add /tmp/before HEAD~1
    python -m bench.versions /tmp/before

Each round asks every version and the baseline, one after the other, and the next round asks them in the reverse order. The
ratios are medians over the rounds of ratios within a round, so a machine whose speed changes from minute to minute affects
them little. All versions run with the packages of this checkout.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from bench.harness import measures, processes
from bench.harness.load import closed_loop
from bench.harness.processes import Watched

_HERE = Path(__file__).parents[1]
_CONNECTIONS = 64
_BASELINE = "baseline"
Rounds = list[dict[str, float]]
"""CPU milliseconds by version, one mapping for each round."""


def _starts(roots: Mapping[str, Path], upstream: Watched, rounds: int) -> Rounds:
    """Measure the CPU time until the first answer; the first round warms up and does not count."""
    found: Rounds = []
    for number in tqdm(range(rounds + 1), desc="starts", file=sys.stderr):
        costs = {}
        for name in _in_turn(list(roots), number):
            with processes.service(upstream, roots[name]) as service:
                costs[name] = service.process.cpu_seconds_to_answer * 1000
        found.append(costs)
    return found[1:]


async def _requests(
    roots: Mapping[str, Path], upstream: Watched, rounds: int, seconds: float
) -> Mapping[str, Rounds]:
    """Measure the CPU time of an answer, for each kind of request; the first round does not count."""
    found: dict[str, Rounds] = {kind: [] for kind in measures.TEXT_CHATS}
    with ExitStack() as stack:
        baseline = stack.enter_context(processes.passthrough(upstream))
        services = {
            name: stack.enter_context(processes.service(upstream, root))
            for name, root in roots.items()
        }
        for number in tqdm(range(rounds + 1), desc="requests", file=sys.stderr):
            for kind, request in measures.TEXT_CHATS.items():
                costs = {}
                for name in _in_turn([_BASELINE, *services], number):
                    if name == _BASELINE:
                        costs[name] = await _cost(baseline, measures.direct(), seconds)
                    else:
                        service = services[name]
                        costs[name] = await _cost(service.process, request(service), seconds)
                found[kind].append(costs)
    return {kind: costs[1:] for kind, costs in found.items()}


async def _cost(process: Watched, request: bytes, seconds: float) -> float:
    before = process.cpu_seconds()
    outcome = await closed_loop(process.port, request, connections=_CONNECTIONS, seconds=seconds)
    if outcome.errors or not outcome.answered:
        raise RuntimeError(f"not all were answered: {outcome.statuses}")
    return (process.cpu_seconds() - before) / outcome.answered * 1000


def _in_turn(names: Sequence[str], number: int) -> Sequence[str]:
    return names if number % 2 else names[::-1]


def _print(kind: str, rounds: Rounds, here: str) -> None:
    for name in rounds[0]:
        milliseconds = statistics.median(costs[name] for costs in rounds)
        print(f"{kind}, {name}: {milliseconds:.3f} ms")
    for name in rounds[0]:
        if name != here:
            ratios = [costs[here] / costs[name] for costs in rounds]
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(f"{kind}: {middle:.3f} of {name} (half of the rounds: {low:.3f} to {high:.3f})")


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.versions",
        description=__doc__.split("\n\n")[0] if __doc__ else None,
    )
    parser.add_argument("others", type=Path, nargs="+", help="checkouts of other versions")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of requests (20)")
    parser.add_argument("--seconds", type=float, default=2.0, help="load in each (2)")
    parser.add_argument("--starts", type=int, default=5, help="rounds of starts (5; 0: none)")
    arguments = parser.parse_args()
    if arguments.rounds < 2 or arguments.starts == 1:
        parser.error("quartiles take at least two rounds")
    roots = {"this version": _HERE, **{root.name: root.resolve() for root in arguments.others}}
    with processes.provider() as upstream:
        if arguments.starts:
            _print("start", _starts(roots, upstream, arguments.starts), "this version")
        measured = asyncio.run(_requests(roots, upstream, arguments.rounds, arguments.seconds))
    for kind, rounds in measured.items():
        _print(kind, rounds, "this version")
    return 0


if __name__ == "__main__":
    sys.exit(main())
