"""Plots of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.harness.load import quantile
from bench.harness.measures import Added, Costs

mpl.use("agg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).parents[1] / "plots"


def draw_costs(costs: Mapping[str, Costs]) -> Path:
    """Plot the CPU time of a request, with a dot for each round."""
    figure, axes = plt.subplots(figsize=(8, 0.6 * len(costs) + 1.2), layout="constrained")
    names = list(costs)
    axes.barh(names, [costs[name].cpu for name in names], color="#4c78a8")
    for place, name in enumerate(names):
        values = costs[name].cpu_milliseconds
        axes.plot(values, [place] * len(values), "o", color="#333333", markersize=3)
    axes.invert_yaxis()
    axes.set_xlabel("CPU milliseconds a request (bar: median, dots: rounds)")
    return _saved(figure, "cpu.png")


def draw_added(added: Mapping[str, Added]) -> Path:
    """Plot the latency of answers, with and without the service."""
    figure, panes = plt.subplots(
        1, len(added), figsize=(5 * len(added), 3.4), layout="constrained", squeeze=False
    )
    for axes, (title, both) in zip(panes[0], added.items(), strict=True):
        for values, label in ((both.direct, "provider alone"), (both.through, "through us")):
            ordered = sorted(value * 1000 for value in values)
            shares = [number / len(ordered) for number in range(len(ordered))]
            axes.plot(ordered, shares, label=label)
        axes.set_xlim(left=900 * min(both.direct), right=1000 * quantile(both.through, 0.99))
        axes.set_xlabel("milliseconds")
        axes.set_ylabel("share answered by then")
        axes.set_title(title)
        axes.legend()
    return _saved(figure, "latency.png")


def draw_soak(rows: list[tuple[int, float]]) -> Path:
    """Plot the memory over the answered requests."""
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.plot([count for count, _ in rows], [mebibytes for _, mebibytes in rows])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("requests")
    axes.set_ylabel("resident MiB")
    return _saved(figure, "soak.png")


def _saved(figure: Any, name: str) -> Path:
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / name
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path
