"""A data file and what its columns are to the model: from the monitor, the command line, or inferred."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from driftline.decoding import decode_monitor
from driftline.errors import DataError
from driftline.pane import Limits
from driftline.profile import Role
from driftline.profile_build import LabelPlan, ReferenceColumn, ReferenceRows
from driftline.schema_inference import Decision, infer
from driftline.spec import Feature, ModelMonitor

from driftline_cli.readers.convert import Kind, convert
from driftline_cli.readers.progress import progress
from driftline_cli.readers.rows import reference_rows
from driftline_cli.readers.survey import survey
from driftline_cli.readers.table import Table, hint


@dataclass(frozen=True, slots=True)
class Columns:
    """What to read of a table, and what for. `extra`: read but not profiled (the label)."""

    profiled: tuple[ReferenceColumn, ...]
    time: str | None = None
    labels: LabelPlan | None = None
    extra: tuple[tuple[str, Kind], ...] = ()

    @property
    def kinds(self) -> list[tuple[str, Kind]]:
        """The columns to read, and as what."""
        found = [(c.name, Kind.NUMERIC if c.numeric else Kind.CATEGORICAL) for c in self.profiled]
        found += self.extra
        return found if self.time is None else [*found, (self.time, Kind.TIME)]


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns that the command line names."""

    time: str | None = None
    prediction: str | None = None
    score: str | None = None
    label: str | None = None
    positive: str | None = None
    ignored: tuple[str, ...] = ()


def add_column_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what columns are."""
    parser.add_argument(
        "-f", "--file", type=Path, metavar="MONITOR", help="the ModelMonitor: names the columns"
    )
    parser.add_argument(
        "--time-column", metavar="NAME", help="orders the rows (default: the first column of ISO 8601 times)"
    )
    parser.add_argument(
        "--prediction-column", metavar="NAME", help="the model's answer (default: the monitor's)"
    )
    parser.add_argument("--score-column", metavar="NAME", help="the model's score (default: the monitor's)")
    parser.add_argument("--ignore", action="append", default=[], metavar="NAME", help="leave a column out")


def roles_of(arguments: argparse.Namespace, monitor: ModelMonitor | None) -> Roles:
    """The command line's names, else the monitor's."""
    prediction = None if monitor is None else monitor.spec.schema.prediction
    positive = getattr(arguments, "positive", None)
    if positive is None and prediction is not None and prediction.positive is not None:
        index = prediction.positive
        named = isinstance(index, int) and index < len(prediction.classes)
        positive = prediction.classes[index] if named and isinstance(index, int) else str(index)
    elif positive is None and prediction is not None and len(prediction.classes) == 2:
        positive = prediction.classes[-1]
    return Roles(
        time=arguments.time_column,
        prediction=arguments.prediction_column or (prediction.name if prediction else None),
        score=arguments.score_column or (prediction.score if prediction else None),
        label=getattr(arguments, "label_column", None),
        positive=positive,
        ignored=tuple(arguments.ignore),
    )


def read_monitor(path: Path | None) -> ModelMonitor | None:
    """The monitor of that file; None without one."""
    if path is None:
        return None
    try:
        return decode_monitor(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from error


def columns_of(table: Table, monitor: ModelMonitor | None, roles: Roles, *, explicit: Roles) -> Columns:
    """What to read of the table. `explicit`: names from the command line, which must be there.

    Raises DataError naming every column that is asked for and absent, or asked to be two things at once.
    """
    features = monitor.spec.schema.features if monitor is not None else ()
    asked = [explicit.time, explicit.prediction, explicit.score, explicit.label, *explicit.ignored]
    table.require([name for name in asked if name] + [feature.name for feature in features])
    named = {roles.prediction, roles.score, roles.label, roles.time, *roles.ignored}
    if features:
        profiled = [_of_feature(feature) for feature in features]
        named |= {feature.name for feature in features}
        time = roles.time or _time(table, [name for name in table.columns if name not in named])
    else:
        others = [name for name in table.columns if name not in named]
        profiled, time = _inferred(table, others, roles.time)
    regression = None if monitor is None else monitor.spec.model.type != "classification"
    profiled += _outputs(table, roles, regression)
    if not profiled:
        raise DataError(f"{table.name}: no column can be compared; name them in a monitor (-f)")
    labels, extra = _labels(table, monitor, roles, profiled)
    columns = Columns(tuple(profiled), time, labels, extra)
    _one_role_each(table, columns)
    return columns


@contextmanager
def read_reference(table: Table, columns: Columns) -> Iterator[ReferenceRows]:
    """All rows of the table, in memory or on disk; on disk until the context ends."""
    with progress(f"reading {table.name}", table.size) as read:
        rows = (convert(chunk, columns.kinds) for chunk in table.chunks([n for n, _ in columns.kinds], read))
        reference = reference_rows(rows, columns.kinds)
    with reference as found:
        if not found.rows:
            raise DataError(f"{table.name}: no rows")
        yield found


def say(message: str) -> None:
    """A word to the person, not to what reads the output."""
    print(message, file=sys.stderr)


def _one_role_each(table: Table, columns: Columns) -> None:
    names = [name for name, _ in columns.kinds]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{table.name}: column {', '.join(map(repr, twice))} can't have two roles: feature, prediction, "
            "score, label and time are columns of their own"
        )


def _of_feature(feature: Feature) -> ReferenceColumn:
    low, high = (feature.range.min, feature.range.max) if feature.range is not None else (None, None)
    allowed = frozenset(feature.categories) if feature.categories is not None else None
    return ReferenceColumn(feature.name, feature.type == "numeric", limits=Limits(low, high, allowed))


def _inferred(table: Table, names: list[str], time: str | None) -> tuple[list[ReferenceColumn], str | None]:
    profiled: list[ReferenceColumn] = []
    skipped = []
    for facts in survey(table, names):
        found = infer(facts)
        if found.decision is Decision.TIME:
            if time is None:
                time = found.name
                say(f"{table.name}: rows are ordered by column {time!r}")
            elif time != found.name:
                skipped.append(f"{found.name!r} ({found.why})")
        elif found.decision is Decision.SKIPPED:
            skipped.append(f"{found.name!r} ({found.why})")
        else:
            profiled.append(ReferenceColumn(found.name, found.decision is Decision.NUMERIC))
    if skipped:
        say(f"{table.name}: left out: {', '.join(skipped)}")
    return profiled, time


def _time(table: Table, names: list[str]) -> str | None:
    """The first column of times."""
    times = [facts.name for facts in survey(table, names) if infer(facts).decision is Decision.TIME]
    if times:
        say(f"{table.name}: rows are ordered by column {times[0]!r}")
    return times[0] if times else None


def _outputs(table: Table, roles: Roles, regression: bool | None) -> list[ReferenceColumn]:
    """Prediction and score, where the table has them."""
    found = []
    if roles.prediction is not None and roles.prediction in table.columns:
        numeric = regression
        if numeric is None:
            numeric = infer(survey(table, [roles.prediction])[0]).decision is Decision.NUMERIC
        found.append(ReferenceColumn(roles.prediction, numeric, Role.PREDICTION))
    if roles.score is not None and roles.score in table.columns:
        found.append(ReferenceColumn(roles.score, True, Role.SCORE))
    for name in (roles.prediction, roles.score):
        if name is not None and name not in table.columns:
            say(f"{table.name}: no column {hint(name, table.columns)} (the model's output is not compared)")
    return found


def _labels(
    table: Table, monitor: ModelMonitor | None, roles: Roles, profiled: list[ReferenceColumn]
) -> tuple[LabelPlan | None, tuple[tuple[str, Kind], ...]]:
    if roles.label is None:
        return None, ()
    outputs = {column.role: column for column in profiled}
    score, prediction = outputs.get(Role.SCORE), outputs.get(Role.PREDICTION)
    numeric = infer(survey(table, [roles.label])[0]).decision is Decision.NUMERIC
    segments = monitor.spec.schema.segments if monitor is not None else ()
    if score is not None:
        positive = roles.positive or "1"
        as_number = numeric and _is_number(positive)
        answers = prediction is not None and (_is_number(positive) or not prediction.numeric)
        said = prediction.name if prediction is not None and answers else None
        plan = LabelPlan(roles.label, score.name, False, positive, tuple(segments), said)
        return plan, ((roles.label, Kind.NUMERIC if as_number else Kind.CATEGORICAL),)
    if prediction is not None and prediction.numeric:
        plan = LabelPlan(roles.label, prediction.name, True, segments=tuple(segments))
        return plan, ((roles.label, Kind.NUMERIC),)
    raise DataError(
        f"{table.name}: labels need a score to be compared with (--score-column), "
        "or a numeric prediction (--prediction-column)"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
