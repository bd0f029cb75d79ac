"""The detectors against river where every bucket is one row, and on buckets of many."""

from __future__ import annotations

import json

import numpy as np
import pytest
from driftline.columns import Floats
from driftline.performance.detectors import Adwin, Detector, HddmA, PageHinkley, Units
from driftline.performance.from_rows import mean_sums
from river import drift

from tests.support.oracle import CASES, case_ids

STREAMS = case_ids("stream")


River = drift.ADWIN | drift.binary.HDDMA | drift.PageHinkley


def stream(case: str) -> Floats:
    with np.load(CASES / f"{case}.npz") as data:
        return np.asarray(data["x"], np.float64)


def alarms(detector: Detector, values: Floats) -> list[int]:
    return [place for place, x in enumerate(values) if detector.update(Units(1.0, float(x))) is not None]


def river_alarms(detector: River, values: Floats) -> list[int]:
    found = []
    for place, x in enumerate(values):
        detector.update(x)
        if detector.drift_detected:
            found.append(place)
    return found


def jump(rows: int = 6000, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random(rows) < 0.1, rng.random(rows) < 0.3, rng.random(rows) < 0.15]).astype(
        float
    )


def test_the_cases_are_here() -> None:
    assert len(STREAMS) == 4


@pytest.mark.parametrize("case", STREAMS)
def test_adwin_and_page_hinkley_alarm_where_river_did(case: str) -> None:
    oracle = json.loads((CASES / f"{case}.json").read_text())["expected"]["river"]
    assert alarms(Adwin(clock=32), stream(case)) == oracle["ADWIN"]["drift_at"]
    assert alarms(PageHinkley(), stream(case)) == oracle["PageHinkley"]["drift_at"]


@pytest.mark.parametrize("case", [case for case in STREAMS if "bernoulli" in case])
def test_hddm_alarms_where_river_did(case: str) -> None:
    oracle = json.loads((CASES / f"{case}.json").read_text())["expected"]["river"]
    assert alarms(HddmA(two_sided=False), stream(case)) == oracle["HDDMA"]["drift_at"]
    assert alarms(HddmA(), stream(case)) == oracle["HDDMA_two_sided"]["drift_at"]


@pytest.mark.parametrize("seed", range(4))
def test_all_alarm_where_river_does_on_jumps(seed: int) -> None:
    values = jump(seed=seed)
    pairs: list[tuple[Detector, River]] = [
        (Adwin(clock=32), drift.ADWIN()),
        (HddmA(), drift.binary.HDDMA(two_sided_test=True)),
        (PageHinkley(), drift.PageHinkley()),
    ]
    for mine, theirs in pairs:
        found = alarms(mine, values)
        assert found == river_alarms(theirs, values)
        assert found, type(mine).__name__


def bucket_alarms(detector: Detector, values: Floats, rows: int) -> list[int]:
    """The row after each bucket that alarmed."""
    found = []
    for start in range(0, len(values), rows):
        units = Units.of(mean_sums(values[start : start + rows]))
        if units is not None and detector.update(units) is not None:
            found.append(start + rows)
    return found


@pytest.mark.parametrize("rows", [10, 60, 250])
@pytest.mark.parametrize("make", [Adwin, HddmA])
def test_a_jump_of_the_error_is_found_soon_in_buckets_and_nothing_else(
    make: type[Adwin] | type[HddmA], rows: int
) -> None:
    for seed in range(5):
        found = bucket_alarms(make(), jump(seed=seed), rows)
        assert [place // 6000 for place in found] == [1, 2], (seed, found)
        assert found[0] - 6000 <= 500 + rows
        assert found[1] - 12000 <= 900 + rows


@pytest.mark.parametrize("make", [Adwin, HddmA])
def test_no_change_gives_next_to_no_alarm(make: type[Adwin] | type[HddmA]) -> None:
    alarmed = 0
    for seed in range(20):
        values = (np.random.default_rng(100 + seed).random(20_000) < 0.2).astype(float)
        alarmed += len(bucket_alarms(make(), values, 50))
    # 400,000 rows; 0.15 alarms in 10,000 rows would be 6.
    assert alarmed <= 6


def test_an_alarm_says_from_what_to_what() -> None:
    for detector in (Adwin(), HddmA(), PageHinkley()):
        for _ in range(30):
            assert detector.update(Units(200.0, 0.1, 200 * 0.1 * 0.9)) is None
        found = None
        while found is None:
            found = detector.update(Units(200.0, 0.4, 200 * 0.4 * 0.6))
        assert found[0] == pytest.approx(0.1, abs=0.02)
        assert found[1] == pytest.approx(0.4, abs=0.02)


def test_a_unit_is_a_request() -> None:
    values = np.repeat([0.0, 1.0, 0.0, 0.0], 20)
    request = np.repeat(np.arange(4), 20)
    units = Units.of(mean_sums(values, request))
    assert units is not None
    assert (units.n, units.mean) == (4, 0.25)
    assert units.squares == pytest.approx(4 * 0.25 * 0.75)
    assert Units.of(mean_sums(np.empty(0))) is None
    rows = Units.of(mean_sums(values))
    assert rows is not None
    assert rows.squares == pytest.approx(((values - 0.25) ** 2).sum())
