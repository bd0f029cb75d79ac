"""Finds exchanges in the two byte streams of a connection. It knows no transport and never waits.

Requests are only read along. Of responses the observer decides what goes on: the same bytes, and
after the status line of a final response whose request brought no id, the id's header. No byte is
held back but an unfinished status line.
"""

from __future__ import annotations

import re
import time
from collections import deque
from typing import Final

from driftline_sidecar import counters as slots
from driftline_sidecar.relay.chunks import Chunks
from driftline_sidecar.relay.flight import Flight, Recorder
from driftline_sidecar.relay.heads import CHUNKED, ID_HEADER, UNTIL_CLOSE, ResponseHead, Unparsable
from driftline_sidecar.relay.plain import MAX_HEAD

H2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_PENDING: Final = 1000
"""Pipelined requests without an answer; a client that goes beyond is no longer observed."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d)[ \r]")
_END: Final = b"\r\n\r\n"


class Opaque(Exception):
    """The connection can't be observed further; the argument is one of `counters.OPAQUE_REASONS`."""


class Observer:
    """One connection's two streams. Once `opaque`, requests are ignored and responses pass as they are."""

    __slots__ = (
        "_recorder",
        "_request",
        "_request_chunks",
        "_request_left",
        "_request_rest",
        "_response",
        "_response_chunks",
        "_response_left",
        "_response_passed",
        "_response_rest",
        "_waiting",
        "opaque",
        "pending",
    )

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.opaque = False
        self.pending: deque[Flight] = deque()
        """Requests whose exchange has not ended, oldest first."""
        # the request stream
        self._request: Flight | None = None
        """The request whose body is coming."""
        self._request_left = 0
        self._request_chunks: Chunks | None = None
        self._request_rest = b""
        """The beginning of a head."""
        self._waiting: bytes | None = None
        """After a request that asks for an upgrade: what came since, until it is answered."""
        # the response stream
        self._response: Flight | None = None
        """The exchange whose response body is coming."""
        self._response_left = 0
        self._response_chunks: Chunks | None = None
        self._response_rest = b""
        """The beginning of a head."""
        self._response_passed = 0
        """How much of it went on already."""

    # ---- requests ----

    def request(self, data: bytes) -> None:
        """Read along what the client sent.

        The common case first: a chunk that is one whole request with a known or plain head.
        """
        if self.opaque:
            return
        try:
            if self._request is None and self._waiting is None and not self._request_rest:
                stop = data.find(_END) + 4
                raw, heads = data[:stop], self._recorder.heads
                head = heads.requests.get(raw) or heads.plain_request(raw)
                if (
                    head is not None
                    and head.length == len(data) - stop
                    and not head.upgrade
                    and len(self.pending) < MAX_PENDING
                ):
                    self.pending.append(self._recorder.begin_whole(head, data))
                    return
            self._read_requests(data)
        except Opaque as reason:
            self._give_up(str(reason))
        except Unparsable:
            self._give_up("request_unparsable")
        except Exception:  # noqa: BLE001 - whatever is wrong here must not touch the relay
            self._give_up("observer_error")

    def _read_requests(self, data: bytes) -> None:
        if self._waiting is not None:
            self._waiting += data
            if len(self._waiting) > MAX_HEAD:
                raise Opaque("upgrade")
            return
        position, end = 0, len(data)
        if self._request_rest:
            data = self._request_rest + data
            end = len(data)
            self._request_rest = b""
        while position < end:
            flight = self._request
            if flight is None:
                position = self._read_request_head(data, position)
            elif self._request_chunks is not None:
                position = self._request_chunks.feed(data, position, self._keep_request)
                if self._request_chunks.done:
                    self._end_request(flight)
            else:
                stop = min(end, position + self._request_left)
                self._keep_request(data, position, stop)
                self._request_left -= stop - position
                position = stop
                if not self._request_left:
                    self._end_request(flight)
            if self._waiting is not None and position < end:
                self._waiting = data[position:]
                return

    def _read_request_head(self, data: bytes, position: int) -> int:
        """The position after the head, or the end of `data` where it is not whole."""
        stop = data.find(_END, position) + 4
        if stop < 4:
            self._request_rest = data[position:]
            if len(self._request_rest) > MAX_HEAD:
                raise Opaque("head_too_large")
            return len(data)
        heads = self._recorder.heads
        raw = data[position:stop]
        head = heads.requests.get(raw)
        if head is None:
            while raw.startswith(b"\r\n"):  # RFC 9112, 2.2: an empty line before a request is ignored
                position += 2
                raw = raw[2:]
                if len(raw) < 4 or not raw.endswith(_END):
                    return position
            if H2_PREFACE.startswith(raw):
                raise Opaque("http2")
            if len(raw) > MAX_HEAD:
                raise Opaque("head_too_large")
            head = heads.request(raw)
        if len(self.pending) >= MAX_PENDING:
            raise Opaque("pipeline_too_deep")
        flight = self._recorder.begin(head)
        flight.request_parts = [head.raw]
        self.pending.append(flight)
        if not head.length:
            self._end_request(flight)
        else:
            self._request = flight
            self._request_left = head.length
            self._request_chunks = Chunks() if head.length == CHUNKED else None
        return stop

    def _keep_request(self, data: bytes, start: int, end: int) -> None:
        flight = self._request
        if flight is not None:
            self._recorder.hold(flight, flight.request_parts, flight.request_bytes, data[start:end])
            flight.request_bytes += end - start

    def _end_request(self, flight: Flight) -> None:
        flight.request_done = True
        self._request = self._request_chunks = None
        if flight.head.upgrade and not flight.status:
            self._waiting = b""
        if flight.status and self._response is not flight:  # it was answered before it had ended
            self._end_exchange(flight)

    # ---- responses ----

    def response(self, data: bytes) -> bytes:
        """Read along what the model sent; the bytes that go on to the client now.

        The common case first: a chunk that is one whole response with a known or plain head.
        """
        if self._response is None and len(self.pending) == 1 and not self._response_rest:
            whole = self._whole_response(self.pending[0], data)
            if whole is not None:
                return whole
        if self.opaque:
            held, self._response_rest = self._response_rest[self._response_passed :], b""
            return held + data if held else data
        return self._read_responses(data)

    def _read_responses(self, data: bytes) -> bytes:
        if self._response_rest:
            data = self._response_rest + data
            self._response_rest = b""
        out: list[bytes] = []
        position = passed = 0
        """`position`: what is understood; `passed`: what is in `out`, or went on before."""
        passed, self._response_passed = self._response_passed, 0
        end = len(data)
        try:
            while position < end:
                flight = self._response
                if flight is None:
                    position, passed, head = self._read_response_head(data, position, passed, out)
                    if head is not None:  # now that `passed` is known: what this raises sends nothing twice
                        self._answer(self.pending[0], head)
                else:
                    position = self._read_response_body(flight, data, position)
        except Opaque as reason:
            self._give_up(str(reason))
        except Unparsable:
            self._give_up("response_unparsable")
        except Exception:  # noqa: BLE001 - whatever is wrong here must not touch the relay
            self._give_up("observer_error")
        rest = self._response_rest
        stop = end - len(rest) + self._response_passed if rest and not self.opaque else end
        if not out:
            return data if passed == 0 and stop == end else data[passed:stop]
        out.append(data[passed:stop])
        return b"".join(out)

    def _whole_response(self, flight: Flight, data: bytes) -> bytes | None:
        out = data
        try:
            stop = data.find(_END) + 4
            raw, heads = data[:stop], self._recorder.heads
            head = heads.responses.get(raw) or heads.plain_response(raw)
            if head is None or head.length != len(data) - stop or head.status < 200:
                return None
            if not flight.request_done or flight.head.special:
                return None
            if flight.generated:
                out = head.opening + flight.identity + b"\r\n" + data[head.line_end :]
            self.pending.clear()
            self._recorder.end_whole(flight, head, data)
        except Exception:  # noqa: BLE001 - whatever is wrong here must not touch the relay
            self._give_up("observer_error")
        return out

    def _read_response_head(
        self, data: bytes, position: int, passed: int, out: list[bytes]
    ) -> tuple[int, int, ResponseHead | None]:
        """The position after the head, how much of `data` is in `out`, and the head where it is whole."""
        if not self.pending:
            raise Opaque("unsolicited_response")
        flight = self.pending[0]
        if flight.status:
            raise Opaque("unsolicited_response")
        stop = data.find(_END, position) + 4
        if stop < 4:
            return *self._begin_response_head(flight, data, position, passed, out), None
        heads = self._recorder.heads
        raw = data[position:stop]
        if len(raw) > MAX_HEAD:
            raise Opaque("head_too_large")
        head = heads.responses.get(raw) or heads.response(raw)
        if passed <= position and head.status >= 200 and flight.generated:  # nothing of it went on before
            line = position + head.line_end
            out += (data[passed:position], head.opening, flight.identity, b"\r\n")
            passed = line
        return stop, passed, head

    def _begin_response_head(
        self, flight: Flight, data: bytes, position: int, passed: int, out: list[bytes]
    ) -> tuple[int, int]:
        rest = data[position:]
        if len(rest) > MAX_HEAD:
            raise Opaque("head_too_large")
        line = data.find(b"\r\n", position) + 2
        if line < 2:
            self._response_rest = rest  # an unfinished status line: the one thing that is held back
            return len(data), passed
        if passed <= position:
            found = _STATUS_LINE.match(data, position)
            if found is None:
                raise Unparsable("no status line")
            if found[1] >= b"200" and flight.generated:
                out += (data[passed:line], ID_HEADER, flight.identity, b"\r\n")
                passed = line
        self._response_rest = rest
        self._response_passed = len(rest)
        return len(data), passed

    def _answer(self, flight: Flight, head: ResponseHead) -> None:
        """A response's head is whole."""
        status = head.status
        if status < 200 and status != 101:
            return
        flight.status = status
        flight.first_byte = time.monotonic()
        flight.response_heads = len(head.raw)
        flight.response_parts = [head.raw]
        if flight.head.upgrade and flight.request_done:
            self._decide_upgrade(flight, status)
        elif status == 101:
            raise Opaque("upgrade")
        length = 0 if flight.head.is_head else head.length
        if not length:
            self._end_response(flight)
        else:
            self._response = flight
            self._response_left = length
            self._response_chunks = Chunks() if length == CHUNKED else None

    def _decide_upgrade(self, flight: Flight, status: int) -> None:
        if status == 101 or (status < 300 and flight.head.raw.startswith(b"CONNECT ")):
            self.pending.popleft()
            flight.drop("upgrade")
            self._recorder.finish(flight)
            raise Opaque("upgrade")
        waiting, self._waiting = self._waiting, None
        if waiting:
            self.request(waiting)
        if self.opaque:
            raise Opaque("upgrade")

    def _read_response_body(self, flight: Flight, data: bytes, position: int) -> int:
        chunks = self._response_chunks
        if chunks is not None:
            position = chunks.feed(data, position, self._keep_response)
            if chunks.done:
                self._end_response(flight)
            return position
        left = self._response_left
        stop = len(data) if left == UNTIL_CLOSE else min(len(data), position + left)
        self._keep_response(data, position, stop)
        if left != UNTIL_CLOSE:
            self._response_left = left = left - (stop - position)
            if not left:
                self._end_response(flight)
        return stop

    def _keep_response(self, data: bytes, start: int, end: int) -> None:
        flight = self._response
        if flight is not None:
            self._recorder.hold(flight, flight.response_parts, flight.response_bytes, data[start:end])
            flight.response_bytes += end - start

    def _end_response(self, flight: Flight) -> None:
        self._response = self._response_chunks = None
        if flight.request_done:
            self._end_exchange(flight)

    def _end_exchange(self, flight: Flight) -> None:
        self.pending.popleft()
        self._recorder.finish(flight)

    # ---- endings ----

    @property
    def between_requests(self) -> bool:
        """Whether no part of a request has come that is not pending."""
        return not self._request_rest

    def answered(self, flight: Flight) -> bool:
        """Whether its response came whole (its request may not have been sent to the end)."""
        return flight.status > 0 and self._response is None

    def response_end(self) -> bytes:
        """The model ended its stream; what was held back of it."""
        rest, passed = self._response_rest, self._response_passed
        self._response_rest = b""
        flight = self._response
        if flight is not None and self._response_left == UNTIL_CLOSE and self._response_chunks is None:
            self._end_response(flight)
        return rest[passed:]

    def refuse(self) -> Flight | None:
        """There is no model: the request to be answered in its place, once its head is whole."""
        if not self.pending:
            return None
        flight = self.pending.popleft()
        flight.status, flight.first_byte = 502, time.monotonic()
        flight.drop("no_model")
        self._recorder.finish(flight)
        self.close()
        return flight

    def close(self) -> None:
        """The connection is gone: whatever is pending was interrupted."""
        self.opaque = True
        while self.pending:
            self._recorder.interrupt(self.pending.popleft())
        self._let_go()

    def _give_up(self, reason: str) -> None:
        if self.opaque:
            return
        self.opaque = True
        self._recorder.connection_block[slots.OPAQUE[reason]] += 1
        while self.pending:
            self._recorder.forget(self.pending.popleft())
        self._let_go()

    def _let_go(self) -> None:
        self._request = self._response = None
        self._request_chunks = self._response_chunks = None
        self._request_rest = b""
        self._waiting = None
