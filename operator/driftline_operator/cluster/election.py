"""Who may act: the rules of a Lease, pure. No clock is ever compared with another machine's.

A holder may act until `duration` after it *began* its last renewal. Another may take over once it has
seen the lease unchanged for that long by its own clock: it saw it after it was written, so never too early.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Move(StrEnum):
    """What a contender does next."""

    CREATE = "Create"
    RENEW = "Renew"
    TAKE_OVER = "TakeOver"
    WAIT = "Wait"


class Seen(NamedTuple):
    """A lease as it was last observed to change."""

    version: str
    holder: str
    duration: float
    """Seconds that its holder has given itself."""
    at: float
    """When this contender first saw that version."""


def observe(before: Seen | None, lease: Mapping[str, Any] | None, now: float) -> Seen | None:
    """What is known once the lease was read; None: there is none."""
    if lease is None:
        return None
    version = str(lease["metadata"]["resourceVersion"])
    if before is not None and before.version == version:
        return before
    spec = lease.get("spec") or {}
    return Seen(
        version, str(spec.get("holderIdentity") or ""), float(spec.get("leaseDurationSeconds") or 0), now
    )


def move(seen: Seen | None, identity: str, now: float) -> Move:
    """What `identity` may do about it now."""
    if seen is None:
        return Move.CREATE
    if seen.holder == identity:
        return Move.RENEW
    if not seen.holder or now >= seen.at + seen.duration:
        return Move.TAKE_OVER
    return Move.WAIT
