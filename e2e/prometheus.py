"""A real Prometheus beside the cluster's pods, configured as examples/prometheus.yml says."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from e2e.cluster import build, node
from e2e.conftest import REPO, eventually

Json = dict[str, Any]


class Prometheus(NamedTuple):
    """A running one."""

    url: str

    def query(self, expression: str) -> list[Json]:
        """An instant query's samples, each with `metric` and `value`."""
        found: list[Json] = self._get("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """Of an expression with one sample; None where there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def _get(self, what: str, **parameters: str) -> Json:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{what}?{query}", timeout=10) as answer:
            found: Json = json.load(answer)
        assert found["status"] == "success", found
        data: Json = found["data"]
        return data


@contextmanager
def running(own: node.Node, directory: Path) -> Iterator[Prometheus]:
    """In the cluster's network, for the pods' addresses lead nowhere outside of it."""
    config = yaml.safe_load((REPO / "examples" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "2s"}
    for job in config["scrape_configs"]:
        for discovery in job["kubernetes_sd_configs"]:  # in a pod it would find its own way
            discovery["kubeconfig_file"] = str(own.kubeconfig)
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    address = f"{node.NODE_ADDRESS}:{_port()}"
    command: list[str | Path] = [
        *node.INSIDE, "setpriv", "--pdeathsig", "KILL", build.prometheus(),
        f"--config.file={path}", f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
    ]  # fmt: skip
    with (directory / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(f"http://{address}/-/ready"), 30)
        yield Prometheus(f"http://{address}")
    finally:
        process.kill()
        process.wait(10)


def _port() -> int:
    """Free on this machine; in the cluster's network nobody else takes such a number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
