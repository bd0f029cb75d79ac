"""`driftline shadow`: two models compared on this machine; in a cluster, what pairs say, and promotions."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from driftline.errors import DataError
from driftline.shadow.comparison import Comparison

from driftline_cli.commands import run as run_command
from driftline_cli.kubectl import ClusterError, Kubectl
from driftline_cli.shadow_comparison import comparison_lines, plain

_KIND = "shadowdeployments.driftline.io"
_ANNOTATION = "driftline.io/promote"
_KEPT = "driftline.shadow.{name}"
"""The ConfigMap of a shadow's pairs."""
_DISAGREEMENTS = "disagreements.json"
_COMPARISON = "comparison.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands of `driftline shadow`."""
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", dest="part", required=True)
    said = "compare two models on this machine: `driftline run` with a candidate that must be named"
    diff = parts.add_parser("diff", help=said, description=said)
    run_command.add_arguments(diff)
    said = "have a candidate take the live model's place in the cluster (annotation driftline.io/promote)"
    _add_cluster(parts.add_parser("promote", help=said, description=said))
    said = "the requests on which the models differ most, of a ShadowDeployment in the cluster"
    disagreements = parts.add_parser("disagreements", help=said, description=said)
    _add_cluster(disagreements)
    disagreements.add_argument("--json", action="store_true", help="as it is kept, for programs")
    said = "what the pairs of a ShadowDeployment in the cluster say: confusion, differences, segments, fields"
    comparison = parts.add_parser("comparison", help=said, description=said)
    _add_cluster(comparison)
    comparison.add_argument("--json", action="store_true", help="as it is kept, for programs")
    for action in diff._actions:
        if "--shadow" in action.option_strings:
            action.required = True


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the ShadowDeployment")
    parser.add_argument("-n", "--namespace", default="", help="default: the context's")
    parser.add_argument("--context", default="", help="of the kubeconfig; default: its current one")
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="default: as kubectl finds it")


def run(arguments: argparse.Namespace) -> int:
    """Compare until SIGINT or SIGTERM (0 promotable, 3 rejected, 4 no verdict), promote, or show."""
    if arguments.part == "promote":
        return _promote(arguments)
    if arguments.part == "disagreements":
        return _disagreements(arguments)
    if arguments.part == "comparison":
        return _comparison(arguments)
    return run_command.run(arguments)


def _promote(arguments: argparse.Namespace) -> int:
    """0 once it is asked for; the controller does it, or says why not in the condition Promoted."""
    cluster = _cluster(arguments)
    found = cluster.get(_KIND, arguments.name)
    generation, status = found["metadata"]["generation"], found.get("status") or {}
    if "observedGeneration" not in status:
        raise ClusterError(f"{arguments.name}: no controller has looked at it yet: does one run, and lead?")
    if status["observedGeneration"] != generation:
        raise ClusterError(f"{arguments.name}: its spec was changed, and has no verdict yet")
    verdict = status.get("verdict", "Inconclusive")
    if verdict != "Promotable":
        raise ClusterError(
            f"{arguments.name} is {verdict} ({status.get('reason', 'NoData')}), not Promotable"
        )
    # With the time, it is another value than that of a request that was refused: one stays refused.
    asked = f"{generation}/{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    cluster.annotate(_KIND, arguments.name, _ANNOTATION, asked)
    print(f"{arguments.name}: asked for; `kubectl describe sd {arguments.name}` says how it goes (Promoted)")
    return 0


def _kept(arguments: argparse.Namespace, key: str) -> str:
    """What a shadow has kept for people, at most a minute old; empty: nothing yet."""
    cluster = _cluster(arguments)
    found = cluster.find("configmap", _KEPT.format(name=arguments.name))
    if found is None:
        cluster.get(_KIND, arguments.name)  # the error names one that isn't there
        return ""
    return str((found.get("data") or {}).get(key, ""))


def _comparison(arguments: argparse.Namespace) -> int:
    """0, also where there are no pairs."""
    text = _kept(arguments, _COMPARISON)
    if arguments.json:
        print(json.dumps(json.loads(text or "{}"), indent=2, ensure_ascii=False))
        return 0
    try:
        found = msgspec.json.decode(text, type=Comparison) if text else None
    except msgspec.DecodeError as error:
        raise DataError(f"{arguments.name}: a comparison of another release ({error}): see --json") from error
    if found is None or not found.requests:
        print(f"{arguments.name}: no request is known to be compared yet")
    else:
        print("\n".join(comparison_lines(found)))
    return 0


def _disagreements(arguments: argparse.Namespace) -> int:
    """0, also where nothing differs."""
    entries = json.loads(_kept(arguments, _DISAGREEMENTS) or "[]")
    if arguments.json:
        print(json.dumps(entries, indent=2, ensure_ascii=False))
    elif not entries:
        print(f"{arguments.name}: no request is known on which the models differ")
    else:
        print("\n".join(_lines(entries)))
    return 0


def _lines(entries: list[Mapping[str, Any]]) -> Iterator[str]:
    for entry in entries:
        yield f"{entry['size']:.4g}  {plain(entry['request'])}"
        yield f"    live       {plain(entry['live'])}"
        yield f"    candidate  {plain(entry['candidate'])}"


def _cluster(arguments: argparse.Namespace) -> Kubectl:
    return Kubectl(arguments.kubeconfig, arguments.context, arguments.namespace)
