"""The hub as it runs: monitors from files, TLS that is renewed, a graceful end, what can't be."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from driftline_operator.certificates.plan import Held, renew
from driftline_operator.hub.program import HubSettings, run

from tests.support.children import child, eventually, free_port

MONITOR = """\
apiVersion: driftline.io/v1alpha1
kind: ModelMonitor
metadata: {name: census, namespace: ml}
spec:
  selector: {matchLabels: {app: census}}
  endpoint: {port: 8080}
  model: {name: census, type: classification}
  schema: {prediction: {name: outcome}}
  labels: {}
"""


class Started:
    """A hub of this test."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def get(self, path: str, trusting: bytes | None = None, **query: str) -> Any:
        """The status and text; None: no answer that is trusted."""
        return asyncio.run(self._get(path, trusting, query))

    async def _get(self, path: str, trusting: bytes | None, query: dict[str, str]) -> Any:
        tls = None if trusting is None else ssl.create_default_context(cadata=trusting.decode())
        scheme = "http" if tls is None else "https"
        headers = {"Authorization": f"Bearer {self.token}"}
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.get(
                    f"{scheme}://localhost:{self.port}{path}", params=query, ssl=True if tls is None else tls
                ) as answer,
            ):
                return answer.status, await answer.text()
        return None

    @property
    def token(self) -> str:
        found = re.search(r"the token is ([\w-]+)", self.log.read_text())
        return found.group(1) if found else ""


@contextlib.contextmanager
def started(folder: Path, *arguments: str) -> Iterator[Started]:
    port, log = free_port(), folder / "hub.log"
    command = [
        sys.executable, "-m", "driftline_cli.main", "hub", "--database", f"sqlite:///{folder}/hub.db",
        "--listen", f"localhost:{port}", "--metrics", f"127.0.0.1:{free_port()}", *arguments,
    ]  # fmt: skip
    with child(command, log) as process:
        yield Started(process, port, log)


def test_driftline_hub_knows_its_monitor_and_ends_gracefully(tmp_path: Path) -> None:
    (tmp_path / "monitor.yaml").write_text(MONITOR)
    with started(tmp_path, "-f", str(tmp_path / "monitor.yaml")) as hub:
        eventually(lambda: hub.get("/readyz") == (200, "ok\n"), 60)
        status, text = hub.get("/v1/monitors/ml/census")
        assert status == 200
        assert '"profile":null' in text
        hub.process.terminate()
        assert hub.process.wait(30) == 0


def test_a_renewed_certificate_is_served(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    first, second = (renew(None, ["localhost"], now) for _ in range(2))
    write(tmp_path, first)
    files = ["--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key")]
    with started(tmp_path, *files) as hub:
        eventually(lambda: hub.get("/healthz", first.bundle) == (200, "ok\n"), 60)
        assert hub.get("/healthz", second.bundle) is None
        (tmp_path / "tls.crt").write_bytes(second.serving.pem)  # without its key it can't be used
        eventually(lambda: "is not used" in hub.log.read_text(), 30)
        assert hub.get("/healthz", first.bundle) == (200, "ok\n")
        write(tmp_path, second)
        eventually(lambda: hub.get("/healthz", second.bundle) == (200, "ok\n"), 30)
        assert hub.get("/healthz", first.bundle) is None


def write(folder: Path, held: Held) -> None:
    (folder / "tls.key").write_bytes(held.serving.key_pem)
    (folder / "tls.crt").write_bytes(held.serving.pem)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"listen": ("", 0)}, "--tokens is needed"),
        ({"database": "mysql://x"}, "not mysql"),
        ({"database": "sqlite://"}, "must be sqlite:///FILE"),
        ({"tls_key": Path("x")}, "go together"),
        ({"profile": Path("x")}, "needs one monitor"),
        ({"tokens": Path("/nonexistent")}, "nonexistent"),
    ],
)
async def test_settings_that_cant_be(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    plain = {
        "database": f"sqlite:///{tmp_path}/hub.db",
        "listen": ("127.0.0.1", 0),
        "metrics": ("127.0.0.1", 0),
    }
    with pytest.raises((ValueError, OSError), match=said):
        await run(HubSettings(**plain | fields))


def test_changed_monitor_files_are_read_again_and_broken_ones_not(tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text(MONITOR)
    with started(tmp_path, "-f", str(file)) as hub:
        eventually(lambda: hub.get("/v1/monitors/ml/census") is not None, 60)
        eventually(lambda: hub.get("/v1/monitors/ml/census")[0] == 200, 60)
        file.write_text("kind: [")
        eventually(lambda: "is not used" in hub.log.read_text(), 30)
        assert hub.get("/v1/monitors/ml/census")[0] == 200
        file.write_text(MONITOR.replace("name: census, namespace", "name: other, namespace"))
        eventually(lambda: hub.get("/v1/monitors/ml/other")[0] == 200, 30)
