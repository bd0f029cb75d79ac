"""What is told beside the rules: how the outputs are spread, and which segments agree least."""

from __future__ import annotations

import math
from typing import Final

from driftline.shadow.measures import disagreement, largest_shift
from driftline.shadow.sequences.bound import Bound, Levels
from driftline.shadow.tally import Slice, Tally
from driftline.spec.shadow_status import OutputsStatus, SegmentStatus
from driftline.stats.chi2 import table_chi2
from driftline.stats.psi import shares_psi
from driftline.tails import chi2_log_sf

SHOWN: Final = 20

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


def segments(tally: Tally) -> list[tuple[str, str, Slice, Bound]]:
    """Feature, value, requests and agreement of each value of a segment, those first whose agreement may be
    lowest; bounds hold for all together that the plan has: how many were seen grows with time.
    """
    if not tally.segments:
        return []
    alpha = _ALPHA / sum(len(values) + 1 for _, values in tally.plan.segments)
    levels = Levels(alpha, alpha)
    names = {name: tally.plan.segment_names(name) for name, _ in tally.plan.segments}
    found = [
        (name, names[name][code], of, disagreement(of, levels).complement)
        for (name, code), of in tally.segments.items()
    ]
    return sorted(found, key=lambda each: (each[3].upper, each[0], each[1]))


def segments_status(tally: Tally) -> tuple[SegmentStatus, ...]:
    """The first of them."""
    return tuple(
        SegmentStatus(
            segment=name,
            value=value,
            pairs=of.requests,
            agreement=bound.value,
            lower=bound.lower,
            upper=bound.upper,
        )
        for name, value, of, bound in segments(tally)[:SHOWN]
    )
