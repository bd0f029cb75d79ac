"""`python -m e2e.cluster up|down|status|control-plane|build|sizes`: a Kubernetes for the tests, by hand."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import threading
from pathlib import Path

from e2e.cluster import images, node
from e2e.cluster.build import binary, helm
from e2e.cluster.control_plane import running
from e2e.cluster.report import ClusterError, say


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="up|down|status|control-plane|build|sizes"
    )
    commands.add_parser(
        "up", help="a whole cluster on one node, with the project's images; prints its kubeconfig"
    )
    commands.add_parser("down", help="end it; nothing of it is left")
    commands.add_parser("status", help="is there one, and does it run?")
    commands.add_parser("build", help="build the programs if they aren't there, and print where they are")
    commands.add_parser("sizes", help="build the images if they aren't there, and print how large they are")
    plane = commands.add_parser("control-plane", help="run an API server until Ctrl-C; prints its kubeconfig")
    plane.add_argument(
        "--directory", type=Path, metavar="DIR", help="for its files (default: a temporary one)"
    )
    options = parser.parse_args()
    try:
        if options.command == "build":
            print(binary())
            print(helm())
        elif options.command == "sizes":
            print(images.sizes())
        elif options.command == "control-plane":
            _control_plane(options.directory)
        elif options.command == "up":
            found = node.up()
            images.load_project(found)
            print(found.kubeconfig)
        elif options.command == "down":
            node.down()
        else:
            print(node.status())
    except ClusterError as error:
        say(str(error))
        return 69
    return 0


def _control_plane(directory: Path | None) -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftline-cluster-")))
        plane = stack.enter_context(running(directory))
        print(plane.kubeconfig, flush=True)
        say(f"running at {plane.server}; Ctrl-C ends it")
        stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
