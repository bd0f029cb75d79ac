"""The demo with its hub, on three days of each month: labels that come later give what scikit-learn gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from driftline.performance.report import State

from examples.flights import demo, flights, truth
from examples.flights.labels import SECONDS_AN_HOUR
from examples.flights.table import table
from examples.flights.truth import Beside

pytestmark = pytest.mark.timeout(600)
"""Training, a minute's replay and the last flights' landing."""

REPO = Path(__file__).parents[2]
SECONDS = 30.0


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> demo.Year:
    with pytest.MonkeyPatch.context() as patch:
        output = tmp_path_factory.mktemp("demo")
        patch.setattr(demo, "OUTPUT", output)
        patch.setattr(demo, "PROFILE", output / "flights.profile")
        patch.chdir(REPO)
        demo.prepare()
        frame = flights.load()
        return demo.run_year(SECONDS, frame[frame["day"] <= 3])


def check(each: Beside) -> None:
    assert each.hub.predictions == each.hub.labelled == each.rows, each
    late, auc = each.hub.metrics["baseRate"].value, each.hub.metrics["auc"].value
    assert late == pytest.approx(each.late, abs=1e-12)
    assert (auc is None) == (each.auc is None), each
    if auc is not None and each.auc is not None and each.hub.auc_bound is not None:
        off = abs(auc - each.auc)
        assert off <= each.hub.auc_bound + 1e-12, each.name
        # Of 127 flights one pair is worth more than 2e-4.
        assert off <= 2e-4 or each.rows < 500, each.name


@pytest.mark.slow
def test_months_and_segments_are_scikit_learns_on_the_same_rows(year: demo.Year) -> None:
    assert year.progress.failed == 0
    assert [each.name for each in year.truth.months] == list(truth.MONTHS)
    assert sum(each.rows for each in year.truth.months) == year.progress.rows > 11_000
    assert [each.name for each in year.truth.origins] == ["EWR", "JFK", "LGA"]
    assert sum(each.rows for each in year.truth.carriers) == year.progress.rows
    for each in (*year.truth.months, *year.truth.origins, *year.truth.carriers):
        check(each)


@pytest.mark.slow
def test_labels_came_after_the_predictions_and_estimates_before_them(year: demo.Year) -> None:
    judged = [each.ages[-1] for each in year.truth.reports if each.ages[-1].state is State.JUDGED]
    lags = [each.lag_median for each in judged if each.lag_median is not None]
    assert lags
    assert all(2 * SECONDS_AN_HOUR < lag < 8 * SECONDS_AN_HOUR for lag in lags)
    for each in year.truth.months:
        estimated, true = each.hub.estimated["accuracy"].value, each.hub.metrics["accuracy"].value
        assert estimated is not None
        assert true is not None
        assert estimated == pytest.approx(true, abs=0.08), each.name


@pytest.mark.slow
def test_all_of_it_is_told(year: demo.Year, capsys: pytest.CaptureFixture[str]) -> None:
    told = "\n".join(truth.lines(year.truth))
    for said in ("Dec", "EWR", "UA", "auc estimated", "labelled by then", "Performance"):
        assert said in told


def test_a_request_names_its_flights_and_when_they_land() -> None:
    first = next(flights.requests(flights.load()))
    assert first.id == "2013-01-01T05-EWR"
    assert len(first.outcomes) == len(first.flights)
    # To leave at 5:58, 4 minutes early, 719 miles: landed 3.2 hours after 5:00.
    assert first.outcomes[0].hours == pytest.approx(58 / 60 - 4 / 60 + 0.7 + 719 / 450)
    assert first.outcomes[0].label == "on time"


def test_a_table_has_columns() -> None:
    assert table(["a", "n"], [["bc", "1"], ["d", "23"]]) == ["a    n", "bc   1", "d   23"]
