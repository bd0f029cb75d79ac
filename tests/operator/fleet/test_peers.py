"""Pods against each other: hardly a false name under the null, the odd one named, like times compared."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.pane_codec import inflate
from driftline.spec import Drift, MonitorSpec, Thresholds
from driftline_operator.fleet import peers as module
from driftline_operator.fleet.flat import pack_pane
from driftline_operator.fleet.layout import Layout
from driftline_operator.fleet.packing import Unpacked, unpack
from driftline_operator.fleet.peers import ALPHA, SPAN_SECONDS, Peers, chi2_sf
from scipy.special import chdtrc

from tests.support.fleets import DAY_START, SPEC, counted, encoded, plain, reference

PROFILE = reference()
AXES = PROFILE.axes()
LAYOUT = Layout(AXES.features)
ANY_EFFECT = msgspec.structs.replace(
    SPEC, drift=Drift(thresholds=Thresholds(psi=1e-6, warning=1e-7), min_rows=100)
)


def packed(batch: Batch) -> Unpacked:
    return unpack(LAYOUT, pack_pane(LAYOUT, inflate(encoded(PROFILE, counted(AXES, batch), DAY_START))))


def fleet_of(
    seed: int, pods: int, shifted: dict[int, float] | None = None, spec: MonitorSpec = SPEC
) -> Peers:
    peers = Peers(LAYOUT, spec)
    fill(peers, seed, pods, shifted or {})
    return peers


def fill(peers: Peers, seed: int, pods: int, shifted: dict[int, float]) -> None:
    rng = np.random.default_rng(seed)
    for pod in range(pods):
        batch = plain(rng, 1500, shifted.get(pod, 0.0))
        peers.add(f"uid-{pod}", f"pod-{pod}", (DAY_START, 60), packed(batch))


def test_under_the_null_the_share_of_fleets_with_a_name_is_the_level() -> None:
    """With the effect's threshold off, so that the test alone decides; at 5 % to see it in 200 fleets."""
    level, fleets = 0.05, 200
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ALPHA", level)
        named = sum(bool(fleet_of(seed, 6, spec=ANY_EFFECT).deviations()) for seed in range(fleets))
    # Holm holds the level at most; a pod against the sum of the others is nearly independent of the next.
    assert named / fleets <= level + 3 * math.sqrt(level * (1 - level) / fleets)
    assert named > 0
    assert level > ALPHA


def test_the_tail_of_chi_squared_is_scipys() -> None:
    rng = np.random.default_rng(3)
    freedom = rng.integers(1, 80, 5000)
    x = rng.gamma(freedom / 2, 2.0) * rng.choice([0.0, 0.1, 1.0, 3.0, 10.0], 5000)
    np.testing.assert_allclose(chi2_sf(x, freedom), chdtrc(freedom, x), rtol=1e-12, atol=1e-300)


def test_rows_of_one_request_are_not_taken_for_independent_ones() -> None:
    rng = np.random.default_rng(7)
    named = 0
    for _ in range(30):
        peers = Peers(LAYOUT, ANY_EFFECT)
        for pod in range(6):
            peers.add(f"u{pod}", f"p{pod}", (DAY_START, 60), packed(repeated(plain(rng, 300), 5)))
        named += bool(peers.deviations())
    assert named <= 1


def repeated(batch: Batch, times: int) -> Batch:
    """Requests of so many equal rows."""
    columns: dict[str, Column] = {}
    for name, column in batch.columns.items():
        if isinstance(column, NumericColumn):
            columns[name] = NumericColumn(np.repeat(column.values, times))
        else:
            columns[name] = CategoricalColumn(np.repeat(column.codes, times), column.dictionary)
    request = np.repeat(np.arange(batch.rows), times).astype(np.int32)
    return Batch(batch.rows * times, columns, batch.rows, request)


@pytest.mark.parametrize("pods", [3, 10, 40])
def test_the_odd_pod_is_named_with_its_feature_and_numbers(pods: int) -> None:
    (found,) = fleet_of(3, pods, {1: 12.0}).deviations()
    assert (found.pod, found.uid, found.feature, found.rows) == ("pod-1", "uid-1", "age", 1500)
    assert found.psi > 1
    assert found.p < ALPHA


def test_of_two_that_differ_both_are_named() -> None:
    assert {each.pod for each in fleet_of(3, 2, {1: 12.0}).deviations()} == {"pod-0", "pod-1"}


def test_a_small_difference_is_no_odd_pod_however_sure() -> None:
    assert fleet_of(3, 10, {1: 2.0}).deviations() == []
    sure = fleet_of(3, 10, {1: 2.0}, spec=ANY_EFFECT).deviations()
    assert [each.pod for each in sure] == ["pod-1"]


def test_new_categories_count() -> None:
    peers = fleet_of(1, 4)
    batch = plain(np.random.default_rng(6), 1500)
    job = batch.columns["job"]
    assert isinstance(job, CategoricalColumn)
    columns = {**batch.columns, "job": CategoricalColumn(job.codes, ("x", "y", "z"))}
    peers.add("new", "new", (DAY_START, 60), packed(Batch(1500, columns, 1500)))
    assert [(each.pod, each.feature) for each in peers.deviations()] == [("new", "job")]


def test_pods_of_unlike_times_are_not_compared() -> None:
    """The day's course is the same for all; who came later saw another part of it."""
    peers = Peers(LAYOUT, SPEC)
    rng = np.random.default_rng(8)
    for minute in range(30):
        at = DAY_START + minute * 60
        batches = [("old-1", 0.0), ("old-2", 0.0)] if minute < 15 else [("old-1", 25.0), ("old-2", 25.0)]
        batches += [("young", 25.0)] if minute >= 15 else []
        for name, shift in batches:
            peers.add(name, name, (at, 60), packed(plain(rng, 100, shift)))
    assert peers.deviations() == []


def test_what_is_old_goes() -> None:
    peers = Peers(LAYOUT, SPEC)
    peers.settle(DAY_START)
    fill(peers, 3, 5, {1: 12.0})
    peers.settle(DAY_START + SPAN_SECONDS)
    assert [each.pod for each in peers.deviations()] == ["pod-1"]
    peers.settle(DAY_START + 3 * SPAN_SECONDS)
    assert peers.deviations() == []
    peers.add("u", "late", (DAY_START, 60), packed(plain(np.random.default_rng(1), 1500)))
    assert peers.deviations() == []
