from __future__ import annotations

from dataclasses import replace

import pytest
from driftline.episode import Verdicts, WindowRole, dataset, label, roles, shares
from driftline.report import Report
from driftline.spec import Drift
from driftline.verdict import Effect, Reason

from tests.support.verdicts import HOUR, said

FIVE, DAY = 300, 86400
WINDOWS = (FIVE, HOUR, DAY)


def drift_in(
    verdicts: Verdicts, seconds: int, first: float = 0.0, count: int = 4, role: str = "feature"
) -> None:
    for index in range(1, count + 1):
        verdicts.observe(said(index * seconds, Effect.LARGE, seconds=seconds, p=1e-9, role=role, name=role))


def calm(verdicts: Verdicts, seconds: int, first: float, count: int = 4) -> None:
    for index in range(1, count + 1):
        end = first + index * seconds
        verdicts.observe(said(end, Effect.SMALL, unusual=False, p=0.8, seconds=seconds, name="feature"))


def test_the_windows_have_their_roles() -> None:
    assert roles(WINDOWS) == {
        FIVE: WindowRole.OPERATIONS,
        HOUR: WindowRole.WARNING,
        DAY: WindowRole.PAGE,
    }
    assert roles([60]) == {60: WindowRole.PAGE}
    assert roles([60, 600]) == {60: WindowRole.WARNING, 600: WindowRole.PAGE}


@pytest.mark.parametrize("windows", [WINDOWS, (60,), (60, 600), (60, 120, 240, 480)])
def test_the_shares_add_up_to_one_false_episode_a_month(windows: tuple[int, ...]) -> None:
    assert sum(shares(windows).values()) == pytest.approx(1)


def test_the_defaults_share_one_three_six() -> None:
    assert shares(WINDOWS) == pytest.approx({FIVE: 0.1, HOUR: 0.3, DAY: 0.6})


def test_a_window_for_operations_neither_warns_nor_pages() -> None:
    verdicts = Verdicts(WINDOWS, Drift())
    drift_in(verdicts, FIVE)
    assert not verdicts.verdict().drifted


def test_one_episode_over_all_windows() -> None:
    verdicts = Verdicts(WINDOWS, Drift())
    drift_in(verdicts, HOUR)
    warned = verdicts.verdict()
    assert (warned.drifted, warned.severity, warned.features) == (True, "warning", ("feature",))
    drift_in(verdicts, DAY)
    paged = verdicts.verdict()
    assert (paged.severity, paged.since) == ("page", warned.since)
    calm(verdicts, HOUR, 4 * DAY)
    assert verdicts.verdict().since == warned.since
    calm(verdicts, DAY, 4 * DAY)
    assert verdicts.verdict().since is None


def test_predictions_drift_by_themselves() -> None:
    verdicts = Verdicts((DAY,), Drift())
    drift_in(verdicts, DAY, role="score")
    verdict = verdicts.verdict()
    assert verdict.prediction_drifted
    assert verdict.features == ()


def test_before_any_window_there_is_no_verdict_to_pass() -> None:
    assert Verdicts(WINDOWS, Drift()).verdict().reason == "InsufficientData"


def test_the_worst_come_with_their_numbers() -> None:
    verdicts = Verdicts((DAY,), Drift())
    drift_in(verdicts, DAY)
    worst = verdicts.verdict().worst[0]
    assert (worst.feature, worst.window, worst.psi, worst.reason) == ("feature", "24h", 0.9, Reason.DRIFTED)


def test_the_dataset_drifts_by_the_share_of_its_features() -> None:
    verdicts = Verdicts((DAY,), Drift())
    drift_in(verdicts, DAY, count=3)
    settled, _ = verdicts.observe(said(4 * DAY, Effect.LARGE, seconds=DAY, p=1e-9, name="feature"))
    found = dataset(settled, Drift())
    assert found is not None
    assert (found.drifted, found.share) == (True, 1.0)


def test_neither_outputs_nor_the_multivariate_column_count_in_the_share() -> None:
    window = said(DAY, Effect.SMALL, seconds=DAY)
    calm = window.features[0]
    drifted = replace(calm, reason=Reason.DRIFTED)
    roles = ("multivariate", "prediction", "score")
    others = tuple(replace(drifted, name=role, role=role) for role in roles)
    found = dataset(replace(window, features=(drifted, replace(calm, name="b"), *others)), Drift())
    assert found is not None
    assert found.share == 0.5
    assert dataset(replace(window, features=others), Drift()) is None


def test_windows_are_named_as_people_write_them() -> None:
    assert [label(seconds) for seconds in (5, 300, HOUR, DAY)] == ["5s", "5m", "1h", "24h"]
    assert Report.__struct_config__.frozen
