"""`driftline shadow`: two models compared on this machine, and the promotion of a candidate in a cluster."""

from __future__ import annotations

import argparse

from driftline_cli.commands import run as run_command
from driftline_cli.kubectl import ClusterError, Kubectl

_KIND = "shadowdeployments.driftline.io"
_ANNOTATION = "driftline.io/promote"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands of `driftline shadow`."""
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", dest="part", required=True)
    said = "compare two models on this machine: `driftline run` with a candidate that must be named"
    diff = parts.add_parser("diff", help=said, description=said)
    run_command.add_arguments(diff)
    said = "have a candidate take the live model's place in the cluster (annotation driftline.io/promote)"
    _add_promote(parts.add_parser("promote", help=said, description=said))
    for action in diff._actions:
        if "--shadow" in action.option_strings:
            action.required = True


def _add_promote(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the ShadowDeployment")
    parser.add_argument("-n", "--namespace", default="", help="default: the context's")
    parser.add_argument("--context", default="", help="of the kubeconfig; default: its current one")
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="default: as kubectl finds it")


def run(arguments: argparse.Namespace) -> int:
    """Compare until SIGINT or SIGTERM (0 promotable, 3 rejected, 4 no verdict), or promote."""
    if arguments.part == "promote":
        return _promote(arguments)
    return run_command.run(arguments)


def _promote(arguments: argparse.Namespace) -> int:
    """0 once it is asked for; the controller does it, or says why not in the condition Promoted."""
    cluster = Kubectl(arguments.kubeconfig, arguments.context, arguments.namespace)
    found = cluster.get(_KIND, arguments.name)
    generation, status = found["metadata"]["generation"], found.get("status") or {}
    if status.get("observedGeneration") != generation:
        raise ClusterError(f"{arguments.name}: its spec was changed, and has no verdict yet")
    verdict = status.get("verdict", "Inconclusive")
    if verdict != "Promotable":
        raise ClusterError(
            f"{arguments.name} is {verdict} ({status.get('reason', 'NoData')}), not Promotable"
        )
    cluster.annotate(_KIND, arguments.name, _ANNOTATION, str(generation))
    print(f"{arguments.name}: asked for; `kubectl describe sd {arguments.name}` says how it goes (Promoted)")
    return 0
