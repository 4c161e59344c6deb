"""Differences between two readings of a registry."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

Key = tuple[str, ...]
_SampleKey = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Observations of a histogram, each counted at the middle of its bucket, those above the last bound at that bound."""

    values: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self.counts)


class RegistryDelta:
    """The last two readings of a registry, and the differences between them. Not thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._before: dict[_SampleKey, float] = {}
        self._now: dict[_SampleKey, float] = {}
        self._samples: dict[str, list[Sample]] = {}

    def read(self) -> None:
        """Read the registry. The first reading is compared with zeros."""
        self._before, self._now, self._samples = self._now, {}, defaultdict(list)
        for family in self._registry.collect():
            for sample in family.samples:
                self._samples[sample.name].append(sample)
                self._now[_key_of(sample)] = sample.value

    def gauge(self, name: str, **among: frozenset[str]) -> float | None:
        """Return the sum of the samples whose labels have these values; None if there is no such metric."""
        samples = self._samples.get(name)
        if samples is None:
            return None
        wanted = [
            sample
            for sample in samples
            if all(sample.labels[label] in values for label, values in among.items())
        ]
        return sum([sample.value for sample in wanted])

    def increases(self, name: str, labels: Sequence[str]) -> dict[Key, float]:
        """Return the increase of a counter by label values, without unchanged ones."""
        grown: dict[Key, float] = defaultdict(float)
        for sample, growth in self._growth(name):
            grown[tuple([sample.labels[label] for label in labels])] += growth
        return grown

    def distributions(self, name: str, labels: Sequence[str]) -> dict[Key, Percentiles]:
        """Return the new observations of a histogram by label values, without empty ones."""
        up_to: dict[Key, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        for sample, growth in self._growth(f"{name}_bucket"):
            key = tuple([sample.labels[label] for label in labels])
            up_to[key][float(sample.labels["le"])] += growth
        bounds = sorted(
            {float(sample.labels["le"]) for sample in self._samples.get(f"{name}_bucket", ())}
        )
        return {key: _distribution(bounds, cumulated) for key, cumulated in up_to.items()}

    def _growth(self, name: str) -> Iterator[tuple[Sample, float]]:
        for sample in self._samples.get(name, ()):
            growth = sample.value - self._before.get(_key_of(sample), 0.0)
            if growth:
                yield sample, growth


def _key_of(sample: Sample) -> _SampleKey:
    return sample.name, tuple(sample.labels.items())


def _distribution(bounds: Sequence[float], cumulated: dict[float, float]) -> Percentiles:
    values, counts = [], []
    below = 0.0
    for lower, upper in pairwise([0.0, *bounds]):
        here = cumulated.get(upper, 0.0)
        if here > below:
            values.append(lower if upper == float("inf") else (lower + upper) / 2)
            counts.append(round(here - below))
        below = here
    return Percentiles(tuple(values), tuple(counts))
