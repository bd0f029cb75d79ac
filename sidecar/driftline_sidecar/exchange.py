"""One request and its response as the worker saw them: what the tee carries and the analyzer decodes.

Heads are the raw bytes of the wire, up to and including the empty line; whoever needs a header finds
it with `header`. Bodies are without their transfer coding (chunks are joined, content codings stay).
"""

from __future__ import annotations

import msgspec


class Exchange(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A finished exchange. `boot` and `sequence` together name it for good; `id` may repeat."""

    boot: int
    """63 random bits of the worker process."""
    sequence: int
    """Counts the exchanges of that worker, from 1; gaps are those that were not captured."""
    id: str
    """The client's id, or the one that was generated and given back in `x-driftline-id`."""
    id_generated: bool
    ports: tuple[str, ...] = ()
    """The port to which the client came, as monitors may name it (number, name); (): any monitor's."""
    request_head: bytes
    request_body: bytes
    """At most `max_body_bytes` of it."""
    request_bytes: int
    """The whole body's length."""
    response_head: bytes
    """The head of the final response, without the header that the relay added."""
    response_body: bytes
    response_bytes: int
    status: int
    started: float
    """Unix time in seconds at which the request's head was whole."""
    first_byte: float
    """Seconds from `started` until the head of the final response was whole."""
    duration: float
    """Seconds from `started` to the end of the exchange."""
    probability: float
    """The probability, in (0, 1], with which the sample chose this exchange."""

    @property
    def method(self) -> str:
        """The request's method as sent."""
        return self.request_head.split(b" ", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        """The request's target as sent: path and query, bytes as Latin-1."""
        return self.request_head.split(b" ", 2)[1].decode("latin-1")

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def request_truncated(self) -> bool:
        """Whether the body was longer than what was kept."""
        return len(self.request_body) < self.request_bytes

    @property
    def response_truncated(self) -> bool:
        """Whether the body was longer than what was kept."""
        return len(self.response_body) < self.response_bytes


def header(head: bytes, name: bytes) -> bytes | None:
    """The value of the first header of that name (lower case) in a head; None where there is none."""
    start = head.find(b"\r\n") + 2
    lowered = head.lower()
    found = lowered.find(b"\r\n" + name + b":", start - 2)
    if found < 0:
        return None
    begin = found + len(name) + 3
    return head[begin : head.index(b"\r\n", begin)].strip(b" \t")
