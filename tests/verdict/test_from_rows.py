"""From rows to a verdict, through profile, panes, measurements and judge."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.binning import Bins
from driftline.columns import Batch, CategoricalColumn
from driftline.counting import count
from driftline.grid import Grid
from driftline.judge import Window, conclude, judge
from driftline.measure import Measurer, bin_counts
from driftline.pane import Axes
from driftline.profile import Profile
from driftline.spec import Drift, Thresholds
from driftline.verdict import Reason, State, WindowJudgement

from tests.support.reference import Values, batch, draw, profile


def judged(against: Profile, rows: Batch, policy: Drift | None = None) -> WindowJudgement:
    policy = policy or Drift()
    counts = count(against.axes(), rows)
    window = Window(3600, 0, 3600, counts.rows, counts.requests)
    measured = Measurer(against).measure(counts, policy.thresholds)
    return judge(window, measured, against.calibration, policy)


@pytest.mark.parametrize("ordered", [True, False])
def test_the_same_traffic_is_stable_and_a_shift_is_not(ordered: bool) -> None:
    rng = np.random.default_rng(1)
    against = profile(draw(rng, 20_000), ordered=ordered)
    same, moved = judged(against, draw(rng, 2_000)), judged(against, draw(rng, 2_000, 1.0))
    assert same.state is (State.OK if ordered else State.UNCALIBRATED)
    assert {f.reason for f in same.features} == {Reason.STABLE}
    assert [f.reason for f in conclude(moved).features] == [Reason.DRIFTED, Reason.STABLE]


def test_a_feature_the_window_lacks_has_no_verdict() -> None:
    rng = np.random.default_rng(2)
    against = profile(draw(rng, 5_000))
    rows = draw(rng, 2_000)
    without = Batch(rows.rows, {"kind": rows.columns["kind"]}, rows.requests)
    assert [f.reason for f in judged(against, without).features] == [Reason.INSUFFICIENT_DATA, Reason.STABLE]


def test_new_categories_are_drift_when_they_are_many() -> None:
    rng = np.random.default_rng(3)
    against = profile(draw(rng, 20_000))
    rows = draw(rng, 2_000)
    kind = CategoricalColumn(rng.choice(3, 2_000, p=[0.4, 0.2, 0.4]).astype(np.int32), ("a", "b", "new"))
    changed = Batch(2_000, {**rows.columns, "kind": kind}, 2_000)
    assert [f.reason for f in conclude(judged(against, changed)).features] == [Reason.STABLE, Reason.DRIFTED]


def test_rows_of_one_request_count_as_few() -> None:
    rng = np.random.default_rng(4)
    against = profile(draw(rng, 20_000), ordered=False)
    per_request = np.repeat(rng.normal(size=100), 20)
    rows = batch(per_request, rng.choice(3, 2_000, p=[0.6, 0.3, 0.1]), per_request=20)
    age, kind = judged(against, rows).features
    assert age.effective_rows < 150
    assert kind.effective_rows > 1_000
    assert not age.unusual


def test_another_threshold_makes_an_effect_large() -> None:
    rng = np.random.default_rng(5)
    against = profile(draw(rng, 20_000))
    counts = count(against.axes(), draw(rng, 2_000, 0.3))
    thresholds = Thresholds(ks=0.05)
    measured = Measurer(against).measure(counts, thresholds, {"age": {"ks": 0.12}, "kind": {}})
    assert [m.large_elsewhere for m in measured] == [True, False]


@pytest.mark.parametrize("values", [np.arange(500.0), np.arange(500) % 5 * 1.0])
def test_blocks_and_windows_are_binned_alike(values: Values) -> None:
    grid = Grid.from_values(values)
    rows = batch(values[::2], np.zeros(len(values[::2]), np.int64))
    counts = count(Axes({"age": grid}, "hash"), rows).features["age"]
    bins = Bins.of(grid)
    by_rows = np.bincount(bins.codes(rows.columns["age"]), minlength=bins.count)
    assert bin_counts(grid, counts).tolist() == by_rows.tolist()
