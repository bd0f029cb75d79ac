from __future__ import annotations

import time

import numpy as np
import pytest
from driftline.judge import benjamini_hochberg, conclude, judge
from driftline.spec import Drift
from driftline.verdict import Effect, Reason, State
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.support.verdicts import calibration_of, measured, window

CALM = (np.random.default_rng(1).chisquare(9, 60) / 1000).tolist()
RESTLESS = (np.random.default_rng(2).lognormal(0.4, 0.7, 60)).tolist()
CALIBRATION = calibration_of({"calm": CALM, "restless": RESTLESS})
POLICY = Drift()


def reasons(*features: tuple[str, float]) -> dict[str, Reason]:
    measurements = [measured(name, psi) for name, psi in features]
    return {f.name: f.reason for f in judge(window(), measurements, CALIBRATION, POLICY).features}


def test_large_and_unusual_waits_for_lasting() -> None:
    assert reasons(("calm", 0.6)) == {"calm": Reason.NOT_SUSTAINED}


def test_large_but_usual_for_this_reference() -> None:
    assert reasons(("restless", 1.6)) == {"restless": Reason.USUAL_FOR_REFERENCE}


def test_unusual_but_small() -> None:
    assert reasons(("calm", 0.06)) == {"calm": Reason.SMALL_EFFECT}


def test_neither() -> None:
    assert reasons(("calm", 0.005)) == {"calm": Reason.STABLE}


@pytest.mark.parametrize(
    ("rows", "requests", "state"),
    [
        (999, 999, State.INSUFFICIENT_DATA),
        (0, 0, State.INSUFFICIENT_DATA),
        (5000, 49, State.INSUFFICIENT_REQUESTS),
        (1000, 50, State.OK),
    ],
)
def test_too_little_is_neither_pass_nor_fail(rows: int, requests: int, state: State) -> None:
    judged = judge(window(rows=rows, requests=requests), [measured("calm", 3.0)], CALIBRATION, POLICY)
    assert judged.state is state
    if not state.judged:
        assert judged.features[0].reason.value == state.value
        assert judged.features[0].p is None


@given(st.integers(0, 499), st.floats(0, 8))
def test_a_feature_without_values_never_passes(values: int, psi: float) -> None:
    judged = judge(window(), [measured("calm", psi, rows=values)], CALIBRATION, POLICY)
    assert judged.features[0].reason is Reason.INSUFFICIENT_DATA
    assert judged.features[0].p is None


def test_no_profile_is_said() -> None:
    assert judge(window(), [], None, POLICY).state is State.NO_REFERENCE


def test_without_blocks_it_is_uncalibrated_and_asymptotic() -> None:
    judged = judge(window(), [measured("calm", 0.6), measured("other", 0.001)], None, POLICY)
    assert judged.state is State.UNCALIBRATED
    assert [f.reason for f in judged.features] == [Reason.NOT_SUSTAINED, Reason.STABLE]


def test_rows_of_few_requests_weigh_less() -> None:
    many = measured("calm", 0.02)
    few = type(many)("calm", "feature", 0.02, 10, 5000, 5000 / 20, 100_000)
    p = [judge(window(), [one], None, POLICY).features[0].p for one in (many, few)]
    assert p[0] is not None
    assert p[1] is not None
    assert p[0] < 1e-6 < 0.5 < p[1]


def test_a_small_reference_caps_what_counts_unless_it_is_compared_once() -> None:
    small = type(measured("calm", 0.3))("calm", "feature", 0.3, 10, 5000, 5000, 1000)
    often, once = (judge(window(), [small], None, POLICY, once=flag).features[0].p for flag in (False, True))
    assert often is not None
    assert once is not None
    assert once < often


def test_two_files_are_concluded_at_once() -> None:
    judged = judge(window(), [measured("calm", 0.6), measured("restless", 1.0)], CALIBRATION, POLICY)
    assert [f.reason for f in conclude(judged).features] == [Reason.DRIFTED, Reason.USUAL_FOR_REFERENCE]


def test_predictions_are_a_family_of_their_own() -> None:
    noise = [measured(f"f{i}", 0.001) for i in range(200)]
    score = measured("calm", 0.033, role="score")
    alone = judge(window(), [score], CALIBRATION, POLICY).features[0]
    among = judge(window(), [*noise, score], CALIBRATION, POLICY).features[-1]
    assert among == alone


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_benjamini_hochberg_agrees_with_scipy(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p).tolist())


@given(st.permutations(range(8)), st.lists(st.floats(0, 8), min_size=8, max_size=8))
@settings(max_examples=50, deadline=None)
def test_the_order_of_features_is_irrelevant(order: list[int], psi: list[float]) -> None:
    calibration = calibration_of({f"f{i}": [value * (1 + i) for value in CALM] for i in range(8)})
    features = [measured(f"f{i}", value) for i, value in enumerate(psi)]
    straight = judge(window(), features, calibration, POLICY)
    shuffled = judge(window(), [features[i] for i in order], calibration, POLICY)
    for feature in straight.features:
        assert shuffled.feature(feature.name) == feature


@given(st.floats(0, 8), st.floats(0, 8))
@settings(deadline=None)
def test_a_larger_effect_is_never_judged_more_mildly(one: float, other: float) -> None:
    low, high = (
        judge(window(), [measured("calm", psi)], CALIBRATION, POLICY).features[0]
        for psi in sorted((one, other))
    )
    assert high.alarms >= low.alarms
    assert high.warns >= low.warns
    assert list(Effect).index(high.effect) >= list(Effect).index(low.effect)


def test_a_hundred_features_take_milliseconds() -> None:
    calibration = calibration_of({f"f{i}": CALM for i in range(100)})
    features = [measured(f"f{i}", 0.01 + i / 200) for i in range(100)]
    judge(window(), features, calibration, POLICY)
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        judge(window(), features, calibration, POLICY)
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.05
