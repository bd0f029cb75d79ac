"""What an ended cluster's pods leave of their networks is found, and nobody else's."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.cluster.pod_networks import Left, left


def remember(folder: Path, network: str, container: str, *sandboxes: str) -> Path:
    path = folder / f"{network}-{container}-eth0"
    bridge = {"name": "cni0"}
    interfaces = [bridge, *({"name": "eth0", "sandbox": f"/var/run/netns/{each}"} for each in sandboxes)]
    content = {"networkName": network, "containerId": container, "result": {"interfaces": interfaces}}
    path.write_text(json.dumps(content))
    return path


def test_pods_of_this_network_and_of_no_other(tmp_path: Path) -> None:
    ours = remember(tmp_path, "ours", "c1", "cni-1")
    remember(tmp_path, "theirs", "c2", "cni-2")
    remember(tmp_path, "ours-too", "c3", "cni-3")  # another network, whose name begins alike
    (tmp_path / "ours-c4-eth0").write_text("{")
    assert list(left("ours", tmp_path)) == [Left(("cni-1",), (ours, tmp_path / "cni-loopback-c1-lo"))]


def test_without_cni_there_is_nothing(tmp_path: Path) -> None:
    assert list(left("ours", tmp_path / "none")) == []
