"""The proxy's counters: one block of shared memory that outlives any worker.

The supervisor makes the memory before it forks the first worker, so every worker inherits the same
pages and its successor counts on. The worker writes, the supervisor reads and exposes; a slot has
one writer, so `block[SLOT] += 1` needs no lock (an aligned 64-bit store is seen whole).

Block 0 belongs to traffic that is no monitor's; each monitor has a block of its own, so that the
request metrics carry its labels. Within a block every slot has a fixed index, given by the names
below; `STATUS`, `DURATION` and `FIRST_BYTE` are the first of a run of slots.

What holds at any time, per block:

    SEEN = CAPTURED + the sum of DROPPED + LOST + what is still in the worker's queue

and once a worker is gone, `settle` makes its remainder LOST. SEEN counts finished exchanges that the
sample chose; those it left out are SAMPLED_OUT, and are neither.
"""

from __future__ import annotations

import mmap
from typing import Final

MAX_MONITORS: Final = 15
"""Blocks for monitors; a pod that serves more models than this gets several ports."""

BOUNDS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Upper bounds (inclusive, seconds) of the histograms of duration and time to first byte."""

OPAQUE_REASONS: Final = (
    "http2",
    "upgrade",
    "request_unparsable",
    "response_unparsable",
    "head_too_large",
    "unsolicited_response",
    "pipeline_too_deep",
    "observer_error",
)
"""Why a connection is relayed but no longer observed; a closed set, they are label values."""

DROP_REASONS: Final = ("queue_full", "no_analyzer", "in_flight_full", "no_model", "upgrade")
"""Why a finished exchange was not handed to the analyzer; a closed set, they are label values.

`no_model`: it couldn't be reached and the relay answered 502. `upgrade`: what follows is no HTTP."""

UPSTREAM_ERRORS: Final = ("refused", "timeout", "reset", "unreachable")
"""How the model's side failed; a closed set, they are label values."""

STATUS_FIRST: Final = 100
STATUS_LAST: Final = 599

STATUS: Final = 0
"""Requests answered, by status: slot STATUS + code - 100; one more for any code outside 100-599."""
STATUS_OTHER: Final = STATUS + STATUS_LAST - STATUS_FIRST + 1
DURATION: Final = STATUS_OTHER + 1
"""Requests by duration, not cumulative: slot DURATION + bisect_left(BOUNDS, seconds)."""
DURATION_SUM: Final = DURATION + len(BOUNDS) + 1
"""Nanoseconds."""
FIRST_BYTE: Final = DURATION_SUM + 1
"""Requests by time to the response's first byte, as DURATION."""
FIRST_BYTE_SUM: Final = FIRST_BYTE + len(BOUNDS) + 1
"""Nanoseconds."""
IN_FLIGHT: Final = FIRST_BYTE_SUM + 1
"""Requests whose response is not finished. Zero again when a worker dies: its requests died with it."""
CONNECTIONS: Final = IN_FLIGHT + 1
"""Client connections open now; zero again when a worker dies."""
ACCEPTED: Final = CONNECTIONS + 1
"""Client connections accepted so far."""
INTERRUPTED: Final = ACCEPTED + 1
"""Requests that ended without a whole response: a side went away, or the worker was killed."""
SEEN: Final = INTERRUPTED + 1
CAPTURED: Final = SEEN + 1
LOST: Final = CAPTURED + 1
SAMPLED_OUT: Final = LOST + 1
CAPTURE_BYTES: Final = SAMPLED_OUT + 1
"""Bytes of heads and bodies handed to the analyzer."""
RECEIVED_BYTES: Final = CAPTURE_BYTES + 1
"""Bytes from clients."""
SENT_BYTES: Final = RECEIVED_BYTES + 1
"""Bytes to clients."""
HEARTBEAT: Final = SENT_BYTES + 1
"""Block 0 only: goes up about once a second while the worker's loop turns."""
_OPAQUE: Final = HEARTBEAT + 1
_DROPPED: Final = _OPAQUE + len(OPAQUE_REASONS)
_UPSTREAM: Final = _DROPPED + len(DROP_REASONS)
BLOCK_SLOTS: Final = _UPSTREAM + len(UPSTREAM_ERRORS)

OPAQUE: Final = {reason: _OPAQUE + i for i, reason in enumerate(OPAQUE_REASONS)}
"""Slot of opaque connections by reason."""
DROPPED: Final = {reason: _DROPPED + i for i, reason in enumerate(DROP_REASONS)}
"""Slot of exchanges not handed over by reason."""
UPSTREAM: Final = {reason: _UPSTREAM + i for i, reason in enumerate(UPSTREAM_ERRORS)}
"""Slot of failures of the model's side by reason."""

_SLOT_BYTES: Final = 8


class Counters:
    """The blocks, in memory that is shared across fork. Make it before the first worker."""

    def __init__(self, blocks: int = MAX_MONITORS + 1) -> None:
        self.blocks = blocks
        self._memory = mmap.mmap(-1, blocks * BLOCK_SLOTS * _SLOT_BYTES)
        self._view = memoryview(self._memory).cast("Q")

    def block(self, index: int) -> memoryview[int]:
        """The live slots of one block, uint64[BLOCK_SLOTS]: `block[SEEN] += 1` counts."""
        if not 0 <= index < self.blocks:
            raise IndexError(f"block {index} of {self.blocks}")
        return self._view[index * BLOCK_SLOTS : (index + 1) * BLOCK_SLOTS]

    def clear(self, index: int) -> None:
        """Zero one block, before it is given to another monitor.

        What is in flight or open stays: the worker takes it off again when it ends.
        """
        block = self.block(index)
        for slot in range(BLOCK_SLOTS):
            if slot not in (IN_FLIGHT, CONNECTIONS):
                block[slot] = 0

    def settle(self) -> None:
        """Close a dead worker's accounts: nothing of it is in flight, and what it had queued is lost."""
        for index in range(self.blocks):
            block = self.block(index)
            block[INTERRUPTED] += block[IN_FLIGHT]
            block[IN_FLIGHT] = 0
            block[CONNECTIONS] = 0
            block[LOST] += queued(block)


def queued(block: memoryview[int]) -> int:
    """Exchanges seen of which it is not yet said whether they were captured, dropped or lost."""
    told = block[CAPTURED] + block[LOST] + sum(block[slot] for slot in DROPPED.values())
    return max(0, block[SEEN] - told)
