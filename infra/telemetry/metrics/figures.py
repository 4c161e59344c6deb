"""What a registry has counted since somebody last looked."""

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
    """Observations, each taken for the middle of its bucket; those above the last bound for that bound."""

    values: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)


class Figures:
    """Two looks at a registry, and the difference between them. Only for one thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._before: dict[_SampleKey, float] = {}
        self._now: dict[_SampleKey, float] = {}
        self._samples: dict[str, list[Sample]] = {}

    def look(self) -> None:
        """Let what was seen last be the past; before the first look everything was 0."""
        self._before, self._now, self._samples = self._now, {}, defaultdict(list)
        for family in self._registry.collect():
            for sample in family.samples:
                self._samples[sample.name].append(sample)
                self._now[_key_of(sample)] = sample.value

    def gauge(self, name: str, **among: frozenset[str]) -> float | None:
        """Return the sum over all samples whose labels are among these; None where there is no such metric."""
        samples = self._samples.get(name)
        if samples is None:
            return None
        wanted = [
            sample
            for sample in samples
            if all(sample.labels[label] in values for label, values in among.items())
        ]
        return sum([sample.value for sample in wanted])

    def counted(self, name: str, labels: Sequence[str]) -> dict[Key, float]:
        """Return by how much a counter has grown, by these labels; what has not grown is left out."""
        grown: dict[Key, float] = defaultdict(float)
        for sample, growth in self._growth(name):
            grown[tuple([sample.labels[label] for label in labels])] += growth
        return grown

    def spreads(self, name: str, labels: Sequence[str]) -> dict[Key, Percentiles]:
        """Return what a histogram has observed, by these labels; where it has observed nothing, there is no entry."""
        up_to: dict[Key, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        for sample, growth in self._growth(f"{name}_bucket"):
            key = tuple([sample.labels[label] for label in labels])
            up_to[key][float(sample.labels["le"])] += growth
        bounds = sorted(
            {float(one.labels["le"]) for one in self._samples.get(f"{name}_bucket", ())}
        )
        return {key: _spread(bounds, cumulated) for key, cumulated in up_to.items()}

    def _growth(self, name: str) -> Iterator[tuple[Sample, float]]:
        for sample in self._samples.get(name, ()):
            growth = sample.value - self._before.get(_key_of(sample), 0.0)
            if growth:
                yield sample, growth


def _key_of(sample: Sample) -> _SampleKey:
    return sample.name, tuple(sample.labels.items())


def _spread(bounds: Sequence[float], cumulated: dict[float, float]) -> Percentiles:
    values, counts = [], []
    below = 0.0
    for lower, upper in pairwise([0.0, *bounds]):
        here = cumulated.get(upper, 0.0)
        if here > below:
            values.append(lower if upper == float("inf") else (lower + upper) / 2)
            counts.append(round(here - below))
        below = here
    return Percentiles(tuple(values), tuple(counts))
