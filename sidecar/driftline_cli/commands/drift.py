"""`driftline drift REFERENCE CURRENT`: has the data changed? Two data files, or a profile and a data file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
from driftline.errors import DataError
from driftline.pane import Limits
from driftline.profile import FeatureType, Profile, Role
from driftline.profile_build import BuildPlan, build_profile
from driftline.spec import Drift, ModelMonitor
from driftline.verdict import Reason

from driftline_cli.comparison import Comparison, Current, compare, count_current
from driftline_cli.dataset import (
    Columns,
    add_column_arguments,
    columns_of,
    read_monitor,
    read_reference,
    roles_of,
    say,
)
from driftline_cli.drift_text import render
from driftline_cli.exits import DRIFT, EX_OK, NO_VERDICT, WrongUsage
from driftline_cli.profile_files import is_profile, read_profile, write_whole
from driftline_cli.readers.convert import Kind, convert
from driftline_cli.readers.progress import progress
from driftline_cli.readers.spool import MAX_CATEGORIES
from driftline_cli.readers.table import Table, hint, open_table

_EPILOG = """exit status:
  0   no drift
  3   at least one column drifted
  4   no verdict: too few rows, or no value to compare (never read this as a pass)
  65  a file can't be used; the message says why
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `driftline drift`."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "reference", metavar="REFERENCE", help="a profile, a data file, or a quoted pattern of files"
    )
    parser.add_argument("current", metavar="CURRENT", help="a data file, or a quoted pattern of files")
    add_column_arguments(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of to stdout")
    parser.add_argument(
        "--min-rows",
        type=_rows,
        metavar="N",
        help="fewer rows give no verdict (default: the monitor's, 1000)",
    )
    parser.add_argument(
        "--ordered",
        action="store_true",
        help="the reference's rows come in the order of time though no column says so",
    )


def _rows(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**15:
        raise argparse.ArgumentTypeError(f"must be a whole number of rows above 0, not {text!r}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, and return the exit code. Raises DataError where there is nothing to compare."""
    monitor = read_monitor(arguments.file)
    policy = Drift() if monitor is None else monitor.spec.drift
    if arguments.min_rows is not None:
        policy = msgspec.structs.replace(policy, min_rows=arguments.min_rows)
    current = open_table(arguments.current)
    path = Path(arguments.reference)
    if is_profile(path):
        _refuse_reading_options(arguments)
        profile = _without(read_profile([path]), arguments.ignore, arguments.reference)
        comparison = _with_profile(profile, arguments.reference, current, monitor, policy)
    else:
        comparison = _with_data(open_table(arguments.reference), current, monitor, policy, arguments)
    _write(comparison, arguments)
    return exit_code(comparison)


def exit_code(comparison: Comparison) -> int:
    """3 where anything drifted; 4 where nothing could be judged, or a column is gone or empty now."""
    if comparison.drifted:
        return DRIFT
    undecided = {Reason.INSUFFICIENT_DATA, Reason.INSUFFICIENT_REQUESTS, Reason.NO_REFERENCE}
    judged = [f for f in comparison.judgement.features if f.reason not in undecided]
    whole = not comparison.lacking and not _emptied(comparison)
    return EX_OK if judged and whole else NO_VERDICT


def _emptied(comparison: Comparison) -> bool:
    """Whether a column had values in the reference and has none in the current rows."""
    ratios = [feature.missing_ratio for feature in comparison.result.features.values()]
    return any(r.current == 1.0 and (r.reference or 0.0) < 1.0 for r in ratios)


def _refuse_reading_options(arguments: argparse.Namespace) -> None:
    """A profile has its columns' roles and its rows' order in it. Raises WrongUsage."""
    given = [
        "--" + name.replace("_", "-")
        for name in ("time_column", "prediction_column", "score_column", "ordered")
        if getattr(arguments, name)
    ]
    if given:
        raise WrongUsage(
            f"{', '.join(given)}: {arguments.reference} is a profile, which says so itself; "
            "build it with them"
        )


def _without(profile: Profile, ignored: list[str], name: str) -> Profile:
    """The profile without the columns to ignore; raises DataError for one that it doesn't have."""
    known = [f.name for f in profile.features]
    for column in ignored:
        if column not in known:
            raise DataError(f"{name}: no column {hint(column, known)}")
    return replace(profile, features=tuple(f for f in profile.features if f.name not in ignored))


def _with_profile(
    profile: Profile, name: str, current: Table, monitor: ModelMonitor | None, policy: Drift
) -> Comparison:
    features = [f for f in profile.features if f.role is Role.MULTIVARIATE or f.name in current.columns]
    unshared = [f for f in profile.features if f not in features]
    _say_unshared(name, [f.name for f in unshared], current)
    named = [f for f in features if f.role is not Role.MULTIVARIATE]
    if not named:
        raise DataError(f"{name} and {current.name} have no column in common")
    kinds = [(f.name, Kind.NUMERIC if f.type is FeatureType.NUMERIC else Kind.CATEGORICAL) for f in named]
    if profile.components is not None and not set(profile.components.features) <= {n for n, _ in kinds}:
        features = named
    shared = replace(profile, features=tuple(features))
    compared = compare(shared, _count(shared, current, kinds, _limits(monitor)), policy)
    return replace(compared, lacking=tuple(f.name for f in unshared if f.role is Role.FEATURE))


def _with_data(
    reference: Table,
    current: Table,
    monitor: ModelMonitor | None,
    policy: Drift,
    arguments: argparse.Namespace,
) -> Comparison:
    with _columns(reference, current, monitor, arguments) as (columns, lacking):
        with read_reference(reference, columns) as rows:
            plan = BuildPlan(
                columns=columns.profiled,
                windows=(),
                ordered=arguments.ordered or columns.time is not None,
                max_categories=MAX_CATEGORIES,
                multivariate=False,
            )
            profile = build_profile(rows, plan)
        kinds = columns.kinds
        if columns.time is not None and columns.time not in current.columns:
            kinds = [(name, kind) for name, kind in kinds if kind is not Kind.TIME]
        compared = compare(profile, _count(profile, current, kinds, _limits(monitor)), policy)
        return replace(compared, lacking=lacking)


@contextmanager
def _columns(
    reference: Table, current: Table, monitor: ModelMonitor | None, arguments: argparse.Namespace
) -> Iterator[tuple[Columns, tuple[str, ...]]]:
    explicit = roles_of(arguments, None)
    columns = columns_of(reference, monitor, roles_of(arguments, monitor), explicit=explicit)
    if monitor is not None:
        current.require([feature.name for feature in monitor.spec.schema.features])
    current.require([name for name in (explicit.prediction, explicit.score) if name])
    shared = tuple(c for c in columns.profiled if c.name in current.columns)
    lacking = tuple(c.name for c in columns.profiled if c not in shared)
    _say_unshared(reference.name, lacking, current)
    known = {*reference.columns}
    more = [name for name in current.columns if name not in known]
    if more:
        say(f"{current.name}: not in the reference, so not compared: {', '.join(map(repr, more))}")
    if not shared:
        raise DataError(f"{reference.name} and {current.name} have no column in common")
    yield replace(columns, profiled=shared), lacking


def _say_unshared(reference: str, names: Sequence[str], current: Table) -> None:
    if names:
        listed = ", ".join(map(repr, names))
        say(
            f"{current.name}: lacks columns of {reference}, so not compared: {listed} "
            "(leave them out with --ignore, or this is no pass)"
        )


def _count(
    profile: Profile, current: Table, kinds: list[tuple[str, Kind]], limits: dict[str, Limits]
) -> Current:
    with progress(f"reading {current.name}", current.size) as read:
        chunks = current.chunks([name for name, _ in kinds], read)
        return count_current(profile, (convert(chunk, kinds) for chunk in chunks), limits)


def _limits(monitor: ModelMonitor | None) -> dict[str, Limits]:
    if monitor is None:
        return {}
    found = {}
    for feature in monitor.spec.schema.features:
        low, high = (feature.range.min, feature.range.max) if feature.range is not None else (None, None)
        allowed = frozenset(feature.categories) if feature.categories is not None else None
        found[feature.name] = Limits(low, high, allowed)
    return found


def _write(comparison: Comparison, arguments: argparse.Namespace) -> None:
    if arguments.format == "json":
        text = msgspec.json.format(msgspec.json.encode(comparison.result), indent=2).decode() + "\n"
    else:
        text = render(
            comparison, arguments.reference, arguments.current, to_file=arguments.output is not None
        )
    if arguments.output is not None:
        write_whole(arguments.output, text.encode())
    else:
        sys.stdout.write(text)
