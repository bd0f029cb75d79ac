"""`driftline-operator controller|injector`: the programs that run beside a cluster's models."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one program; its exit status, after sysexits."""
    parser = argparse.ArgumentParser(prog="driftline-operator", description=__doc__)
    parser.add_subparsers(dest="program", required=True, metavar="controller|injector")
    parser.parse_args(arguments)
    return 0
