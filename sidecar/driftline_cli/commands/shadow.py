"""`driftline shadow diff`: two models on this machine, compared on the requests that come."""

from __future__ import annotations

import argparse

from driftline_cli.commands import run as run_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands of `driftline shadow`."""
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", dest="part", required=True)
    said = "compare two models on this machine: `driftline run` with a candidate that must be named"
    diff = parts.add_parser("diff", help=said, description=said)
    run_command.add_arguments(diff)
    for action in diff._actions:
        if "--shadow" in action.option_strings:
            action.required = True


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM; 0 promotable, 3 rejected, 4 no verdict."""
    return run_command.run(arguments)
