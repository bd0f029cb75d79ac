"""What CNI keeps of pods outside the cluster's folder, when they end with it instead of one by one.

For each pod there are two remembered results, of its network and of its loopback, and a mounted network
namespace. The network's own name tells which are this cluster's: another's stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from e2e.cluster.processes import run

RESULTS: Final = Path("/var/lib/cni/results")
"""libcni's cache: its place isn't to be configured in containerd's plugin."""


class Left(NamedTuple):
    """Of one pod."""

    namespaces: tuple[str, ...]
    """Below /run/netns."""
    results: tuple[Path, ...]


def left(network: str, results: Path = RESULTS) -> Iterator[Left]:
    """Of the pods that were in a network. What can't be read tells of no namespace, and is passed over."""
    for path in sorted(results.glob(f"{network}-*")):
        try:
            remembered = json.loads(path.read_bytes())
            if remembered["networkName"] != network:
                continue
            interfaces = remembered["result"]["interfaces"]
            loopback = results / f"cni-loopback-{remembered['containerId']}-lo"
        except (OSError, ValueError, KeyError, TypeError):
            continue
        namespaces = {Path(each["sandbox"]).name for each in interfaces if each.get("sandbox")}
        yield Left(tuple(sorted(namespaces)), (path, loopback))


def remove(network: str) -> None:
    """Nothing of those pods stays."""
    for pod in left(network):
        for namespace in pod.namespaces:
            run("ip", "netns", "del", namespace, check=False)
        for path in pod.results:
            path.unlink(missing_ok=True)
