"""What the operator writes back: the status of a ShadowDeployment. Read past where a file holds one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from driftline.spec.part import Part
from driftline.spec.status import Condition

Verdict = Literal["Promotable", "Rejected", "Inconclusive"]
RuleState = Literal["Pass", "Reject", "Inconclusive"]

Count = Annotated[int, Meta(ge=0)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Reasons = Annotated[dict[Word, Count], Meta(max_length=32)]


class ShadowAccount(Part, frozen=True, kw_only=True):
    """Where the requests went: eligible = mirrored + dropped + lost + waiting, mirrored = paired + failed."""

    eligible: Annotated[Count, Meta(description="Requests that should have been mirrored.")] = 0
    mirrored: Annotated[Count, Meta(description="Those that were sent to the candidate.")] = 0
    paired: Annotated[Count, Meta(description="Those that both sides answered, so that they compare.")] = 0
    failed: Annotated[Reasons, Meta(description="Mirrored ones without a pair, by reason.")] = field(
        default_factory=dict
    )
    dropped: Annotated[Reasons, Meta(description="Those that were not sent, by reason.")] = field(
        default_factory=dict
    )
    lost: Annotated[Count, Meta(description="Those of which a restart left nothing.")] = 0
    waiting: Annotated[Count, Meta(description="Those that still wait, in a queue or for an answer.")] = 0

    # Server-side apply leaves null, which is invalid, of a map whose last entry goes.
    SCHEMA: ClassVar = {key: {"x-kubernetes-map-type": "atomic"} for key in ("failed", "dropped")}


class RuleStatus(Part, frozen=True, kw_only=True):
    """One rule of the gate, with its numbers."""

    rule: Annotated[Word, Meta(description="The rule, such as agreement or latencyRatio.p99.")]
    verdict: Annotated[RuleState, Meta(description="What it says.")]
    reason: Annotated[Word, Meta(description="Why, in one word out of a closed list.")]
    value: Annotated[float | None, Meta(description="What was measured; absent without data.")] = None
    lower: Annotated[
        float | None, Meta(description="Its bound from below, at any time; absent where nothing is known.")
    ] = None
    upper: Annotated[
        float | None, Meta(description="Its bound from above, at any time; absent where nothing is known.")
    ] = None
    threshold: Annotated[float, Meta(description="The rule's limit.")]
    approximate: Annotated[bool, Meta(description="Whether the bounds hold only in large samples.")] = False


class OutputsStatus(Part, frozen=True, kw_only=True):
    """How the two sides' answers are spread, whichever request they are to."""

    shift: Annotated[
        float | None, Meta(description="Largest shift of the share of any answer, either way.")
    ] = None
    upper: Annotated[
        float | None, Meta(description="Its bound from above, at any time; absent where nothing is known.")
    ] = None
    psi: Annotated[
        float | None, Meta(description="Population stability index of the candidate's against the live ones.")
    ] = None
    chi2_p: Annotated[
        float | None,
        Meta(description="P-value of chi-squared, as if rows were independent and the sides not paired."),
    ] = None


class SegmentStatus(Part, frozen=True, kw_only=True):
    """One value of a segment. It is told, and judges nothing."""

    segment: Annotated[Annotated[str, Meta(max_length=128)], Meta(description="The feature.")]
    value: Annotated[Annotated[str, Meta(max_length=256)], Meta(description="Its value.")]
    pairs: Annotated[Count, Meta(description="Requests with rows of it.")] = 0
    agreement: Annotated[float | None, Meta(description="Share of their rows that agree.")] = None
    lower: Annotated[float | None, Meta(description="Its bound from below, for all segments together.")] = (
        None
    )
    upper: Annotated[float | None, Meta(description="Its bound from above, for all segments together.")] = (
        None
    )


class ShadowStatus(Part, frozen=True, kw_only=True):
    """What is known about the candidate; written by Driftline, never by hand."""

    observed_generation: Annotated[
        Count, Meta(description="The generation of the spec that the status is about.")
    ] = 0
    verdict: Annotated[
        Verdict, Meta(description="`Promotable`, `Rejected` or `Inconclusive`; no data is Inconclusive.")
    ] = "Inconclusive"
    reason: Annotated[
        Annotated[str, Meta(max_length=64)], Meta(description="Why, in one word out of a closed list.")
    ] = ""
    message: Annotated[
        Annotated[str, Meta(max_length=1024)], Meta(description="Why, in words that a person can act on.")
    ] = ""
    pairs: Annotated[Count, Meta(description="Requests that were compared.")] = 0
    coverage: Annotated[
        Annotated[float, Meta(ge=0, le=1)],
        Meta(description="Share of the eligible requests that were paired."),
    ] = 0.0
    account: Annotated[ShadowAccount, Meta(description="Where the requests went.")] = ShadowAccount()
    rules: Annotated[
        Annotated[tuple[RuleStatus, ...], Meta(max_length=16)],
        Meta(description="The gate's rules, with their numbers."),
    ] = ()
    outputs: Annotated[OutputsStatus, Meta(description="How the two sides' answers are spread.")] = (
        OutputsStatus()
    )
    segments: Annotated[
        Annotated[tuple[SegmentStatus, ...], Meta(max_length=20)],
        Meta(description="The values of segments that agree least."),
    ] = ()
    conditions: Annotated[
        Annotated[tuple[Condition, ...], Meta(max_length=32)],
        Meta(description="The state, aspect by aspect."),
    ] = ()
    started: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(description="When the comparison began.", extra_json_schema={"format": "date-time"}),
    ] = None
    last_change: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(description="When the verdict last changed.", extra_json_schema={"format": "date-time"}),
    ] = None

    SCHEMA: ClassVar = {
        "conditions": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        "rules": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["rule"]},
    }
