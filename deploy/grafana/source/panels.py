"""What a panel is, whatever is asked for its figures."""

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """Grafana's names of units."""

    PER_SECOND = "reqps"
    SECONDS = "s"
    SHARE = "percentunit"
    BYTES = "bytes"
    COUNT = "short"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One expression, and how its series are called."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class CloudWatch:
    """A metric the service writes into its log.

    Attributes:
        statistic: As CloudWatch calls it: Sum, Average, Maximum, p95.
        per: Dimensions besides `service`, each shown on its own; empty for the whole service.
    """

    metric: str
    statistic: str
    per: tuple[str, ...] = ()


ROUTE = ("provider", "model", "outcome")
"""The dimensions of whatever is told of a call of a provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One graph.

    Attributes:
        says: What a good and a bad picture look like.
        cloudwatch: The same on AWS; empty where AWS shows it itself (processor, memory, file descriptors).
    """

    title: str
    says: str
    unit: Unit
    prometheus: tuple[Prometheus, ...]
    cloudwatch: tuple[CloudWatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One dashboard; `uid` is part of its address."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


def quantiles(histogram: str, by: str = "", where: str = "") -> tuple[Prometheus, ...]:
    """Return the median and the 95th percentile of a histogram, each for every value of the labels `by`."""
    grouped = ", ".join(filter(None, ("le", by)))
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",") if label)
    rate = f"sum by ({grouped}) (rate({histogram}_bucket{where}[$__rate_interval]))"
    return tuple(
        Prometheus(f"histogram_quantile({share}, {rate})", f"{name} {legend}".strip())
        for share, name in ((0.5, "p50"), (0.95, "p95"))
    )
