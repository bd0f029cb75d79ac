"""What a report of the hub is worth by its age."""

from __future__ import annotations

import pytest
from driftline.performance.report import Found, HubReport
from driftline_operator.conditions import HubReason
from driftline_operator.controller.hub.opinions import STALE_SECONDS, opinion
from driftline_operator.controller.observed import observe

from tests.operator.test_plan import body

AT = 1_750_000_000.0


@pytest.mark.parametrize(
    ("due", "age", "stale"),
    [
        (None, STALE_SECONDS, False),
        (None, STALE_SECONDS + 1, True),
        (AT + 60, 60 + STALE_SECONDS, False),
        (AT + 60, 61 + STALE_SECONDS, True),
        (AT + 3_000, 3_000 + STALE_SECONDS, False),  # it cost five minutes: the next is due in fifty
        (AT + 3_000, 3_001 + STALE_SECONDS, True),
    ],
)
def test_a_report_is_stale_when_the_next_is_overdue(due: float | None, age: float, stale: bool) -> None:
    monitor = observe(body("census", labels={}, performance={})).monitor
    assert monitor is not None
    found = [Found(each, "True", "WithinThresholds", "") for each in ("Performance", "ConceptDrift")]
    report = HubReport("ml", "census", "census", AT, found=found, due=due)
    said = {each.reason for each in opinion(monitor.spec, report, AT + age).findings}
    assert (said == {HubReason.STALE}) is stale
