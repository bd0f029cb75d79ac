"""What is told beside the rules: how the outputs are spread, and which segments agree least."""

from __future__ import annotations

import math
from typing import Final

from driftline.shadow.measures import disagreement, largest_shift
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.sequences.bound import Levels
from driftline.shadow.tally import Place, Slice, Tally
from driftline.spec.shadow_status import OutputsStatus, SegmentStatus
from driftline.stats.chi2 import table_chi2
from driftline.stats.psi import shares_psi
from driftline.tails import chi2_log_sf

SHOWN: Final = 20
OTHER: Final = "other"

_ALPHA: Final = 0.05


def outputs_status(tally: Tally) -> OutputsStatus:
    """The two sides' outputs against each other; nothing without rows.

    PSI and chi-squared suppose independent samples; these are pairs, so they are told and not judged by.
    """
    live, candidate = tally.confusion.sum(axis=1), tally.confusion.sum(axis=0)
    shift = largest_shift(tally, Levels(_ALPHA, _ALPHA))
    if not live.sum() or shift is None:
        return OutputsStatus()
    statistic, freedom = table_chi2(live, candidate)
    p = math.exp(chi2_log_sf(statistic, freedom)) if freedom else 1.0
    return OutputsStatus(shift=shift.value, upper=shift.upper, psi=shares_psi(live, candidate), chi2_p=p)


def segments_status(tally: Tally) -> tuple[SegmentStatus, ...]:
    """The values of segments whose agreement may be lowest; bounds hold for all of them together."""
    if not tally.segments:
        return ()
    alpha = _ALPHA / len(tally.segments)
    found = [_segment(tally.plan, at, of, Levels(alpha, alpha)) for at, of in tally.segments.items()]
    return tuple(sorted(found, key=lambda s: (s.upper or 0.0, s.segment, s.value))[:SHOWN])


def _segment(plan: ComparisonPlan, at: Place, of: Slice, levels: Levels) -> SegmentStatus:
    name, code = at
    values = dict(plan.segments)[name]
    bound = disagreement(of, levels)
    return SegmentStatus(
        segment=name,
        value=values[code] if code < len(values) else OTHER,
        pairs=of.requests,
        agreement=None if bound.value is None else 1 - bound.value,
        lower=1 - bound.upper,
        upper=1 - bound.lower,
    )
