"""A shadow's verdict as pipelines ask for it. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from driftline_operator.cluster.resources import Object


class Answer(NamedTuple):
    """An HTTP status, and what is said."""

    status: int
    body: dict[str, Any]


def answer(found: Object | None, *, as_gate: bool) -> Answer:
    """What the status of a ShadowDeployment says. `as_gate`: anything but Promotable is a refusal, 409.

    A verdict on another generation of the spec is none.
    """
    if found is None:
        return Answer(404, {"error": "no such ShadowDeployment"})
    status = found.get("status") or {}
    generation = found["metadata"].get("generation")
    current = status.get("observedGeneration") == generation
    verdict = str(status.get("verdict", "Inconclusive")) if current else "Inconclusive"
    body = {
        "verdict": verdict,
        "reason": str(status.get("reason") or "NoData") if current else "NoData",
        "promotable": int(verdict == "Promotable"),
        "rejected": int(verdict == "Rejected"),
        "generation": generation,
        "pairs": int(status.get("pairs") or 0) if current else 0,
        "coverage": float(status.get("coverage") or 0.0) if current else 0.0,
        "message": str(status.get("message", "")) if current else "",
    }
    return Answer(409 if as_gate and verdict != "Promotable" else 200, body)
