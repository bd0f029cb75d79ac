"""An exchange in flight, and how its end is counted and handed to the tee."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from hashlib import blake2b
from typing import Final

from driftline_sidecar import counters as slots
from driftline_sidecar.counters import BOUNDS, Counters
from driftline_sidecar.frames import encode_exchange
from driftline_sidecar.relay.heads import Heads, RequestHead, ResponseHead
from driftline_sidecar.settings import CaptureSettings
from driftline_sidecar.tee import Tee

HELD_BYTES: Final = 32 << 20
"""Bytes of bodies that unfinished exchanges may hold in all; beyond it an exchange is not captured."""

ID_HEADER: Final = b"x-driftline-id: "

_IN_FLIGHT_FULL: Final = slots.DROPPED["in_flight_full"]
_NO_ANALYZER: Final = slots.DROPPED["no_analyzer"]


def chosen(identity: bytes, sample: float) -> bool:
    """Whether the sample has this id: the same answer in every process, for good.

    The first 64 bits of BLAKE2b of the id, as a big-endian number, below `sample` times 2**64. So a
    smaller sample is a part of a larger one, and a retry under the same id is decided alike.
    """
    if sample >= 1.0:
        return True
    return int.from_bytes(blake2b(identity, digest_size=8).digest(), "big") < sample * 2.0**64


class Flight:
    """One request and what has come of its response."""

    __slots__ = (
        "block",
        "cap",
        "first_byte",
        "generated",
        "head",
        "held",
        "identity",
        "keep",
        "request_bytes",
        "request_done",
        "request_parts",
        "response_bytes",
        "response_head",
        "response_parts",
        "sequence",
        "spared",
        "started",
        "status",
    )

    def __init__(
        self, head: RequestHead, block: memoryview[int], sequence: int, identity: bytes, generated: bool
    ) -> None:
        self.head = head
        self.block = block
        self.identity = identity
        self.generated = generated
        self.sequence = sequence
        self.started = time.monotonic()
        self.request_parts: list[bytes] = []
        self.response_parts: list[bytes] = []
        self.request_bytes = self.response_bytes = self.held = self.status = 0
        self.request_done = False
        self.response_head = b""
        self.first_byte = 0.0
        route = head.route
        self.cap = route.max_body_bytes if route else 0
        self.keep = route is not None and (route.sample >= 1.0 or chosen(identity, route.sample))
        self.spared = False
        """Whether its bodies were let go for want of memory."""


class Recorder:
    """Of the process: opens flights, keeps their bodies within bounds, counts and records their ends."""

    def __init__(self, capture: CaptureSettings, counters: Counters, tee: Tee) -> None:
        self.tee = tee
        self.heads = Heads(capture)
        self._counters = counters
        self._blocks = [counters.block(index) for index in range(counters.blocks)]
        self.connection_block = self._blocks[capture.connection_block]
        self._prefix = os.urandom(8).hex().encode()
        self._sequence = 0
        self._held = 0
        self._clock = time.time() - time.monotonic()

    def configure(self, capture: CaptureSettings) -> None:
        """From the next request on these settings hold."""
        self.heads = Heads(capture)
        self.connection_block = self._blocks[capture.connection_block]

    def set_clock(self) -> None:
        """Follow the wall clock where it was set; call it now and then."""
        self._clock = time.time() - time.monotonic()

    def begin(self, head: RequestHead) -> Flight:
        """A request's head is whole."""
        route = head.route
        block = self._blocks[route.block if route else 0]
        block[slots.IN_FLIGHT] += 1
        self._sequence = sequence = self._sequence + 1
        identity = head.identity
        if identity or route is None:
            return Flight(head, block, sequence, identity, False)
        return Flight(head, block, sequence, b"%s%08x" % (self._prefix, sequence), True)

    def begin_whole(self, head: RequestHead, body: bytes) -> Flight:
        """A request is whole, and came in one piece."""
        flight = self.begin(head)
        flight.request_done = True
        size = flight.request_bytes = len(body)
        if flight.keep and size:
            if size <= flight.cap and self._held + size <= HELD_BYTES:
                flight.request_parts.append(body)
                flight.held = size
                self._held += size
            else:
                self.hold(flight, flight.request_parts, 0, body)
        return flight

    def end_whole(self, flight: Flight, head: ResponseHead, body: bytes) -> None:
        """Its response is whole, and came in one piece."""
        flight.status = head.status
        flight.response_head = head.raw
        flight.first_byte = time.monotonic()
        flight.response_bytes = len(body)
        if flight.keep:  # it is recorded at once: it need not be held within bounds
            flight.response_parts.append(body if len(body) <= flight.cap else body[: flight.cap])
        self.finish(flight)

    def hold(self, flight: Flight, parts: list[bytes], seen: int, part: bytes) -> None:
        """Keep a piece of a body of which `seen` bytes came before, up to the cap."""
        room = flight.cap - seen
        if not flight.keep or room <= 0:
            return
        if len(part) > room:
            part = part[:room]
        if self._held + len(part) > HELD_BYTES:
            self._release(flight)
            flight.keep, flight.spared = False, True
            return
        parts.append(part)
        flight.held += len(part)
        self._held += len(part)

    def finish(self, flight: Flight) -> None:
        """Request and response are whole."""
        now = time.monotonic()
        block = flight.block
        duration, first_byte = now - flight.started, flight.first_byte - flight.started
        status = flight.status
        block[status - 100 if 100 <= status <= slots.STATUS_LAST else slots.STATUS_OTHER] += 1
        block[slots.DURATION + bisect_left(BOUNDS, duration)] += 1
        block[slots.DURATION_SUM] += int(duration * 1e9)
        block[slots.FIRST_BYTE + bisect_left(BOUNDS, first_byte)] += 1
        block[slots.FIRST_BYTE_SUM] += int(first_byte * 1e9)
        block[slots.IN_FLIGHT] -= 1
        self._held -= flight.held
        if flight.keep:
            block[slots.SEEN] += 1
            if self.tee.connected:
                self._record(flight, first_byte, duration)
            else:
                block[_NO_ANALYZER] += 1
        elif flight.spared:
            block[slots.SEEN] += 1
            block[_IN_FLIGHT_FULL] += 1
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

    def _record(self, flight: Flight, first_byte: float, duration: float) -> None:
        head = flight.head
        route = head.route
        if route is None:
            raise RuntimeError("a flight without a route is never kept")
        request, response = flight.request_parts, flight.response_parts
        frame = encode_exchange(
            flight.sequence,
            flight.request_bytes,
            flight.response_bytes,
            self._clock + flight.started,
            first_byte,
            duration,
            route.sample,
            flight.status,
            route.block,
            flight.generated,
            flight.identity,
            head.raw,
            request[0] if len(request) == 1 else b"".join(request),
            flight.response_head,
            response[0] if len(response) == 1 else b"".join(response),
        )
        self.tee.put(frame, flight.block)
