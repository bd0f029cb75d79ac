"""Real clients against real servers, with and without the sidecar: the same bytes but for the id header."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import httpx
import pytest
import requests
import websockets

from tests.support.children import Proxy, free_port, proxy, taker
from tests.support.servers import LARGE, serving
from tests.support.tools import need

HTTP_SERVERS = ("uvicorn", "aiohttp", "gunicorn", "nginx", "node")
CHUNKED = b'5\r\n{"n":\r\n3\r\n 4}\r\n0\r\n\r\n'

Headers = list[tuple[str, str]]

_DATE = re.compile(rb"(?im)^date: [^\r]*")
_ID = re.compile(rb"(?im)^x-driftline-id: [!-~]+\r\n")


class Pair(NamedTuple):
    """One server, reached directly and through the sidecar."""

    server: str
    direct: int
    sidecar: Proxy


@pytest.fixture(scope="module", params=HTTP_SERVERS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    if request.param in ("nginx", "node"):
        need(request.param)
    directory = tmp_path_factory.mktemp(request.param)
    with serving(request.param, directory) as port, proxy(directory, port) as sidecar, taker(directory):
        yield Pair(request.param, port, sidecar)


def talk(port: int, *parts: bytes) -> bytes:
    """All that the server sends until it closes, the parts sent one after the other."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        for part in parts:
            sock.sendall(part)
        received = []
        while data := sock.recv(1 << 16):
            received.append(data)
        return b"".join(received)


def message(line: str, *headers: str, body: bytes = b"", close: bool = True) -> bytes:
    lines = [line + " HTTP/1.1", "host: m", *headers, *(["connection: close"] if close else [])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def plain(raw: bytes) -> bytes:
    """Without the time of day."""
    return _DATE.sub(b"date: now", raw)


JSON = "content-type: application/json"
WIRE = {
    "get": [message("GET /echo")],
    "post": [message("POST /echo", JSON, "content-length: 8", body=b'{"n": 2}')],
    "post-in-parts": [message("POST /echo", JSON, "content-length: 8"), b'{"n"', b": 2}"],
    "head": [message("HEAD /echo")],
    "head-then-get": [message("HEAD /echo", close=False), message("GET /echo")],
    "chunked-request": [message("POST /echo", JSON, "transfer-encoding: chunked", body=CHUNKED)],
    "204": [message("GET /empty")],
    "304": [message("GET /same")],
    "404": [message("GET /no/such/thing")],
    "stream": [message("GET /stream")],
    "stream-1.0": [b"GET /stream HTTP/1.0\r\nhost: m\r\n\r\n"],
    "large": [message("GET /large")],
    "gzip": [message("GET /large", "accept-encoding: gzip")],
    "keep-alive": [
        message("GET /echo", close=False),
        message("GET /empty", close=False),
        message("GET /same"),
    ],
    "one-header-twice": [message("GET /twice")],
    "headers-as-they-came": [message("GET /headers", "x-n: 1", "X-N: 2", "x-n: 1")],
    "own-id": [message("GET /echo", "x-request-id: abc")],
    "garbage": [b"\x00\x01 nonsense\r\n\r\n"],
}


@pytest.mark.parametrize("case", WIRE)
def test_the_same_bytes_but_for_the_id_header(pair: Pair, case: str) -> None:
    direct = plain(talk(pair.direct, *WIRE[case]))
    relayed = plain(talk(pair.sidecar.port, *WIRE[case]))
    assert _ID.sub(b"", relayed) == direct
    answers = 0 if case in ("garbage", "own-id") else direct.count(b"HTTP/1.")
    assert len(_ID.findall(relayed)) == answers


def test_pipelined_requests(pair: Pair) -> None:
    requested = message("GET /echo", close=False) * 5 + message("GET /empty")
    assert _ID.sub(b"", plain(talk(pair.sidecar.port, requested))) == plain(talk(pair.direct, requested))


@pytest.mark.parametrize(
    "options",
    [
        ["-d", '{"n": 2}'],
        ["-I"],
        ["-H", "Expect: 100-continue", "-d", '{"n": 2}'],
        ["-H", "Transfer-Encoding: chunked", "-d", '{"n": 2}'],
        ["--compressed"],
        ["--http1.0"],
        ["--http2", "-d", '{"n": 2}'],
    ],
    ids=" ".join,
)
def test_curl(pair: Pair, options: list[str]) -> None:
    def curl(port: int) -> bytes:
        command = ["curl", "-sS", "-i", "--max-time", "10", *options, f"http://127.0.0.1:{port}/echo"]
        return plain(subprocess.run(command, capture_output=True, check=True).stdout)

    assert _ID.sub(b"", curl(pair.sidecar.port)) == curl(pair.direct)


def test_curl_sends_a_large_body_and_expects_100(pair: Pair, tmp_path: Path) -> None:
    if pair.server == "nginx":
        pytest.skip("nginx does not echo")
    (tmp_path / "body").write_bytes(LARGE * 8)
    command = ["curl", "-sS", "--max-time", "20", "-H", "Expect: 100-continue", "-T", str(tmp_path / "body"),
               "-X", "POST", f"http://127.0.0.1:{pair.sidecar.port}/echo"]  # fmt: skip
    assert subprocess.run(command, capture_output=True, check=True).stdout == LARGE * 8


def test_requests_keeps_a_session(pair: Pair) -> None:
    def conversation(port: int) -> list[tuple[int, bytes, Headers]]:
        with requests.Session() as session:
            answers = [
                session.request(method, f"http://127.0.0.1:{port}{path}", data=data, timeout=10)
                for method, path, data in (
                    ("POST", "/echo", b'{"n": 2}'),
                    ("GET", "/large", None),
                    ("HEAD", "/echo", None),
                    ("GET", "/empty", None),
                    ("GET", "/stream", None),
                    ("GET", "/twice", None),
                )
            ]
            return [(a.status_code, a.content, _headers(a.raw.headers.items())) for a in answers]

    assert conversation(pair.sidecar.port) == conversation(pair.direct)


async def test_httpx_streams(pair: Pair) -> None:
    async def conversation(port: int) -> list[tuple[int, bytes, Headers]]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            answers = [
                await client.get("/stream"),
                await client.post("/echo", json={"n": 2}),
                await client.get("/large"),
                await client.get("/twice"),
            ]
            return [(a.status_code, a.content, _headers(a.headers.multi_items())) for a in answers]

    assert await conversation(pair.sidecar.port) == await conversation(pair.direct)


async def test_aiohttp(pair: Pair) -> None:
    async def conversation(port: int) -> list[tuple[int, bytes, Headers]]:
        answers = []
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            for method, path, body in (
                ("POST", "/echo", b'{"n": 2}'),
                ("GET", "/stream", None),
                ("GET", "/same", None),
                ("GET", "/twice", None),
            ):
                async with session.request(method, path, data=body) as answer:
                    answers.append((answer.status, await answer.read(), _headers(answer.headers.items())))
        return answers

    assert await conversation(pair.sidecar.port) == await conversation(pair.direct)


def _headers(pairs: Iterable[tuple[str, str]]) -> Headers:
    """All of them, in order, those that come twice included; without the time of day and the id."""
    return [(name, value) for name, value in pairs if name.lower() not in ("date", "x-driftline-id")]


def test_wrk_sees_no_error(pair: Pair) -> None:
    need("wrk")
    for port in (pair.direct, pair.sidecar.port):
        command = ["wrk", "-t1", "-c32", "-d1s", f"http://127.0.0.1:{port}/echo"]
        said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        assert "Requests/sec" in said
        assert "Socket errors" not in said, said
        assert "Non-2xx" not in said, said


@pytest.mark.parametrize("server", ["websockets", "aiohttp", "uvicorn"])
async def test_a_websocket_echoes(server: str, tmp_path: Path) -> None:
    with serving(server, tmp_path) as port, proxy(tmp_path, port) as sidecar:
        for number in (port, sidecar.port):
            async with websockets.connect(f"ws://127.0.0.1:{number}/ws", proxy=None) as client:
                for text in ["hello", "x" * 100_000, ""]:
                    await client.send(text)
                    assert await client.recv() == text
        assert sidecar.count("opaque_connections_total", reason="upgrade") == 1


def test_an_http2_connection_is_relayed_as_bytes(tmp_path: Path) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        proxy(tmp_path, server.getsockname()[1]) as sidecar,
    ):
        with socket.create_connection(("127.0.0.1", sidecar.port), timeout=5) as client:
            client.sendall(preface)
            upstream = _last_connection(server, preface)
            upstream.sendall(b"\x00\x00\x00\x04\x01\x00\x00\x00\x00 any bytes")
            assert client.recv(100) == b"\x00\x00\x00\x04\x01\x00\x00\x00\x00 any bytes"
            upstream.close()
        assert sidecar.count("opaque_connections_total", reason="http2") == 1


def _last_connection(server: socket.socket, expected: bytes) -> socket.socket:
    """The relay's connection that brings these bytes."""
    server.settimeout(5)
    sock, _ = server.accept()
    sock.settimeout(5)
    received = b""
    while len(received) < len(expected):
        received += sock.recv(1000)
    assert received == expected
    return sock


def test_curl_speaks_http2_with_prior_knowledge(tmp_path: Path) -> None:
    need("node")
    with serving("http2", tmp_path) as port, proxy(tmp_path, port) as sidecar:
        command = ["curl", "-sS", "--max-time", "10", "--http2-prior-knowledge", "-d", '{"n": 2}',
                   "-w", "%{http_version}", f"http://127.0.0.1:{sidecar.port}/"]  # fmt: skip
        assert subprocess.run(command, capture_output=True, check=True).stdout == b'{"n": 2}2'
        # An HTTP/2 server speaks first: where that comes before the preface, it is an unsolicited response.
        assert sidecar.count("opaque_connections_total") == 1
        assert sidecar.count("requests_total") == 0


def test_a_model_that_is_not_there_is_a_502_that_says_so(tmp_path: Path) -> None:
    port = free_port()
    with proxy(tmp_path, port) as sidecar:
        answer = requests.get(f"http://127.0.0.1:{sidecar.port}/echo", timeout=5)
    assert answer.status_code == 502
    assert f"127.0.0.1:{port}" in answer.text
