"""The supervisor's own port: a few answers, in constant memory, whatever a client sends.

It lives on a selector instead of an event loop because the supervisor forks: a selector has nothing
that a child could inherit half-way. One request a connection; heads are bounded, clients have a
deadline, and when too many are connected the oldest goes.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

MAX_HEAD: Final = 8192
"""Bytes of a request's head; kubelet and Prometheus send a few hundred."""

MAX_CONNECTIONS: Final = 64
CLIENT_SECONDS: Final = 5.0
"""How long one connection may take from its start to its end."""

_PHRASES: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
                   431: "Request Header Fields Too Large", 503: "Service Unavailable"}  # fmt: skip


class Answer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Handler = Callable[[str, str], Answer]
"""Method and path (no query) to an answer."""


class HealthServer:
    """Serves `handler` on a listening socket. The selector's data are callables of the event mask."""

    def __init__(
        self, listener: socket.socket, selector: selectors.BaseSelector, handler: Handler, now: float
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._handler = handler
        self._now = now
        self._open: dict[int, _Connection] = {}
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def tick(self, now: float) -> None:
        """Close who is past the deadline; `now` is the clock for those that come next."""
        self._now = now
        for connection in [c for c in self._open.values() if c.deadline <= now]:
            self._drop(connection)

    def close(self) -> None:
        """Stop serving."""
        self._selector.unregister(self._listener)
        for connection in list(self._open.values()):
            self._drop(connection)
        self._listener.close()

    def abandon(self) -> None:
        """In a forked child: give up the descriptors; the parent goes on serving."""
        for connection in self._open.values():
            connection.sock.close()
        self._listener.close()

    def _accept(self, _mask: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # the client went away again, or no descriptor is free: the next event tells
            return
        if len(self._open) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._open.values())))
        sock.setblocking(False)
        connection = _Connection(sock, self._now + CLIENT_SECONDS)
        self._open[sock.fileno()] = connection
        self._selector.register(sock, selectors.EVENT_READ, lambda mask: self._serve(connection, mask))

    def _serve(self, connection: _Connection, mask: int) -> None:
        if connection.sock.fileno() not in self._open:
            return  # dropped earlier in the same round of events
        try:
            done = connection.write() if mask & selectors.EVENT_WRITE else self._read(connection)
        except OSError:
            done = True
        if done:
            self._drop(connection)

    def _read(self, connection: _Connection) -> bool:
        """Take what came; True where the connection is finished."""
        if connection.answered:
            return not connection.sock.recv(MAX_HEAD)  # the rest of what was refused, until its end
        raw = connection.sock.recv(MAX_HEAD)
        if not raw:
            return True
        connection.head += raw
        answer = respond(bytes(connection.head), self._handler)
        if answer is None:
            return False
        connection.out = answer
        self._selector.modify(
            connection.sock, selectors.EVENT_WRITE, lambda mask: self._serve(connection, mask)
        )
        return False

    def _drop(self, connection: _Connection) -> None:
        del self._open[connection.sock.fileno()]
        self._selector.unregister(connection.sock)
        connection.sock.close()


class _Connection:
    """One client: what it has sent, what it still gets, and until when."""

    __slots__ = ("answered", "deadline", "head", "out", "sock")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.head = bytearray()
        self.out = b""
        self.answered = False

    def write(self) -> bool:
        """Send what is left; True once all of it is sent."""
        self.out = self.out[self.sock.send(self.out) :]
        return not self.out


def respond(head: bytes, handler: Handler) -> bytes | None:
    """The response to what a client has sent so far; None: more of the head must come first."""
    end = head.find(b"\r\n\r\n")
    if end < 0:
        return _encode(Answer(431, b"the head is too long\n")) if len(head) >= MAX_HEAD else None
    words = head[: head.find(b"\r\n")].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not words[1].startswith(b"/"):
        return _encode(Answer(400, b"not an HTTP/1 request\n"))
    method, target = words[0].decode("latin-1"), words[1].decode("latin-1")
    if method not in ("GET", "HEAD", "POST"):
        return _encode(Answer(405, b"GET or HEAD\n"))
    return _encode(handler(method, target.partition("?")[0]), body=method != "HEAD")


def _encode(answer: Answer, *, body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}\r\n"
        f"content-type: {answer.content_type}\r\n"
        f"content-length: {len(answer.body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + (answer.body if body else b"")
