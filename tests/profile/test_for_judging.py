"""What a controller keeps of a profile judges as the whole profile does."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from driftline import evaluation
from driftline.evaluation import Evaluator
from driftline.judge import Window
from driftline.pane import PaneCounts
from driftline.profile_codec import decode_profile, encode_profile
from driftline.quantity import Duration
from driftline.spec import Drift, Thresholds

from tests.support.fleets import SPEC, counted, reference, rows

PROFILE = decode_profile(encode_profile(reference()))
ALL = Drift(thresholds=Thresholds(psi=0.2, ks=0.1, wasserstein=0.1, jensen_shannon=0.1), min_rows=100)


@pytest.mark.parametrize("wanted", [None, frozenset(), frozenset({"ks", "wasserstein_normed"})])
@pytest.mark.parametrize(("number", "shift", "per_request"), [(300, 0.0, 1), (3000, 2.0, 4), (9000, 12.0, 1)])
def test_every_figure_is_the_same(
    wanted: frozenset[str] | None, number: int, shift: float, per_request: int
) -> None:
    spec = msgspec.structs.replace(SPEC, drift=ALL, windows=(Duration(300), Duration(3600)))
    counts = counted(PROFILE.axes(), rows(np.random.default_rng(number), number, shift, per_request))
    window = Window(3600, 0.0, 3600.0, number, counts.requests)
    found, expected = (
        Evaluator(spec, profile, wanted).evaluate(window, counts, whole=True)
        for profile in (PROFILE.for_judging(), PROFILE)
    )
    assert found == expected
    assert found[0].scale


@pytest.mark.parametrize("number", [0, 1, 99])
def test_what_is_said_without_looking_is_what_would_be_said(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of columns of windows that are too small, in which nothing is amiss."""
    counts = PaneCounts.empty(PROFILE.axes())
    if number:
        counts = counted(PROFILE.axes(), rows(np.random.default_rng(number), number))
    window = Window(3600, 0.0, 3600.0, number, counts.requests)
    found, _ = Evaluator(SPEC, PROFILE, frozenset()).evaluate(window, counts, whole=True)
    monkeypatch.setattr(evaluation, "_NONE_AMISS", None)
    expected, _ = Evaluator(SPEC, PROFILE, frozenset()).evaluate(window, counts, whole=True)
    assert found == expected
    assert not found.state.judged
