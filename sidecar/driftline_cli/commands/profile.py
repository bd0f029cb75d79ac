"""`driftline profile`: build a reference profile, look at it, put it into a cluster, cut it into files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from driftline.errors import DataError
from driftline.profile import ModelName, Profile, Season
from driftline.profile_build import BuildPlan, build_profile
from driftline.profile_codec import encode_profile
from driftline.profile_parts import PART_BYTES, PROFILE_LABEL, split_profile
from driftline.spec import ModelMonitor

from driftline_cli.config_maps import config_maps, is_strange, outdated
from driftline_cli.dataset import (
    add_column_arguments,
    columns_of,
    read_monitor,
    read_reference,
    roles_of,
    say,
)
from driftline_cli.kubectl import Kubectl
from driftline_cli.profile_files import CantWrite, read_profile, write_whole
from driftline_cli.profile_view import as_json, as_text
from driftline_cli.readers.table import Table, open_table

_DEFAULT_WINDOWS = (300, 3600, 86_400)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `driftline profile build`, `show`, `apply` and `split`."""
    commands = parser.add_subparsers(dest="profile_command", required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="make a profile from rows")
    build.add_argument(
        "data", metavar="DATA", help="CSV, gzip CSV, Parquet or Arrow; a file or a quoted pattern of files"
    )
    build.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the profile")
    add_column_arguments(build)
    build.add_argument(
        "--season", choices=[season.value for season in Season], help="default: the monitor's, else none"
    )
    build.add_argument(
        "--unordered",
        action="store_true",
        help="the rows' order means nothing (a shuffled table): verdicts are then Uncalibrated. "
        "Default: rows come in the order of time, by --time-column or as they stand",
    )
    build.add_argument(
        "--label-column",
        metavar="NAME",
        help="labels of these rows, held out from training: for estimated performance",
    )
    build.add_argument(
        "--positive", metavar="CLASS", help="the positive class as labels write it (default: 1)"
    )
    show = commands.add_parser("show", help="what is in a profile")
    show.add_argument(
        "profile", nargs="+", type=Path, metavar="PROFILE", help="a file, parts, or a directory"
    )
    show.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
    _add_apply(commands.add_parser("apply", help="put a profile into a cluster, as ConfigMaps"))
    split = commands.add_parser("split", help="cut a profile into smaller files")
    split.add_argument(
        "profile", nargs="+", type=Path, metavar="PROFILE", help="a file, parts, or a directory"
    )
    split.add_argument("-d", "--directory", required=True, type=Path, help="where the parts go; must exist")


def _add_apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "profile", nargs="+", type=Path, metavar="PROFILE", help="a file, parts, or a directory"
    )
    parser.add_argument(
        "--name", required=True, help="the ConfigMap, as the monitor's reference.profile.configMap names it"
    )
    parser.add_argument("-n", "--namespace", default="", help="default: the context's")
    parser.add_argument("--context", default="", help="of the kubeconfig; default: its current one")
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="default: as kubectl finds it")
    parser.add_argument(
        "--force",
        action="store_true",
        help="take over what another program has written, or a ConfigMap that is no profile",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it; returns the exit code. Raises DataError and ProfileError."""
    match arguments.profile_command:
        case "build":
            return _build(arguments)
        case "show":
            profile = read_profile(arguments.profile)
            sys.stdout.write(as_json(profile) if arguments.format == "json" else as_text(profile))
            return 0
        case "apply":
            return _apply(arguments)
        case _:
            return _split(arguments)


def _build(arguments: argparse.Namespace) -> int:
    monitor = read_monitor(arguments.file)
    table = open_table(arguments.data)
    if not arguments.output.parent.is_dir():
        raise CantWrite(f"{arguments.output}: there is no directory {arguments.output.parent}")
    roles = roles_of(arguments, monitor)
    columns = columns_of(table, monitor, roles, explicit=roles_of(arguments, None))
    with read_reference(table, columns) as rows:
        plan = BuildPlan(
            columns=columns.profiled,
            model=_model(monitor),
            season=_season(arguments, monitor),
            windows=tuple(int(w) for w in monitor.spec.windows) if monitor else _DEFAULT_WINDOWS,
            created=_data_time(table),
            ordered=not arguments.unordered,
            labels=columns.labels,
        )
        profile = build_profile(rows, plan)
    data = encode_profile(profile)
    write_whole(arguments.output, data)
    _report(profile, data, arguments.output)
    return 0


def _report(profile: Profile, data: bytes, path: Path) -> None:
    for finding in profile.diagnostics.findings:
        where = "" if finding.feature is None else f"column {finding.feature!r}: "
        say(f"note: {where}{finding.message} ({finding.concern.value})")
    say(
        f"{path}: {profile.rows:,} rows, {len(profile.features)} columns, {len(data):,} bytes, "
        f"hash {profile.hash[:12]}"
    )
    if len(data) > PART_BYTES:
        say(f"{path}: too large for one ConfigMap; `driftline profile apply` makes several")


def _apply(arguments: argparse.Namespace) -> int:
    profile = read_profile(arguments.profile)
    objects = config_maps(arguments.name, encode_profile(profile))
    cluster = Kubectl(arguments.kubeconfig, arguments.context, arguments.namespace)
    if not arguments.force:
        _check_its_a_profile(cluster, arguments.name)
    cluster.apply(objects, force=arguments.force)
    old = outdated(cluster.names("configmap", f"{PROFILE_LABEL}={arguments.name}"), objects)
    if old:
        cluster.delete("configmap", old)
    parts = f", {len(objects)} parts" if len(objects) > 1 else ""
    say(f"ConfigMap {arguments.name}: hash {profile.hash[:12]}{parts}")
    return 0


def _check_its_a_profile(cluster: Kubectl, name: str) -> None:
    """Raises DataError where the ConfigMap is there and is somebody else's."""
    present = cluster.find("configmap", name)
    if present is not None and is_strange(present):
        raise DataError(
            f"ConfigMap {name} is there and holds no profile: choose another --name; --force adds one to it"
        )


def _split(arguments: argparse.Namespace) -> int:
    data = encode_profile(read_profile(arguments.profile))
    parts = split_profile(data)
    if not arguments.directory.is_dir():
        raise DataError(f"{arguments.directory}: there is no such directory")
    name = arguments.profile[0].stem
    for index, part in enumerate(parts):
        path = arguments.directory / f"{name}.{index + 1}-of-{len(parts)}"
        write_whole(path, part)
        say(f"{path}: {len(part):,} bytes")
    return 0


def _model(monitor: ModelMonitor | None) -> ModelName:
    if monitor is None:
        return ModelName()
    return ModelName(monitor.spec.model.name, monitor.spec.model.version)


def _season(arguments: argparse.Namespace, monitor: ModelMonitor | None) -> Season:
    if arguments.season is not None:
        return Season(arguments.season)
    return Season.NONE if monitor is None else Season(monitor.spec.reference.season)


def _data_time(table: Table) -> float:
    """When the data was last changed: the same files give the same profile, whenever it is built."""
    return float(int(max(file.path.stat().st_mtime for file in table.files)))
