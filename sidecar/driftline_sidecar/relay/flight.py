"""An exchange in flight, and how its end is counted and handed to the tee."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence
from hashlib import blake2b
from time import monotonic, time
from typing import Final

import msgspec

from driftline_sidecar import counters as slots
from driftline_sidecar.counters import BOUNDS, Counters
from driftline_sidecar.frames import exchange_lead
from driftline_sidecar.relay.heads import Heads, RequestHead, ResponseHead
from driftline_sidecar.settings import CaptureSettings
from driftline_sidecar.tee import Tee

HELD_BYTES: Final = 32 << 20
"""Bytes of bodies that unfinished exchanges may hold in all; beyond it an exchange is not captured."""

_RELAY_SHIFT: Final = 48
"""Each relay of a worker counts its exchanges from a start of its own: no two have one number."""
_NO_ANALYZER: Final = slots.DROPPED["no_analyzer"]


def chosen(identity: bytes, sample: float) -> bool:
    """Whether the sample has this id: the same answer in every process, for good.

    The first 64 bits of BLAKE2b of the id, as a big-endian number, below `sample` times 2**64. So a
    smaller sample is a part of a larger one, and a retry under the same id is decided alike.
    """
    if sample >= 1.0:
        return True
    return int.from_bytes(blake2b(identity, digest_size=8).digest(), "big") < sample * 2.0**64


class Flight(msgspec.Struct, gc=False):
    """One request and what has come of its response. It refers to nothing that refers back."""

    head: RequestHead
    block: memoryview[int]
    sequence: int
    identity: bytes
    generated: bool
    cap: int
    """Bytes to keep of each body."""
    keep: bool
    """Whether it is to be captured."""
    started: float
    first_byte: float = 0.0
    request_parts: list[bytes] = []
    """The head and what is kept of the body, as received."""
    response_parts: list[bytes] = []
    request_bytes: int = 0
    response_bytes: int = 0
    held: int = 0
    """Bytes of bodies in its parts: what counts against `HELD_BYTES`."""
    request_done: bool = False
    response_heads: int = 0
    """Bytes of the response's head."""
    status: int = 0
    """Of the final response; 0 until its head is whole."""
    dropped: int = 0
    """The counters' slot for why it is not kept although the sample chose it; 0: it is kept."""

    def drop(self, reason: str) -> None:
        """It will not be captured; counted as dropped at its end, where the sample had chosen it."""
        if self.keep:
            self.keep, self.dropped = False, slots.DROPPED[reason]


class Recorder:
    """Of the process: opens flights, keeps their bodies within bounds, counts and records their ends."""

    def __init__(
        self,
        capture: CaptureSettings,
        counters: Counters,
        tee: Tee,
        relay: int = 0,
        ports: Sequence[str] = (),
    ) -> None:
        """`relay`: its place in the tee's greeting; `ports`: what of `capture` is its own."""
        self.tee = tee
        self._relay = relay
        self._ports = tuple(ports)
        capture = capture.of(self._ports)
        self.heads = Heads(capture)
        self._counters = counters
        self._blocks = [counters.block(index) for index in range(counters.blocks)]
        self.connection_block = self._blocks[capture.connection_block]
        self._prefix = os.urandom(8).hex().encode()
        self._sequence = relay << _RELAY_SHIFT
        self._held = 0
        self._clock = time() - monotonic()

    def configure(self, capture: CaptureSettings) -> None:
        """From the next request on these settings hold."""
        capture = capture.of(self._ports)
        self.heads = Heads(capture)
        self.connection_block = self._blocks[capture.connection_block]

    def set_clock(self) -> None:
        """Follow the wall clock where it was set; call it now and then."""
        self._clock = time() - monotonic()

    def begin(self, head: RequestHead) -> Flight:
        """A request's head is whole."""
        self._sequence = sequence = self._sequence + 1
        route, identity = head.route, head.identity
        if route is None:
            block = self._blocks[0]
            block[slots.IN_FLIGHT] += 1
            return Flight(head, block, sequence, identity, False, 0, False, monotonic())
        block = self._blocks[route.block]
        block[slots.IN_FLIGHT] += 1
        generated = not identity
        if generated:
            identity = b"%s%08x" % (self._prefix, sequence)
        keep = route.sample >= 1.0 or chosen(identity, route.sample)
        return Flight(head, block, sequence, identity, generated, route.max_body_bytes, keep, monotonic())

    def begin_whole(self, head: RequestHead, data: bytes) -> Flight:
        """A request is whole, and came in one piece: its head, and `head.length` bytes of body."""
        flight = self.begin(head)
        flight.request_done = True
        size = flight.request_bytes = head.length
        if flight.keep and size <= flight.cap and self._held + size <= HELD_BYTES:
            flight.request_parts = [data]
            flight.held = size
            self._held += size
        else:
            flight.request_parts = [head.raw]
            self.hold(flight, flight.request_parts, 0, data[len(head.raw) :])
        return flight

    def end_whole(self, flight: Flight, head: ResponseHead, data: bytes) -> None:
        """Its response is whole, and came in one piece: its head, and `head.length` bytes of body."""
        duration = monotonic() - flight.started
        self._count(flight, head.status, duration, duration)
        if flight.keep:  # it is recorded at once: it need not be held within bounds
            heads, cap = len(head.raw), flight.cap
            parts = (data,) if head.length <= cap else (data[: heads + cap],)
            self._record(flight, head.status, duration, duration, heads, head.length, parts)

    def hold(self, flight: Flight, parts: list[bytes], seen: int, part: bytes) -> None:
        """Keep a piece of a body of which `seen` bytes came before, up to the cap."""
        room = flight.cap - seen
        if not flight.keep or room <= 0:
            return
        if len(part) > room:
            part = part[:room]
        if self._held + len(part) > HELD_BYTES:
            self._release(flight)
            flight.drop("in_flight_full")
            return
        parts.append(part)
        flight.held += len(part)
        self._held += len(part)

    def finish(self, flight: Flight) -> None:
        """Request and response are whole."""
        started, status = flight.started, flight.status
        duration, first_byte = monotonic() - started, flight.first_byte - started
        self._count(flight, status, duration, first_byte)
        if flight.keep:
            heads, size = flight.response_heads, flight.response_bytes
            self._record(flight, status, duration, first_byte, heads, size, flight.response_parts)

    def _count(self, flight: Flight, status: int, duration: float, first_byte: float) -> None:
        block = flight.block
        block[status - 100 if 100 <= status <= slots.STATUS_LAST else slots.STATUS_OTHER] += 1
        bucket, nanoseconds = bisect_left(BOUNDS, duration), int(duration * 1e9)
        block[slots.DURATION + bucket] += 1
        block[slots.DURATION_SUM] += nanoseconds
        if first_byte != duration:
            bucket, nanoseconds = bisect_left(BOUNDS, first_byte), int(first_byte * 1e9)
        block[slots.FIRST_BYTE + bucket] += 1
        block[slots.FIRST_BYTE_SUM] += nanoseconds
        block[slots.IN_FLIGHT] -= 1
        self._held -= flight.held
        if flight.keep:
            block[slots.SEEN] += 1
        elif flight.dropped:
            block[slots.SEEN] += 1
            block[flight.dropped] += 1
        elif flight.head.route is not None:
            block[slots.SAMPLED_OUT] += 1

    def interrupt(self, flight: Flight) -> None:
        """A side went away before the end."""
        flight.block[slots.INTERRUPTED] += 1
        self.forget(flight)

    def forget(self, flight: Flight) -> None:
        """It is no longer observed: how it ends is not known."""
        flight.block[slots.IN_FLIGHT] -= 1
        self._release(flight)

    def _release(self, flight: Flight) -> None:
        self._held -= flight.held
        flight.held = 0
        flight.request_parts = []
        flight.response_parts = []

    def _record(
        self,
        flight: Flight,
        status: int,
        duration: float,
        first_byte: float,
        response_heads: int,
        response_bytes: int,
        response: Sequence[bytes],
    ) -> None:
        head, block, cap, identity = flight.head, flight.block, flight.cap, flight.identity
        route = head.route
        if route is None:
            raise RuntimeError("a flight without a route is never kept")
        if not self.tee.connected:
            block[_NO_ANALYZER] += 1
            return
        request_bytes = flight.request_bytes
        lead = exchange_lead(
            flight.sequence,
            request_bytes,
            response_bytes,
            self._clock + flight.started,
            first_byte,
            duration,
            route.sample,
            status,
            self._relay,
            flight.generated,
            len(identity),
            len(head.raw),
            request_bytes if request_bytes < cap else cap,  # noqa: FURB136 - a call costs more
            response_heads,
            response_bytes if response_bytes < cap else cap,  # noqa: FURB136
        )
        self.tee.put((lead, identity, *flight.request_parts, *response), block)
