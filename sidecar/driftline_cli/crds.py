"""Writes the CRDs into a folder: `python -m driftline_cli.crds crds` (`make crds`)."""

from __future__ import annotations

import sys
from pathlib import Path

from driftline.crd import NAME, crd_yaml


def main(arguments: list[str]) -> int:
    """Write the files into the folder that is named; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m driftline_cli.crds DIR", file=sys.stderr)
        return 64
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.yaml"
    path.write_text(crd_yaml(), encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
