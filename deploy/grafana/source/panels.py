"""Panels, independent of their data source."""

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


MODEL = ("provider", "model")
"""Dimensions of metrics of answers."""

ROUTE = (*MODEL, "outcome")
"""Dimensions of metrics of provider calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One graph.

    Attributes:
        says: Description of good and bad values.
        cloudwatch: The same on AWS.
    """

    title: str
    says: str
    unit: Unit
    prometheus: tuple[Prometheus, ...]
    cloudwatch: tuple[CloudWatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One dashboard; `uid` is part of its address."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


def of_each_instance(title: str, says: str, unit: Unit, metric: str, cloud_metric: str) -> Panel:
    """Return a gauge of every instance; on AWS, that of the task which has most."""
    return Panel(
        title=title,
        says=says,
        unit=unit,
        prometheus=(Prometheus(metric, "{{instance}}"),),
        cloudwatch=(CloudWatch(cloud_metric, "Maximum"),),
    )


def spread_of_seconds(
    title: str,
    says: str,
    histogram: str,
    cloud_metric: str,
    *,
    by: str = "",
    where: str = "",
    per: tuple[str, ...] = (),
) -> Panel:
    """Return median and 95th percentile of a histogram, for each value of the labels `by` (on AWS: of the dimensions `per`)."""
    return Panel(
        title=title,
        says=says,
        unit=Unit.SECONDS,
        prometheus=_quantiles(histogram, by, where),
        cloudwatch=tuple(CloudWatch(cloud_metric, share, per) for share in ("p50", "p95")),
    )


def _quantiles(histogram: str, by: str, where: str) -> tuple[Prometheus, ...]:
    grouped = ", ".join(filter(None, ("le", by)))
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",") if label)
    rate = f"sum by ({grouped}) (rate({histogram}_bucket{where}[$__rate_interval]))"
    return tuple(
        Prometheus(f"histogram_quantile({share}, {rate})", f"{name} {legend}".strip())
        for share, name in ((0.5, "p50"), (0.95, "p95"))
    )
