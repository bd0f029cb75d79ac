"""What a pod says of its pairs, as bytes: versioned, sparse, checked.

A part is all that one life of one pod counted in one day of the shadow, up to now. A later one (`sequence`)
takes an earlier one's place, so that fetching or pushing twice changes nothing; unlike ones add up. A request
belongs to the day in which it became eligible, whenever its answers come.
The head is `driftline.envelope`'s, the rest MessagePack; only cells that count something are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from driftline.columns import Floats
from driftline.envelope import Envelope
from driftline.errors import DataError
from driftline.pane_codec import PackedCells, pack_cells, unpack_cells
from driftline.shadow.aa import Twice
from driftline.shadow.account import Account
from driftline.shadow.checks import MOST_COUNT, problems
from driftline.shadow.fields import KEPT as FIELDS
from driftline.shadow.fields import Fields
from driftline.shadow.fields import Tally as FieldTally
from driftline.shadow.json_diff import MAX_PATH
from driftline.shadow.latency import CELLS
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.sample import KEPT, Disagreement
from driftline.shadow.tally import Counts, Slice, Tally
from driftline.shadow.values import Values

ENVELOPE: Final = Envelope(b"DLPAIR", 1, "shadow part", 8 << 20)
"""A part takes some kilobytes; one of 64 outputs and 400 segments' values with every cell in use, 5 MB."""
MOST_DAY: Final = 10 * 366

Count = Annotated[int, Meta(ge=0, le=MOST_COUNT)]
Name = Annotated[str, Meta(max_length=253)]
Path = Annotated[str, Meta(max_length=MAX_PATH)]

WARMING: Final = -1
"""The day of the empty part by which a mirror tells that it warms the candidate up."""


@dataclass(frozen=True, slots=True)
class Part:
    """`shadow`: its UID; `generation`: of its spec; `began`: since when that is compared, or warms up, unix
    seconds; `pod`: the pod's UID; `boot`: which life of its analyzer; `day`: whole days since `began`, from
    0; `sequence`: grows within (pod, boot, day).
    """

    shadow: str
    generation: int
    began: float
    pod: str
    boot: str
    day: int
    sequence: int
    account: Account
    tally: Tally

    @property
    def life(self) -> tuple[str, int, float]:
        """Which comparison it is of: of one generation there is another where it began anew."""
        return self.shadow, self.generation, self.began

    @property
    def key(self) -> tuple[str, str, int]:
        """What a later part of the same kind takes the place of."""
        return self.pod, self.boot, self.day


class PackedValues(msgspec.Struct, array_like=True, frozen=True):
    """Values as they are packed; `sums` float64 of the cells that count something."""

    limit: float
    signed: bool
    cells: PackedCells
    sums: bytes
    clipped: Count


class PackedSlice(msgspec.Struct, array_like=True, frozen=True):
    """A slice as it is packed."""

    requests: Count
    several: Count
    differ: PackedValues
    delta: PackedValues | None
    size: PackedValues | None


class PackedPart(msgspec.Struct, array_like=True, frozen=True):
    """A part as it is packed."""

    shadow: Name
    generation: Count
    began: float
    pod: Name
    boot: Name
    day: Annotated[int, Meta(ge=WARMING, le=MOST_DAY)]
    sequence: Count
    account: Account
    plan: ComparisonPlan
    all: PackedSlice
    segments: list[tuple[str, int, PackedSlice]]
    confusion: PackedCells
    shifts: list[PackedValues]
    hidden: PackedValues
    errors: PackedCells
    live_latency: PackedCells
    candidate_latency: PackedCells
    twice: tuple[PackedValues, PackedValues | None, PackedValues, PackedValues]
    fields: Annotated[dict[Path, FieldTally], Meta(max_length=FIELDS)]
    other_fields: FieldTally
    sample: Annotated[list[Disagreement], Meta(max_length=KEPT)]


_decoder = msgspec.msgpack.Decoder(PackedPart)


def encode_part(part: Part) -> bytes:
    """The part as bytes; `decode_part` gives an equal one."""
    t = part.tally
    packed = PackedPart(
        part.shadow,
        part.generation,
        part.began,
        part.pod,
        part.boot,
        part.day,
        part.sequence,
        part.account,
        t.plan,
        _pack_slice(t.all),
        [(name, code, _pack_slice(of)) for (name, code), of in t.segments.items()],
        pack_cells(t.confusion.ravel()),
        [_pack(values) for values in t.shifts],
        _pack(t.hidden),
        pack_cells(t.errors.ravel()),
        pack_cells(t.live_latency),
        pack_cells(t.candidate_latency),
        (
            _pack(t.twice.alike),
            None if t.twice.deltas is None else _pack(t.twice.deltas),
            _pack(t.twice.live),
            _pack(t.twice.candidate),
        ),
        dict(t.fields.kept),
        t.fields.others,
        list(t.sample),
    )
    return ENVELOPE.seal(msgspec.msgpack.encode(packed))


def decode_part(data: bytes) -> Part:
    """The part of these bytes, from whoever sent them. Raises DataError: unknown version, damage, more than
    there can be of anything, sums that don't fit together.
    """
    part = read_part(data)
    for problem in problems(part.account, part.tally):
        raise DataError(f"a shadow part can't be true: {problem}")
    return part


def read_part(data: bytes) -> Part:
    """The part of these bytes, whether or not its sums fit together: what this program wrote itself."""
    try:
        wire = _decoder.decode(ENVELOPE.open(data))
        tally = _tally(wire)
    except (msgspec.DecodeError, ValueError, IndexError, TypeError) as error:
        raise ENVELOPE.damaged(error) from error
    w = wire
    return Part(w.shadow, w.generation, w.began, w.pod, w.boot, w.day, w.sequence, w.account, tally)


def _tally(wire: PackedPart) -> Tally:
    none = Tally.empty(wire.plan)
    n = wire.plan.outputs
    places = sum(len(values) + 1 for _, values in wire.plan.segments)
    if len(wire.shifts) != n or len(wire.segments) > places:
        raise DataError("a shadow part holds more than its plan has")
    return Tally(
        plan=wire.plan,
        all=_slice(wire.all, none.all),
        segments={_place(wire.plan, name, code): _slice(of, none.all) for name, code, of in wire.segments},
        confusion=_cells(wire.confusion, n * n).reshape(n, n),
        shifts=tuple(_values(s, like) for s, like in zip(wire.shifts, none.shifts, strict=True)),
        hidden=_values(wire.hidden, none.hidden),
        errors=_cells(wire.errors, 4).reshape(2, 2),
        live_latency=_cells(wire.live_latency, CELLS),
        candidate_latency=_cells(wire.candidate_latency, CELLS),
        twice=Twice(
            _values(wire.twice[0], none.twice.alike),
            _optional(wire.twice[1], none.twice.deltas),
            _values(wire.twice[2], none.twice.live),
            _values(wire.twice[3], none.twice.candidate),
            none.twice.of_values,
        ),
        fields=Fields(wire.fields, wire.other_fields),
        sample=tuple(wire.sample),
    )


def _place(plan: ComparisonPlan, name: str, code: int) -> tuple[str, int]:
    values = dict(plan.segments).get(name)
    if values is None or not 0 <= code <= len(values):
        raise DataError("a shadow part has a segment that its plan hasn't")
    return name, code


def _cells(cells: PackedCells, size: int) -> Counts:
    if cells.size != size:
        raise DataError("a shadow part has another number of cells than its plan")
    return unpack_cells(cells)


def _pack(values: Values) -> PackedValues:
    used = np.flatnonzero(values.counts)
    sums = values.sums[used].astype("<f8").tobytes()
    return PackedValues(values.limit, values.signed, pack_cells(values.counts), sums, values.clipped)


def _values(wire: PackedValues, like: Values) -> Values:
    if (wire.limit, wire.signed) != (like.limit, like.signed):
        raise DataError("a shadow part has values of another limit than its plan")
    counts = _cells(wire.cells, len(like.counts))
    given: Floats = np.frombuffer(wire.sums, "<f8")
    if not np.isfinite(given).all():
        raise DataError("a shadow part has sums that are no numbers")
    sums = np.zeros(len(counts))
    sums[np.flatnonzero(counts)] = given
    return Values(wire.limit, wire.signed, counts, sums, wire.clipped)


def _pack_slice(of: Slice) -> PackedSlice:
    delta, size = (None if values is None else _pack(values) for values in (of.delta, of.size))
    return PackedSlice(of.requests, of.several, _pack(of.differ), delta, size)


def _slice(wire: PackedSlice, like: Slice) -> Slice:
    return Slice(
        wire.requests,
        wire.several,
        _values(wire.differ, like.differ),
        _optional(wire.delta, like.delta),
        _optional(wire.size, like.size),
    )


def _optional(wire: PackedValues | None, like: Values | None) -> Values | None:
    if wire is None or like is None:
        if (wire is None) != (like is None):
            raise DataError("a shadow part has deltas where its plan has none, or none where it has")
        return None
    return _values(wire, like)
