"""`driftline check`: every problem of a file at once, and what a good one says: monitors and shadows.

With a reference profile it also tells what the monitor can detect: the smallest shift per window.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from driftline.decoding import decode_resources
from driftline.errors import DataError, InvalidSpec, Problem
from driftline.shadow.fit import misfits
from driftline.spec import Labels, ModelMonitor, PerformanceThreshold, Prediction, ShadowDeployment
from driftline.spec.outcomes import has_positive

from driftline_cli.exits import EX_DATAERR, EX_OK, exit_code
from driftline_cli.shadow_text import shadow_summary

_EXAMPLES = """\
examples:
  driftline check monitor.yaml
  driftline check monitor.yaml shadow.yaml
  driftline check monitor.yaml --profile model.profile --rows-per-day 50000

Exit 0 where all files are fine, 65 where one has a problem, 66 where one can't be read.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `driftline check`."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="MONITOR", help="a file of monitors or shadows, YAML or JSON"
    )
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="reference profile: tells what can be found"
    )
    parser.add_argument(
        "--rows-per-day",
        type=_positive,
        default=100_000.0,
        metavar="N",
        help="rows of live traffic expected a day, for --profile (default: 100000)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check each file, and shadows against the monitors among them; the worst exit code of all."""
    code, decoded = EX_OK, []
    for path in arguments.files:
        try:
            decoded.append((path, decode_resources(_read(path))))
        except InvalidSpec as error:
            code = max(code, _complain(path, error.problems))
        except DataError as error:
            print(f"driftline: {error}", file=sys.stderr)
            code = max(code, exit_code(error))
    found = [resource for _, resources in decoded for resource in resources]
    monitors = [each for each in found if isinstance(each, ModelMonitor)]
    for path, resources in decoded:
        problems = [
            problem
            for each in resources
            if isinstance(each, ShadowDeployment) and (monitor := _watching(each, monitors)) is not None
            for problem in misfits(each.spec, monitor.spec)
        ]
        if problems:
            code = max(code, _complain(path, problems))
            continue
        for resource in resources:
            _print_summary(resource, arguments, monitors)
    return code


def _complain(path: Path, problems: Sequence[Problem]) -> int:
    for problem in problems:
        print(f"{path}: {problem}", file=sys.stderr)
    print(f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''}", file=sys.stderr)
    return EX_DATAERR


def _watching(shadow: ShadowDeployment, monitors: Sequence[ModelMonitor]) -> ModelMonitor | None:
    """The monitor that it names, of its namespace where there are several."""
    named = [each for each in monitors if each.metadata.name == shadow.spec.monitor_ref.name]
    near = [each for each in named if each.metadata.namespace == shadow.metadata.namespace]
    return next(iter(near or named), None)


def _print_summary(
    resource: ModelMonitor | ShadowDeployment, arguments: argparse.Namespace, monitors: Sequence[ModelMonitor]
) -> None:
    if isinstance(resource, ShadowDeployment):
        print(*shadow_summary(resource), sep="\n")
        if _watching(resource, monitors) is None:
            wanted = resource.spec.monitor_ref.name
            there = ", ".join(each.metadata.name for each in monitors)
            others = f", of which the monitors are {there}" if there else ""
            print(
                f"  note        its monitor (spec.monitorRef.name {wanted!r}) isn't among the files{others}: "
                "paths, segments and rules weren't held against it"
            )
        return
    print(*summary(resource, arguments.profile), sep="\n")
    if arguments.profile is not None:
        _print_detectable(resource, arguments.profile, arguments.rows_per_day)


def summary(monitor: ModelMonitor, profile: Path | None = None) -> Iterator[str]:
    """What the monitor will do, a line per concern."""
    spec = monitor.spec
    endpoint, schema, drift = spec.endpoint, spec.schema, spec.drift
    version = f" {spec.model.version}" if spec.model.version else ""
    numeric = sum(feature.type == "numeric" for feature in schema.features)
    features = f"{numeric} numeric, {len(schema.features) - numeric} categorical"
    score = f", score {schema.prediction.score}" if schema.prediction.score else ""
    yield f"{monitor.key}: fine"
    yield f"  model       {spec.model.name}{version}, {spec.model.type}"
    paths = ", ".join(endpoint.paths) or "every path"
    yield f"  endpoint    port {endpoint.port}, {endpoint.protocol}, {paths}"
    yield f"  features    {features if schema.features else 'those of the profile, or seen in traffic'}"
    yield f"  prediction  {schema.prediction.name}{score}"
    yield f"  reference   {_reference(monitor, profile)}"
    yield f"  windows     {', '.join(map(str, spec.windows))} in panes of {spec.pane}"
    yield (
        f"  drift       PSI {drift.thresholds.psi:g} (warning {drift.thresholds.warning:g}) in "
        f"{drift.sustain.windows} of {drift.sustain.of} windows of {drift.min_rows:,} rows and "
        f"{drift.min_requests:,} requests or more"
    )
    capture = spec.capture
    share = "all requests" if capture.sample == 1 else f"{100 * capture.sample:.6g}% of the requests"
    redacted = ", ".join(capture.redact) or "no paths"
    yield f"  capture     {share}, bodies to {capture.max_body_bytes}, redacted: {redacted}"
    if spec.labels is not None:
        yield f"  labels      {_labels(spec.labels)}"
        if spec.model.type == "classification":
            yield f"  positive    {_positive_class(schema.prediction)}"
    if spec.performance is not None:
        judged = ", ".join(map(_threshold, spec.performance.thresholds)) or "said, not judged"
        yield f"  performance {judged}"
        yield f"              over {spec.performance_window} of predictions, {spec.performance_age} later"


def _labels(labels: Labels) -> str:
    """By which id labels find predictions, and what is kept of these."""
    identity = f"by {' / '.join(labels.key)}" if labels.key else f"by {labels.id_path or 'the exchange'}"
    features = f", with {', '.join(labels.features)}" if labels.features else ""
    kept = labels.retention
    return f"{identity}{features}, kept {kept.age} and to {kept.rows:,} predictions"


def _positive_class(prediction: Prediction) -> str:
    """Which class figures are about; where nobody says it, a warning."""
    classes, declared = prediction.classes, prediction.positive
    if isinstance(declared, int) and declared < len(classes):
        return classes[declared]
    if declared is not None:
        return str(declared)
    if not has_positive(prediction):
        return "none: classes are told apart by their names"
    if classes:
        return classes[-1]
    return (
        "warning: 1 or true, for schema.prediction has neither positive nor classes. Labels and predictions "
        "other than 0, 1, false and true will be left out of all figures"
    )


def _threshold(threshold: PerformanceThreshold) -> str:
    forms = (
        ("at least {:g}", threshold.min),
        ("at most {:g}", threshold.max),
        ("at most {:g} below the reference's", threshold.max_drop),
        ("at most {:g} above the reference's", threshold.max_rise),
    )
    said = " and ".join(form.format(value) for form, value in forms if value is not None)
    return f"{threshold.metric} {said}"


def _reference(monitor: ModelMonitor, profile: Path | None) -> str:
    reference = monitor.spec.reference
    season = f", season {reference.season}" if reference.season != "none" else ""
    if profile is not None:
        return f"{profile} (--profile){season}"
    if reference.capture is not None:
        return f"the first {reference.capture.rows:,} rows of live traffic{season}"
    if reference.profile is None:
        return f"none here: give `driftline run` a --profile{season}"
    source = reference.profile
    return f"{source.file or f'ConfigMap {source.config_map}'}{season}"


def _print_detectable(monitor: ModelMonitor, path: Path, rows_per_day: float) -> None:
    from driftline.profile_codec import decode_profile

    from driftline_cli.detectable import detectable_lines

    profile = decode_profile(_read(path))
    windows = tuple(int(window) for window in monitor.spec.windows)
    print()
    for line in detectable_lines(profile, monitor.spec.drift, windows, rows_per_day):
        print(f"  {line}".rstrip())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e15:
        raise argparse.ArgumentTypeError(f"must be a number of rows above 0, not {text!r}")
    return value
