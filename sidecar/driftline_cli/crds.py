"""Writes the CRDs into folders: `python -m driftline_cli.crds crds charts/…` (`make crds`)."""

from __future__ import annotations

import sys
from pathlib import Path

from driftline.crd import DEFINITIONS, crd_yaml


def main(arguments: list[str]) -> int:
    """Write the files into the folders that are named; returns the exit code."""
    if not arguments:
        print("usage: python -m driftline_cli.crds DIR...", file=sys.stderr)
        return 64
    for folder in map(Path, arguments):
        folder.mkdir(parents=True, exist_ok=True)
        for definition in DEFINITIONS:
            path = folder / f"{definition.name}.yaml"
            path.write_text(crd_yaml(definition), encoding="utf-8")
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
