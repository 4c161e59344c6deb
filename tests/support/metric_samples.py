"""Samples of the rendered metrics."""

from prometheus_client.parser import text_string_to_metric_families

from infra.telemetry.metrics.metrics import Metrics


def samples(metrics: Metrics, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """Return the samples of this name by their labels."""
    return {
        frozenset(sample.labels.items()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name == name
    }


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())
