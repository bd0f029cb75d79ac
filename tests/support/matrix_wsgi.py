"""The matrix's WSGI application, for gunicorn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.support.servers import LARGE

Start = Callable[[str, list[tuple[str, str]]], Any]


def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    match environ["PATH_INFO"]:
        case "/stream" | "/events":
            start("200 OK", [("content-type", "text/event-stream")])
            return _parts()
        case "/empty":
            start("204 No Content", [])
            return []
        case "/same":
            start("304 Not Modified", [("etag", '"1"')])
            return []
        case "/twice":
            start("200 OK", [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("content-length", "5")])
            return [b"twice"]
        case "/headers":
            seen = [f"{name}: {value}" for name, value in environ.items() if name.startswith("HTTP_")]
            return _whole(start, "\n".join(seen).encode())
        case "/large":
            return _whole(start, LARGE)
    return _whole(start, environ["wsgi.input"].read() or b'{"n": 1}')


def _whole(start: Start, body: bytes) -> list[bytes]:
    start("200 OK", [("content-type", "application/json"), ("content-length", str(len(body)))])
    return [body]


def _parts() -> Iterator[bytes]:
    for index in range(5):
        yield b"data: %d\n\n" % index
        time.sleep(0.02)
