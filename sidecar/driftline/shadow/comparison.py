"""What the pairs say beside the gate's rules, as one document for people and programs. Pure, and bounded.

Whatever the classes, segments and fields, its JSON (`listed`) has at most `MOST_BYTES`: its lists begin with
what tells most, are cut at their ends, and `leftOut` says by how much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from driftline.shadow.aa import Twice
from driftline.shadow.fields import Fields
from driftline.shadow.fields import Tally as FieldTally
from driftline.shadow.measures import Snapshot, disagreement
from driftline.shadow.outlook import segments
from driftline.shadow.plan import told_apart
from driftline.shadow.sequences.bound import Bound, Levels
from driftline.shadow.sequences.bounded import mean_bound
from driftline.shadow.tally import Tally
from driftline.shadow.values import Values

MOST_BYTES: Final = 48 << 10
QUANTILES: Final = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}

_PATH: Final = 128
"""Characters of a field's path that are shown."""
_LISTS: Final = ("confusion", "segments", "fields", "outputs")


class _Told(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """JSON with names as Kubernetes writes them."""


class Interval(_Told, frozen=True, kw_only=True):
    """An estimate, None without data, and its bounds at any time."""

    value: float | None = None
    lower: float | None = None
    upper: float | None = None


class Output(_Told, frozen=True, kw_only=True):
    """A class, or a bin of the values: shares of the rows that each side answered so."""

    output: str
    live: float
    candidate: float


class Cell(_Told, frozen=True, kw_only=True):
    """Rows that the live model answered the one way and the candidate the other."""

    live: str
    candidate: str
    rows: int


class Deltas(_Told, frozen=True, kw_only=True):
    """Candidate less live, a request's mean, within +-`clip`; `clipped` of them were beyond."""

    requests: int
    clip: float
    clipped: int
    mean: Interval
    quantiles: dict[str, float]


class Noise(_Told, frozen=True, kw_only=True):
    """Of requests that went twice: shares of rows in which a side disagrees with itself; what isn't noise."""

    requests: int
    live: float
    candidate: float
    systematic: Interval


class Segment(_Told, frozen=True, kw_only=True):
    """One value of a segment; agreement's bounds hold for all segments together."""

    segment: str
    value: str
    requests: int
    agreement: Interval
    delta: dict[str, float] = {}
    """Quantiles."""


class Field(_Told, frozen=True, kw_only=True):
    """A field of JSON answers: in how many places it was compared, and differed, by kind."""

    field: str
    compared: int
    changed: int = 0
    type: int = 0
    missing: int = 0
    added: int = 0

    @property
    def differing(self) -> int:
        """Places in which the sides differ."""
        return self.changed + self.type + self.missing + self.added


class Comparison(_Told, frozen=True, kw_only=True):
    """All of it. `confusion`: what differs before what agrees, largest first; `fields`: those that differ."""

    requests: int
    agreement: Interval
    rows: int = 0
    outputs: tuple[Output, ...] = ()
    confusion: tuple[Cell, ...] = ()
    delta: Deltas | None = None
    noise: Noise | None = None
    segments: tuple[Segment, ...] = ()
    fields: tuple[Field, ...] = ()
    other_fields: Field | None = None
    """The sum of those beyond what is kept apart."""
    left_out: dict[str, int] = {}
    """By list, how many entries didn't fit."""


def comparison(found: Snapshot) -> Comparison:
    """What those pairs say."""
    tally = found.tally
    known = tally.plan.outputs > 1
    return Comparison(
        requests=tally.all.requests,
        agreement=_interval(disagreement(tally.all, Levels()).complement),
        rows=int(tally.confusion.sum()),
        outputs=tuple(_outputs(tally)) if known else (),
        confusion=tuple(_confusion(tally)) if known else (),
        delta=_deltas(tally.all.delta),
        noise=_noise(tally.twice),
        segments=tuple(_segments(tally)),
        fields=tuple(_fields(tally.fields)),
        other_fields=_field("other", tally.fields.others) if tally.fields.others[0] else None,
    )


def listed(found: Comparison, most: int = MOST_BYTES) -> str:
    """As JSON of at most `most` bytes."""
    data = msgspec.json.encode(found)
    while len(data) > most and any(getattr(found, name) for name in _LISTS):
        longest = max(_LISTS, key=lambda name: len(msgspec.json.encode(getattr(found, name))))
        found = _cut(found, longest)
        data = msgspec.json.encode(found)
    return data.decode()


def _cut(found: Comparison, name: str) -> Comparison:
    entries: Sequence[object] = getattr(found, name)
    kept = entries[: len(entries) * 3 // 4]
    left = found.left_out.get(name, 0) + len(entries) - len(kept)
    return msgspec.structs.replace(found, **{name: kept, "left_out": {**found.left_out, name: left}})


def _outputs(tally: Tally) -> Iterator[Output]:
    """Classes by how often they are given, bins of values in their order; none that neither side gives."""
    rows = int(tally.confusion.sum())
    sides = zip(tally.confusion.sum(axis=1).tolist(), tally.confusion.sum(axis=0).tolist(), strict=True)
    named = [each for each in zip(tally.plan.output_names, sides, strict=True) if any(each[1])]
    if tally.plan.sort == "class":
        named.sort(key=lambda each: -max(each[1]))
    for name, (live, candidate) in named:
        yield Output(output=name, live=live / rows, candidate=candidate / rows)


def _confusion(tally: Tally) -> Iterator[Cell]:
    names = tally.plan.output_names
    cells = [(a, b, int(tally.confusion[a, b])) for a, b in zip(*tally.confusion.nonzero(), strict=True)]
    for a, b, rows in sorted(cells, key=lambda cell: (cell[0] == cell[1], -cell[2], cell[0], cell[1])):
        yield Cell(live=names[a], candidate=names[b], rows=rows)


def _deltas(values: Values | None) -> Deltas | None:
    if values is None or not values.count:
        return None
    return Deltas(
        requests=values.count,
        clip=values.limit,
        clipped=values.clipped,
        mean=_interval(mean_bound(values.points, values.weights, values.limit)),
        quantiles=_quantiles(values),
    )


def _quantiles(values: Values | None) -> dict[str, float]:
    if values is None or not values.count:
        return {}
    return {name: values.quantile(p) for name, p in QUANTILES.items()}


def _noise(twice: Twice) -> Noise | None:
    live, candidate = twice.noise()
    if live is None or candidate is None:
        return None
    return Noise(
        requests=twice.live.count,
        live=live,
        candidate=candidate,
        systematic=_interval(twice.systematic()),
    )


def _segments(tally: Tally) -> Iterator[Segment]:
    for name, value, of, bound in segments(tally):
        yield Segment(
            segment=name,
            value=value,
            requests=of.requests,
            agreement=_interval(bound),
            delta=_quantiles(of.delta),
        )


def _fields(fields: Fields) -> Iterator[Field]:
    """Those that differ, most often first."""
    names = told_apart(fields.kept, _PATH)
    found = [_field(name, tally) for name, tally in zip(names, fields.kept.values(), strict=True)]
    yield from sorted((each for each in found if each.differing), key=lambda f: (-f.differing, f.field))


def _field(name: str, tally: FieldTally) -> Field:
    compared, changed, kind, missing, added = tally
    return Field(field=name, compared=compared, changed=changed, type=kind, missing=missing, added=added)


def _interval(bound: Bound) -> Interval:
    return Interval(value=bound.value, lower=bound.lower, upper=bound.upper)
