"""When a fleet's reference is made, and when it is made anew. Pure: decisions with reasons."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from driftline.report import VerdictReport
from driftline.spec import MonitorSpec


class CaptureReason(StrEnum):
    """Why rows are fetched, waited for, or not wanted."""

    NOT_WANTED = "NotWanted"
    """The monitor has a profile of its own, or no reference at all."""
    IN_FORCE = "InForce"
    TOO_FEW_ROWS = "TooFewRows"
    ENOUGH_ROWS = "EnoughRows"


class CaptureDecision(NamedTuple):
    """`fetch`: get the rows and make the reference of them."""

    fetch: bool
    reason: CaptureReason
    rows: int
    message: str


def decide(spec: MonitorSpec, rows: Mapping[str, int], *, in_force: bool) -> CaptureDecision:
    """By the rows that each pod keeps. All pods' rows count: each saw a part of the traffic."""
    wanted = spec.reference.capture
    if wanted is None:
        return CaptureDecision(False, CaptureReason.NOT_WANTED, 0, "")
    if in_force:
        return CaptureDecision(False, CaptureReason.IN_FORCE, 0, "")
    total = sum(rows.values())
    said = f"{total:,} of {wanted.rows:,} rows gathered by {len(rows)} pods"
    if total < wanted.rows:
        return CaptureDecision(False, CaptureReason.TOO_FEW_ROWS, total, said)
    return CaptureDecision(True, CaptureReason.ENOUGH_ROWS, total, said)


class RefreshReason(StrEnum):
    """Why a captured reference is made anew, or not yet."""

    NOT_WANTED = "NotWanted"
    TOO_YOUNG = "TooYoung"
    DRIFTING = "Drifting"
    """`requireStable`: a drift must not become the reference."""
    UNJUDGED = "Unjudged"
    """`requireStable`, and no window could be judged: stable is what was found to be."""
    DUE = "Due"


def is_judged(verdict: VerdictReport) -> bool:
    """Was anything concluded, be it that nothing drifts?"""
    return verdict.reason in ("Stable", "Warning", "Drifted")


def refresh(spec: MonitorSpec, made: float, verdict: VerdictReport | None, now: float) -> RefreshReason:
    """Is the reference to be made anew? `made`, `now`: unix seconds."""
    wanted = spec.reference.refresh
    if wanted is None or spec.reference.capture is None:
        return RefreshReason.NOT_WANTED
    if now - made < float(wanted.after):
        return RefreshReason.TOO_YOUNG
    if not wanted.require_stable:
        return RefreshReason.DUE
    if verdict is None or not is_judged(verdict):
        return RefreshReason.UNJUDGED
    return RefreshReason.DUE if verdict.reason == "Stable" else RefreshReason.DRIFTING
