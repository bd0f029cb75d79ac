"""The second statistic of a numeric column: how it is measured, and what it finds that the PSI can't."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.calibration import BlockScale
from driftline.counting import count
from driftline.counts import NumericCounts
from driftline.grid import Grid
from driftline.judge import judge
from driftline.measure import Measurer
from driftline.pane import Axes
from driftline.profile_codec import decode_profile, encode_profile, sealed
from driftline.shift import LIMIT, Score
from driftline.spec import Drift
from driftline.spread import distribution, shift_distribution
from driftline.verdict import FeatureJudgement
from numpy.typing import NDArray
from scipy import stats

from tests.support.reference import batch, profile
from tests.support.verdicts import window

Values = NDArray[np.float64]


def counted(grid: Grid, values: Values) -> NumericCounts:
    rows = batch(values, np.zeros(len(values), np.int64))
    found = count(Axes({"age": grid}, ""), rows).features["age"]
    assert isinstance(found, NumericCounts)
    return found


def score_of(grid: Grid) -> Score:
    score = Score.of(grid)
    assert score is not None
    return score


@pytest.mark.parametrize("shift", [0.0, 0.3, -2.0, 5.0])
def test_counts_give_the_mean_of_the_rows_scores(shift: float) -> None:
    rng = np.random.default_rng(1)
    grid = Grid.from_values(rng.normal(50, 3, 20_000))
    values = rng.normal(50 + 3 * shift, 3, 4000)
    mean = score_of(grid).mean(counted(grid, values), grid)
    exact = np.mean((values - np.median(grid.decile_edges)) / 3)
    assert mean == pytest.approx(exact, abs=0.03 + 0.02 * abs(shift))
    assert mean == pytest.approx(float(score_of(grid).scores(values).mean()), abs=0.001)


@pytest.mark.parametrize("outlier", [1e9, 1e308, -1e308])
def test_an_outlier_moves_the_mean_by_no_more_than_the_limit(outlier: float) -> None:
    values = np.random.default_rng(2).normal(size=1000)
    for reference in (values, np.append(values, outlier)):
        grid = Grid.from_values(reference)
        score = score_of(grid)
        calm, hit = (score.mean(counted(grid, v), grid) for v in (values, np.append(values, outlier)))
        assert calm is not None
        assert hit is not None
        assert abs(hit - calm) <= 2 * LIMIT / 1001


@pytest.mark.parametrize(
    "values", [np.full(100, 7.0), np.append(np.zeros(990), np.arange(10.0)), np.array([]), np.array([5.0])]
)
def test_without_a_spread_of_deciles_there_is_no_unit(values: Values) -> None:
    assert Score.of(Grid.from_values(values)) is None


def scale_of(psi: Values, shift: Values) -> BlockScale:
    slots = np.zeros(len(psi), np.int64)
    sizes = np.array([len(psi)], "<u4").tobytes()
    found = {"age": distribution(psi, slots, 1)}
    return BlockScale(
        0, 1000, 1000, len(psi), 0, sizes, found, shifts={"age": shift_distribution(shift, slots, 1)}
    )


def test_the_smaller_p_counts_twice() -> None:
    rng = np.random.default_rng(3)
    shift = rng.normal(0, 0.4, 30)
    scale = scale_of(rng.lognormal(0, 1, 30), shift)
    alone, moved = scale.tail("age", 8.0), scale.tail("age", 8.0, shift=-5.0)
    assert alone is not None
    assert moved is not None
    distribution = scale.shifts["age"]
    t = (5.0 + shift.mean()) / (distribution.spread * np.sqrt(1 + 1 / distribution.effective_blocks))
    two_sided = 2 * stats.t.sf(t, 5)
    assert moved.p == pytest.approx(2 * two_sided, rel=1e-4)
    assert moved.extrapolated
    assert moved.p < alone.p / 50
    calm = scale.tail("age", 1e-3, shift=float(shift.mean()))
    assert calm is not None
    assert calm.p == 1.0


def test_within_the_blocks_amounts_are_counted() -> None:
    shift = np.array([-0.9, 0.1, 0.35, -0.15, 0.6, -0.3, 0.2, -0.25, 0.45, -0.1])
    scale = scale_of(np.full(10, 1e-3), shift)
    effective = scale.shifts["age"].effective_blocks
    tail = scale.tail("age", 0.0, shift=-0.5)
    assert tail is not None
    assert not tail.extrapolated
    assert tail.p == pytest.approx(2 * (1 + 2 * effective / 10) / (1 + effective))


def wandering(rng: np.random.Generator, rows: int) -> Values:
    """A level that holds for 500 rows, as weather does: blocks' PSI reaches what a shift of 5 sd has."""
    return np.asarray(np.repeat(rng.normal(0, 1.5, -(-rows // 500)), 500)[:rows] + rng.normal(0, 0.4, rows))


def verdict(shift: float) -> FeatureJudgement:
    rng = np.random.default_rng(4)
    reference = profile(batch(wandering(rng, 20_000), rng.choice(3, 20_000)))
    moved = batch(wandering(rng, 2000) + shift, rng.choice(3, 2000))
    rows = count(reference.axes(), moved)
    policy = Drift()
    measured = Measurer(reference).measure(rows, policy.thresholds)
    judged = judge(window(rows=2000), measured, reference.calibration, policy).feature("age")
    assert judged is not None
    return judged


def test_a_shift_is_found_where_the_psi_has_nowhere_to_go() -> None:
    calm, moved = verdict(0.0), verdict(8.0)
    assert calm.large
    assert not calm.unusual
    assert moved.alarms


def test_a_stored_profile_keeps_the_shifts() -> None:
    rng = np.random.default_rng(5)
    made = sealed(profile(batch(rng.normal(size=5000), rng.choice(3, 5000))))
    read = decode_profile(encode_profile(made))
    assert read.calibration == made.calibration
    assert read.calibration is not None
    assert all(set(scale.shifts) == {"age"} for scale in read.calibration.scales)
