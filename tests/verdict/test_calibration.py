from __future__ import annotations

import msgspec
import numpy as np
import pytest
from driftline.calibration import BlockScale, Calibration
from driftline.spread import distribution, effective_size, shrink
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.verdicts import calibration_of

positive = st.floats(1e-3, 8.0)


def scale_of(psi: list[float]) -> BlockScale:
    return calibration_of({"age": psi}).scales[0]


@given(st.lists(positive, min_size=5, max_size=20), positive, positive)
@settings(max_examples=200, deadline=None)
def test_a_larger_effect_is_never_less_unusual(blocks: list[float], one: float, other: float) -> None:
    scale = scale_of(blocks)
    low, high = scale.tail("age", min(one, other)), scale.tail("age", max(one, other))
    assert low is not None
    assert high is not None
    assert high.p <= low.p


def test_p_counts_the_blocks_at_or_above() -> None:
    blocks = [0.01 * k for k in (3, 8, 1, 6, 2, 9, 4, 7, 5, 10)]
    tail = scale_of(blocks).tail("age", 0.08)
    assert tail is not None
    assert tail.p == pytest.approx((1 + 3) / (1 + 10))
    assert not tail.extrapolated


def test_beyond_every_block_the_fitted_tail_speaks_and_says_so() -> None:
    rng = np.random.default_rng(1)
    scale = scale_of((rng.chisquare(9, 12) / 1000).tolist())
    tail = scale.tail("age", 0.5)
    assert tail is not None
    assert tail.extrapolated
    assert tail.p < 1e-4


def test_the_tail_is_never_above_what_counting_gives() -> None:
    scale = scale_of([0.01, 5.0, 0.02, 3.0, 0.04, 0.5])
    tail = scale.tail("age", 5.01)
    assert tail is not None
    assert tail.p <= 1 / 7


@pytest.mark.parametrize("count", [30, 200, 2000])
def test_thinned_order_statistics_never_make_p_smaller(count: int) -> None:
    psi = np.random.default_rng(2).lognormal(-3, 1, count)
    scale = scale_of(psi.tolist())
    for value in np.quantile(psi, [0.1, 0.5, 0.9, 0.99]):
        exact = (1 + np.sum(psi >= value)) / (1 + count)
        tail = scale.tail("age", float(value))
        assert tail is not None
        assert exact * 0.999 <= tail.p <= exact + 0.1


def test_neighbours_that_resemble_each_other_count_as_fewer() -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(400)
    slow = np.zeros(400)
    for index in range(1, 400):
        slow[index] = 0.9 * slow[index - 1] + noise[index]
    assert effective_size(noise) > 250
    assert effective_size(slow) < 60


def test_a_constant_feature_that_changes_is_unusual() -> None:
    tail = scale_of([0.0] * 10).tail("age", 0.5)
    assert tail is not None
    assert tail.p < 1e-6


def test_a_season_compares_with_the_same_hours() -> None:
    rng = np.random.default_rng(4)
    slots = np.arange(28 * 24) % 24
    night = slots < 8
    psi = np.where(night, 1.0, 0.02) * rng.lognormal(0, 0.2, len(slots))
    found = {"age": distribution(psi, slots, 24)}
    sizes = np.bincount(slots).astype("<u4").tobytes()
    scale = BlockScale(3600, 1000, 900, len(slots), 3600, sizes, found)
    at_night, at_noon = scale.tail("age", 1.1, 3.5 * 3600), scale.tail("age", 1.1, 12.5 * 3600)
    assert at_night is not None
    assert at_noon is not None
    assert at_night.p > 0.1
    assert at_noon.p < 1e-6


def test_like_features_lend_each_other_degrees_of_freedom_and_unlike_ones_do_not() -> None:
    rng = np.random.default_rng(5)
    slots = np.zeros(10, np.int64)
    like = {str(i): distribution(rng.chisquare(9, 10) / 1000, slots, 1) for i in range(30)}
    unlike = {str(i): distribution(np.exp(rng.normal(-4, 0.1 * 1.3**i, 10)), slots, 1) for i in range(30)}
    assert np.mean([d.degrees for d in shrink(like).values()]) > 2 * np.mean(
        [d.degrees for d in like.values()]
    )
    assert shrink(unlike)["0"].degrees < 2 * unlike["0"].degrees


def test_a_window_takes_the_nearest_scale_not_above_its_own() -> None:
    one = calibration_of({"age": [0.1] * 6})
    slot = one.scales[0].slot_blocks
    features = one.scales[0].features
    scales = (
        BlockScale(3600, 2000, 1500, 6, 0, slot, features),
        BlockScale(86400, 48000, 40000, 6, 0, slot, features),
        BlockScale(0, 200, 200, 6, 0, slot, features),
        BlockScale(0, 1000, 1000, 6, 0, slot, features),
    )
    calibration = Calibration(scales)

    def chosen(seconds: int, rows: int) -> str:
        scale = calibration.scale(seconds, rows)
        return "none" if scale is None else scale.name

    assert chosen(3600, 2000) == "1h"
    assert chosen(6 * 3600, 12000) == "1h"
    assert chosen(86400, 50000) == "24h"
    assert chosen(86400, 30000) == "1h"
    assert chosen(3600, 1200) == "1000 rows"
    assert chosen(300, 500) == "200 rows"
    assert chosen(300, 100) == "none"


def test_it_survives_encoding() -> None:
    calibration = calibration_of({"age": [0.1, 0.2, 0.3, 0.4, 0.5]})
    raw = msgspec.msgpack.encode(calibration)
    assert msgspec.msgpack.decode(raw, type=Calibration) == calibration
    assert len(raw) < 400
