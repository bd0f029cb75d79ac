"""Real rules in a pod's network: a namespace of its own, the real proxy, a client at the other end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.children import MONITOR, child, eventually
from tests.support.tools import need

V4, V6 = "10.86.0.2", "fd86::2"
PORTS = ("--port=8080:15080", "--port=15083:8080")

APP = textwrap.dedent(
    """
    import http.server, socket

    class App(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", "3")
            self.end_headers()
            self.wfile.write(b"app")

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    Server(("::", 8080), App).serve_forever()
    """
)
ASK = textwrap.dedent(
    """
    import http.client, json, sys

    found = {}
    for place in sys.argv[1:]:
        host, _, port = place.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.read() == b"app"
        found[place] = "sidecar" if answer.headers["x-driftline-id"] else "app"
    print(json.dumps(found))
    """
)
"""The sidecar's id is the one thing that tells whether it was in between."""


def run(*command: str | Path) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, f"{command}: {ended.stderr}"
    return ended.stdout


class Net(NamedTuple):
    """Two network namespaces with a cable between them; this machine's own is not touched."""

    pod: str
    client: str

    def within(self, name: str, *command: str) -> list[str]:
        return ["ip", "netns", "exec", name, *command]

    def redirect(self, *ports: str, capabilities: str = "net_admin") -> subprocess.CompletedProcess[str]:
        """As the init container runs it: root, one capability, and none to be gained."""
        bounded = [f"--bounding-set=-all{capabilities and ',+' + capabilities}", "--inh-caps=-all"]
        program = [sys.executable, "-m", "driftline_sidecar.main", "redirect", *ports]
        command = self.within(self.pod, "setpriv", *bounded, "--no-new-privs", *program)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def rules(self) -> str:
        return run(*self.within(self.pod, "nft", "list", "ruleset"))

    def answers(self, who: str, places: Sequence[str]) -> dict[str, str]:
        """Who answers there: the app itself, or the sidecar before it."""
        found: dict[str, str] = json.loads(run(*self.within(who, sys.executable, "-c", ASK, *places)))
        return found


@pytest.fixture
def net() -> Iterator[Net]:
    need("ip")
    need("nft")
    need("setpriv")
    made = Net(f"dl-pod-{os.urandom(3).hex()}", f"dl-client-{os.urandom(3).hex()}")
    tried = subprocess.run(["ip", "netns", "add", made.pod], capture_output=True, text=True, check=False)
    if tried.returncode:
        why = f"network namespaces can't be made here ({tried.stderr.strip()}): they need root"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    try:
        run("ip", "netns", "add", made.client)
        ends = (made.pod, "10.86.0.2/24", "fd86::2/64"), (made.client, "10.86.0.1/24", "fd86::1/64")
        run(
            "ip",
            "link",
            "add",
            "eth0",
            "netns",
            made.pod,
            "type",
            "veth",
            "peer",
            "eth0",
            "netns",
            made.client,
        )
        for name, v4, v6 in ends:
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "addr", "add", v4, "dev", "eth0")
            run("ip", "-n", name, "addr", "add", v6, "dev", "eth0", "nodad")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        yield made
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.fixture
def pod(net: Net, tmp_path: Path) -> Iterator[Net]:
    """With the app and the proxy that stand in an injected pod."""
    (tmp_path / "monitor.yaml").write_text(MONITOR)
    proxy = [sys.executable, "-m", "driftline_sidecar.main", "proxy", f"--tee={tmp_path}/tee.sock"]
    proxy += [
        "--relay=:15080=127.0.0.1:8080,port=8080/http",
        "--health=:15081",
        f"--monitor={tmp_path}/monitor.yaml",
    ]
    with (
        child(net.within(net.pod, sys.executable, "-c", APP), tmp_path / "app.log"),
        child(net.within(net.pod, *proxy), tmp_path / "proxy.log"),
    ):
        listening = net.within(net.pod, "ss", "-Hltn")
        eventually(lambda: all(port in run(*listening) for port in (":8080 ", ":15080 ")), 30)
        yield net


OUTSIDE = [f"{host}:{port}" for host in (V4, V6) for port in (8080, 15083)]
INSIDE = [f"{host}:8080" for host in ("127.0.0.1", "::1", V4, V6)]


def test_inbound_traffic_reaches_the_sidecar_and_the_kubelet_the_app(pod: Net) -> None:
    assert pod.answers(pod.client, [f"{V4}:8080", f"{V6}:8080"]) == {f"{V4}:8080": "app", f"{V6}:8080": "app"}
    ended = pod.redirect(*PORTS)
    assert ended.returncode == 0, ended.stderr
    assert "8080 to 15080, 15083 to 8080: IPv4 and IPv6" in ended.stderr
    assert pod.answers(pod.client, OUTSIDE) == {
        f"{V4}:8080": "sidecar", f"{V4}:15083": "app", f"{V6}:8080": "sidecar", f"{V6}:15083": "app",
    }  # fmt: skip
    # What stays in the pod isn't redirected, else the proxy would talk to itself.
    assert set(pod.answers(pod.pod, INSIDE).values()) == {"app"}


def test_a_second_run_leaves_the_same_rules_and_another_one_its_own(net: Net) -> None:
    assert net.redirect(*PORTS).returncode == 0
    first = net.rules()
    assert first.count("tcp dport 8080 redirect to :15080") == 2
    assert net.redirect(*PORTS).returncode == 0
    assert net.rules() == first
    assert net.redirect("--port=9000:15080").returncode == 0
    assert net.rules().count("redirect to") == 2
    assert "8080" not in net.rules().replace("15080", "")


def test_rules_of_others_are_left_alone_and_go_first(pod: Net) -> None:
    mesh = """table ip mesh {
        chain c {
            type nat hook prerouting priority -100
            tcp dport 8080 redirect to :8080
        }
    }
    """
    subprocess.run(
        pod.within(pod.pod, "nft", "-f", "-"), input=mesh, text=True, check=True, capture_output=True
    )
    assert pod.redirect(*PORTS).returncode == 0
    assert "table ip mesh" in pod.rules()
    assert pod.answers(pod.client, [f"{V4}:8080"]) == {f"{V4}:8080": "app"}


def test_without_ipv6_the_rest_is_redirected(pod: Net) -> None:
    run(*pod.within(pod.pod, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"))
    assert pod.redirect(*PORTS).returncode == 0
    assert pod.answers(pod.client, [f"{V4}:8080"]) == {f"{V4}:8080": "sidecar"}


def test_without_the_capability_it_fails_and_says_so(net: Net) -> None:
    ended = net.redirect(*PORTS, capabilities="")
    assert ended.returncode == 71
    assert "Operation not permitted" in ended.stderr
    assert "not_redirected" in ended.stderr
