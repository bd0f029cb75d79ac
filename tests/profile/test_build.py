"""What a build gives: counts, halves, components, calibration, labels; the same from memory and disk."""

from __future__ import annotations

import numpy as np
import pytest
from driftline.columns import Batch, CategoricalColumn, NumericColumn
from driftline.counts import CategoricalCounts, NumericCounts
from driftline.diagnostics import Concern
from driftline.errors import DataError
from driftline.grid import Grid
from driftline.isotonic import isotonic
from driftline.labels import ResidualLabels, ScoreLabels
from driftline.multivariate import EXPLAINED, MULTIVARIATE
from driftline.profile import Profile, Role, Season
from driftline.profile_build import (
    BuildPlan,
    LabelPlan,
    MemoryRows,
    ReferenceColumn,
    build_profile,
)
from driftline_cli.readers.convert import Kind, Rows
from driftline_cli.readers.rows import DiskRows, reference_rows, summarise
from driftline_cli.readers.spool import DiskSpool

from tests.support.profiles import batch, column, reference, texts

DAY = 86_400.0


def concerns(profile: Profile, feature: str | None = None) -> set[Concern]:
    return {f.concern for f in profile.diagnostics.findings if f.feature == feature}


def test_counts_and_moments_are_the_rows() -> None:
    rng = np.random.default_rng(0)
    x = rng.gamma(2, size=3000)
    x[:100] = np.nan
    found = reference({"x": x, "c": ["a"] * 2000 + ["b"] * 999 + [None]})
    numeric, categories = found.feature("x"), found.feature("c")
    assert numeric is not None
    assert categories is not None
    assert isinstance(numeric.counts, NumericCounts)
    assert (numeric.counts.valid, numeric.counts.nan, numeric.counts.rows) == (2900, 100, 3000)
    assert numeric.mean == np.mean(x[100:])
    assert numeric.sd == np.std(x[100:])
    assert isinstance(categories.counts, CategoricalCounts)
    assert categories.counts.known.tolist() == [2000, 999]


def test_no_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="no rows"):
        reference({"x": np.empty(0)})


def test_concerns_are_told() -> None:
    rng = np.random.default_rng(1)
    n = 1000
    drifting = np.linspace(0, 5, n) + rng.normal(size=n)
    sparse = np.where(rng.uniform(size=n) < 0.3, 1.5 * rng.normal(size=n), np.nan)
    found = reference(
        {
            "drifting": drifting,
            "sparse": sparse,
            "constant": np.full(n, 3.0),
            "nothing": np.full(n, np.nan),
            "ids": texts(rng.permutation(n)),
            "one": ["a"] * n,
        }
    )
    assert concerns(found) == {Concern.FEW_ROWS}
    assert concerns(found, "drifting") == {Concern.HALVES_DIFFER}
    assert concerns(found, "sparse") == {Concern.MANY_MISSING}
    assert concerns(found, "constant") == {Concern.CONSTANT}
    assert concerns(found, "nothing") == {Concern.ALL_MISSING}
    assert concerns(found, "one") == {Concern.CONSTANT}
    assert Concern.ALMOST_UNIQUE in concerns(found, "ids")


def test_halves_are_the_rows_before_and_after_the_middle() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(0, 1, 5000), rng.normal(3, 1, 5000)])
    pieces = [(batch({"x": x[start : start + 3000]}), None) for start in range(0, len(x), 3000)]
    whole = reference({"x": x}).diagnostics.split_half_psi["x"]
    plan = BuildPlan(columns=(ReferenceColumn("x", True),))
    assert build_profile(MemoryRows(pieces), plan).diagnostics.split_half_psi["x"] == whole
    assert whole is not None
    assert whole > 5
    shuffled = reference({"x": rng.permutation(x)}).diagnostics.split_half_psi["x"]
    assert shuffled is not None
    assert shuffled < 0.02


def test_without_order_nothing_is_calibrated() -> None:
    x = np.random.default_rng(3).normal(size=5000)
    assert reference({"x": x}).calibration is not None
    unordered = reference({"x": x}, ordered=False)
    assert unordered.calibration is None
    assert Concern.NO_TIME_ORDER in concerns(unordered)


def test_seasons_and_age() -> None:
    rng = np.random.default_rng(4)
    times = np.linspace(0, 3 * DAY, 4000)
    found = reference({"x": rng.normal(size=4000)}, times, windows=(3600,), season=Season.DAILY)
    assert found.diagnostics.seasons == pytest.approx(3.0)
    assert Concern.FEW_SEASONS in concerns(found)
    assert found.age(5 * DAY) == pytest.approx(2 * DAY)
    assert reference({"x": rng.normal(size=300)}, created=100.0).age(160.0) == 60.0
    assert reference({"x": rng.normal(size=300)}).age(160.0) is None


def test_the_multivariate_error_sees_what_no_column_shows() -> None:
    rng = np.random.default_rng(5)
    common = rng.normal(size=8000)
    columns = {f"x{i}": common + 0.3 * rng.normal(size=8000) for i in range(4)}
    found = reference(columns)
    feature = found.feature(MULTIVARIATE)
    assert feature is not None
    assert feature.role is Role.MULTIVARIATE
    assert found.components is not None
    assert found.components.explained >= EXPLAINED
    apart = {name: rng.permutation(values) for name, values in columns.items()}
    rows = batch(apart)
    error = found.components.error(rows.columns, rows.rows)
    assert feature.mean is not None
    assert feature.sd is not None
    assert error.mean() > 2 * feature.mean
    usual = found.components.error(batch(columns).columns, 8000)
    np.testing.assert_allclose([usual.mean(), usual.std()], [feature.mean, feature.sd], rtol=1e-6)


def test_components_rebuild_as_numpys_own() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(2000, 5)) @ rng.normal(size=(5, 5))
    found = reference({f"x{i}": x[:, i] for i in range(5)}).components
    assert found is not None
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    _, _, v = np.linalg.svd(z, full_matrices=False)
    kept = v[: len(found.components)]
    wanted = np.linalg.norm(z - z @ kept.T @ kept, axis=1)
    got = found.error(batch({f"x{i}": x[:, i] for i in range(5)}).columns, 2000)
    np.testing.assert_allclose(got, wanted, rtol=1e-4)


def test_one_numeric_column_has_no_multivariate_error() -> None:
    assert reference({"x": np.arange(100.0), "c": ["a", "b"] * 50}).components is None


def test_score_labels_overall_and_by_segment() -> None:
    rng = np.random.default_rng(7)
    score = rng.uniform(size=2000)
    label = (rng.uniform(size=2000) < score).astype(float)
    label[:50] = np.nan
    sex = texts(rng.integers(0, 2, 2000))
    rows = batch({"score": score, "sex": sex, "label": label})
    plan = BuildPlan(
        columns=(ReferenceColumn("score", True, Role.SCORE), ReferenceColumn("sex", False)),
        labels=LabelPlan("label", "score", segments=("sex",)),
    )
    labels = build_profile(MemoryRows([(rows, None)]), plan).labels
    assert isinstance(labels, ScoreLabels)
    assert 900 <= len(labels.edges) + 1 <= 1001
    by = {(g.group.segment, g.group.value): g for g in labels.groups}
    assert by.keys() == {(None, None), ("sex", "0"), ("sex", "1")}
    whole = by[None, None]
    assert whole.positives.sum() == np.nansum(label)
    assert whole.negatives.sum() == 1950 - np.nansum(label)
    np.testing.assert_array_equal(whole.positives, by["sex", "0"].positives + by["sex", "1"].positives)
    held = np.searchsorted(labels.edges, score[50:], side="left")
    assert whole.positives[held[0]] + whole.negatives[held[0]] == np.count_nonzero(held == held[0])


def test_auc_from_score_bins_is_exact_to_2e_4() -> None:
    rng = np.random.default_rng(8)
    n = 40_000
    label = (rng.uniform(size=n) < 0.02).astype(float)
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.2 * label - 4)))
    plan = BuildPlan(
        columns=(ReferenceColumn("score", True, Role.SCORE),), labels=LabelPlan("label", "score")
    )
    labels = build_profile(MemoryRows([(batch({"score": score, "label": label}), None)]), plan).labels
    assert isinstance(labels, ScoreLabels)
    p, q = labels.groups[0].positives, labels.groups[0].negatives
    auc = float((p * (np.cumsum(q) - q / 2)).sum() / (p.sum() * q.sum()))
    ranks = np.argsort(np.argsort(score)) + 1
    exact = (ranks[label == 1].sum() - p.sum() * (p.sum() + 1) / 2) / (p.sum() * q.sum())
    assert auc == pytest.approx(exact, abs=2e-4)


def test_residuals_by_prediction_bin() -> None:
    rng = np.random.default_rng(9)
    predicted = rng.normal(10, 3, 3000)
    target = predicted + rng.normal(0.5, 1, 3000)
    plan = BuildPlan(
        columns=(ReferenceColumn("y", True, Role.PREDICTION),), labels=LabelPlan("t", "y", regression=True)
    )
    labels = build_profile(MemoryRows([(batch({"y": predicted, "t": target}), None)]), plan).labels
    assert isinstance(labels, ResidualLabels)
    (whole,) = labels.groups
    residuals = target - predicted
    assert whole.rows.sum() == 3000
    assert whole.sums.sum() == pytest.approx(residuals.sum())
    assert whole.absolute.sum() == pytest.approx(np.abs(residuals).sum())
    assert whole.squares.sum() == pytest.approx((residuals**2).sum())


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=10_001),
        np.random.default_rng(1).integers(0, 50, 5000).astype(float),
        np.random.default_rng(2).standard_cauchy(7777) * 1e9,
        np.array([4.2]),
        np.array([1.0, 2.0]),
        np.full(100, -3.5),
        np.linspace(0, 1, 401),
        np.linspace(0, 1, 402),
    ],
)
def test_order_statistics_piece_by_piece_are_numpys(values: np.ndarray) -> None:
    ordered = np.sort(values)
    pieces = [ordered[start : start + 97] for start in range(0, len(ordered), 97)]
    found = summarise(pieces, len(ordered))
    assert found.grid == Grid.from_values(values)
    assert found.moments.sd == pytest.approx(values.std(), rel=1e-12)
    assert found.moments.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-12)


def rows_of(rng: np.random.Generator, count: int, start: int) -> Rows:
    x = rng.normal(size=count)
    x[::7] = np.nan
    x[3] = np.inf
    states = np.where(np.isnan(x), 1, 0).astype(np.uint8)
    c = column([None if value == 3 else f"c{value}" for value in rng.integers(0, 9, count)])
    times = rng.permutation(np.arange(start, start + count)).astype(float) * 10
    return Rows(count, {"x": NumericColumn(x, states), "c": c}, times)


KINDS = [("x", Kind.NUMERIC), ("c", Kind.CATEGORICAL), ("t", Kind.TIME)]


def test_a_reference_on_disk_gives_the_profile_of_one_in_memory() -> None:
    rng = np.random.default_rng(10)
    chunks = [rows_of(rng, 4000, start) for start in range(0, 20_000, 4000)]
    plan = BuildPlan(columns=(ReferenceColumn("x", True), ReferenceColumn("c", False)), windows=(3600,))
    with reference_rows(chunks, KINDS) as memory, reference_rows(chunks, KINDS, memory_cells=1) as disk:
        assert isinstance(memory, MemoryRows)
        assert isinstance(disk, DiskRows)
        a, b = build_profile(memory, plan), build_profile(disk, plan)
    for one, other in zip(a.features, b.features, strict=True):
        assert one.axis == other.axis
    x, y = a.features[0].counts, b.features[0].counts
    assert isinstance(x, NumericCounts)
    assert isinstance(y, NumericCounts)
    np.testing.assert_array_equal(x.counts, y.counts)
    np.testing.assert_allclose(x.sums, y.sums, rtol=1e-5, atol=1e-9)
    assert (x.missing, x.pos_inf) == (y.missing, y.pos_inf)
    assert a.features[1].counts == b.features[1].counts
    assert a.span == b.span
    assert a.calibration == b.calibration
    assert a.diagnostics == b.diagnostics


def test_rows_come_out_of_the_spool_in_time_order() -> None:
    rng = np.random.default_rng(11)
    with DiskSpool(KINDS) as spool:
        for start in (8000, 0, 4000):
            spool.add(rows_of(rng, 4000, start))
        times = [times for _, times in spool.batches() if times is not None]
    np.testing.assert_array_equal(np.concatenate(times), np.arange(12_000) * 10.0)


def test_captured_rows_keep_their_requests() -> None:
    request = np.repeat(np.arange(100, dtype=np.int32), 5)
    codes = CategoricalColumn(np.zeros(500, np.int32), ("a",))
    rows = Batch(500, {"c": codes}, 100, request)
    plan = BuildPlan(columns=(ReferenceColumn("c", False),))
    assert build_profile(MemoryRows([(rows, None)], requests=100), plan).requests == 100


def test_score_bins_have_the_calibrations_steps_as_edges() -> None:
    rng = np.random.default_rng(12)
    score = rng.uniform(size=3000)
    label = (rng.uniform(size=3000) < score).astype(float)
    plan = BuildPlan(
        columns=(ReferenceColumn("score", True, Role.SCORE),), labels=LabelPlan("label", "score")
    )
    labels = build_profile(MemoryRows([(batch({"score": score, "label": label}), None)]), plan).labels
    assert isinstance(labels, ScoreLabels)
    assert len(labels.edges) < 1000
    fitted = isotonic(*np.array([(label == 1)[np.argsort(score)], np.ones(3000)], np.float64))
    place = np.searchsorted(labels.edges, np.sort(score))
    assert max(np.ptp(fitted[place == k]) for k in np.unique(place)) < 1e-12
