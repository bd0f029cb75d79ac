"""What a shadow's pairs say beside the rules, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from driftline.shadow.comparison import Cell, Comparison, Deltas, Field, Interval, Noise, Output, Segment

_SQUARE = 8
"""Answers of which all of the confusion is shown as a square."""
_SHOWN = 12
"""Lines of a table."""
_WIDEST = 44
"""Characters of a name."""

Row = tuple[str, Sequence[str]]


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Agreement, differences, noise, outputs, confusion, segments, fields: what there is of them."""
    yield f"{'requests':<14}{found.requests:,}"
    yield f"{'agreement':<14}{_interval(found.agreement)}"
    if found.delta is not None:
        yield from _delta(found.delta)
    if found.noise is not None:
        yield from _noise(found.noise)
    if found.outputs:
        yield from _outputs(found.outputs)
        yield from _confusion(found.outputs, found.confusion)
    elif found.rows:
        yield f"{'output':<14}answers are not told apart: the comparison began without a reference of them"
    if found.segments:
        yield from _segments(found.segments)
    if found.fields or found.other_fields is not None:
        yield from _fields(found.fields, found.other_fields)
    if found.left_out:
        cut = ", ".join(f"{count:,} of {name}" for name, count in found.left_out.items())
        yield f"left out for want of room: {cut}"


def plain(text: str) -> str:
    """What came from clients and models without what a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _delta(delta: Deltas) -> Iterator[str]:
    """Candidate less live."""
    quantiles = ", ".join(f"{name} {value:.4g}" for name, value in delta.quantiles.items())
    yield f"{'difference':<14}mean {_interval(delta.mean)}; {quantiles}"
    if delta.clipped:
        yield f"{'':<14}{delta.clipped:,} of {delta.requests:,} requests beyond the clip of {delta.clip:g}"


def _noise(noise: Noise) -> Iterator[str]:
    yield (
        f"{'noise':<14}the live model differs from itself in {noise.live:.2%} of rows, the candidate in "
        f"{noise.candidate:.2%} ({noise.requests:,} requests went twice)"
    )
    yield f"{'':<14}difference that noise doesn't explain {_interval(noise.systematic)}"


def _outputs(outputs: Sequence[Output]) -> Iterator[str]:
    rows = [(each.output, (f"{each.live:.2%}", f"{each.candidate:.2%}")) for each in outputs]
    yield from _table("output", ("live", "candidate"), rows)


def _confusion(outputs: Sequence[Output], cells: Sequence[Cell]) -> Iterator[str]:
    """A square of a few answers; of many, the cells in which most rows differ."""
    names = [each.output for each in outputs]
    if len(names) > _SQUARE:
        apart = [cell for cell in cells if cell.live != cell.candidate]
        rows = [(f"{_short(c.live, 20)}, {_short(c.candidate, 20)}", (f"{c.rows:,}",)) for c in apart]
        yield from _table("live, candidate", ("rows",), rows)
        return
    counts = {(cell.live, cell.candidate): cell.rows for cell in cells}
    square = [(live, [f"{counts.get((live, other), 0):,}" for other in names]) for live in names]
    yield from _table("live \\ candidate", [_short(name, 11) for name in names], square)


def _segments(segments: Sequence[Segment]) -> Iterator[str]:
    """Those that may agree least first."""
    quantiles = [*segments[0].delta]
    rows = []
    for each in segments:
        bounds = each.agreement.value, each.agreement.lower, each.agreement.upper
        numbers = map(_number, (*bounds, *(each.delta.get(name) for name in quantiles)))
        rows.append((f"{each.segment} = {each.value}", (f"{each.requests:,}", *numbers)))
    yield from _table(
        "segment", ("requests", "agreement", "lower", "upper", *(f"delta {name}" for name in quantiles)), rows
    )


def _fields(fields: Sequence[Field], others: Field | None) -> Iterator[str]:
    kinds = ("compared", "changed", "type", "missing", "added")
    rows = [(each.field, [f"{getattr(each, kind):,}" for kind in kinds]) for each in fields]
    yield from _table("field", kinds, rows)
    if others is not None:
        yield f"  beyond the fields that are kept apart: {others.differing:,} of {others.compared:,} differ"


def _table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """Names, then numbers; the first rows."""
    shown = [(_short(name, _WIDEST), cells) for name, cells in rows[:_SHOWN]]
    width = max(len(title), *(len(name) + 2 for name, _ in shown)) if shown else len(title)
    yield f"{title:<{width}}" + "".join(f"{column:>12}" for column in columns)
    for name, cells in shown:
        yield f"  {name:<{width - 2}}" + "".join(f"{cell:>12}" for cell in cells)
    if len(rows) > _SHOWN:
        yield f"  and {len(rows) - _SHOWN:,} more"


def _short(text: str, most: int) -> str:
    """As much of a name as fits."""
    shown = plain(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _interval(found: Interval) -> str:
    if found.value is None or found.lower is None or found.upper is None:
        return "not known"
    return f"{found.value:.4g} ({found.lower:.4g} to {found.upper:.4g})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
