"""All benchmarks in one run: `python -m benchmarks [--quick] [--only relay latency analysis memory]`.

Prints each table as it is known and writes all of them into benchmarks/results/. Nothing here gates:
absolute figures belong to the machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import analysis, latency, memory, relay
from benchmarks.plan import FULL, QUICK
from benchmarks.processes import Cores
from benchmarks.report import Report
from benchmarks.sidecar import Files

PARTS = {"relay": relay, "latency": latency, "analysis": analysis, "memory": memory}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of half an hour")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="these alone; nothing is written"
    )
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    report = Report()
    cores = Cores.of_this_machine()
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as name:
        directory = Path(name)
        files = Files.write(directory)
        for part in options.only:
            print(f"bench: {part}", flush=True)
            PARTS[part].measure(directory, files, plan, cores, report)
    if options.only == list(PARTS):
        print(f"bench: written to {report.write(sys.argv[1:]).relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
