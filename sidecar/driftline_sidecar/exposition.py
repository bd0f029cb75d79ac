"""From figures to Prometheus's text format: families of samples, made anew for each scrape.

prometheus-client's own metric objects cost about 2 kB a series and keep what has vanished. Here
nothing is kept: a feature that is gone from the report is gone from the next scrape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

from driftline_sidecar.metrics import COMMON_LABELS, PREFIX, SERIES, Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Sequence[str]


class Families:
    """The series of one monitor, gathered and then rendered; at most `limit` samples of them.

    `common` are the values of the common labels. What goes beyond the limit is left out and
    counted in `cut`: in the order in which it is added, so that the same ones are left out each time.
    """

    def __init__(self, common: Labels, limit: int | None = None) -> None:
        self._common = tuple(common)
        self._families: dict[str, Metric] = {}
        self._limit = limit
        self.samples = 0
        self.cut = 0

    def declare(self, name: str) -> Metric:
        """The family of that name, begun if need be: it is exposed though it may hold no sample."""
        family = self._families.get(name)
        if family is None:
            series = SERIES[name]
            family = Metric(_exposed(series), series.help, series.kind)
            self._families[name] = family
        return family

    def add(self, name: str, value: float, labels: Labels = ()) -> None:
        """One sample of a counter or gauge; `labels` in the catalogue's order."""
        if self._full(1):
            return
        series = SERIES[name]
        self.declare(name).add_sample(PREFIX + name, self._labels(series.labels, labels), value)

    def add_states(self, name: str, states: Iterable[str], current: str, labels: Labels = ()) -> None:
        """One sample per state: 1 for the current one, 0 for the others."""
        for state in states:
            self.add(name, float(state == current), (*labels, state))

    def add_histogram(
        self,
        name: str,
        edges: Sequence[float],
        cumulative: Sequence[float],
        total: float,
        labels: Labels = (),
    ) -> None:
        """A histogram: counts at or below each edge, with the one for +Inf last; `total` is the sum."""
        if self._full(len(edges) + 3):
            return
        series = SERIES[name]
        family = self.declare(name)
        base = self._labels(series.labels, labels)
        bounds = [*(repr(float(edge)) for edge in edges), "+Inf"]
        for bound, count in zip(bounds, cumulative, strict=True):
            family.add_sample(PREFIX + name + "_bucket", {**base, "le": bound}, count)
        family.add_sample(PREFIX + name + "_sum", base, total)
        family.add_sample(PREFIX + name + "_count", base, cumulative[-1])

    def joined(self, other: Families) -> Families:
        """These, and the other's families as well; for what must not fall to the limit."""
        for name, family in other._families.items():
            self._families.setdefault(name, family)
        return self

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._families.values())

    def _labels(self, names: Labels, values: Labels) -> dict[str, str]:
        labels = dict(zip(COMMON_LABELS, self._common, strict=True))
        labels.update(zip(names, values, strict=True))
        return labels

    def _full(self, more: int) -> bool:
        if self._limit is not None and self.samples + more > self._limit:
            self.cut += more
            return True
        self.samples += more
        return False


def render(families: Iterable[Metric]) -> bytes:
    """The families in Prometheus's text format 0.0.4."""
    return generate_latest(_Given(list(families)))


def merge(parts: Iterable[Families]) -> list[Metric]:
    """Families of several monitors as one exposition: a name's samples stand together."""
    merged: dict[str, Metric] = {}
    for part in parts:
        for family in part:
            known = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            known.samples.extend(family.samples)
    return list(merged.values())


class _Given(Collector):
    """What `generate_latest` wants of a registry, without one: no state, no lock, no global."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _exposed(series: Series) -> str:
    """prometheus-client appends a counter's `_total` itself."""
    return PREFIX + (series.name.removesuffix("_total") if series.kind == "counter" else series.name)


def join(expositions: Iterable[str]) -> str:
    """Several programs' expositions as one: a family that more than one has is told once."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for text in expositions:
        family = ""
        for line in text.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                name = line.split(" ", 3)[2]
                if name != family:
                    family, new = name, name not in heads
                    heads.setdefault(family, [])
                    samples.setdefault(family, [])
                if new:
                    heads[family].append(line)
            elif line and not line.startswith("#"):
                samples.setdefault(family, []).append(line)
    lines = [line for family in samples for line in (*heads.get(family, ()), *samples[family])]
    return "".join(line + "\n" for line in lines)
