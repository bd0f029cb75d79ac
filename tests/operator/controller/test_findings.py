"""Conditions of a monitor from what its pods are found to be."""

from __future__ import annotations

import pytest
from driftline_operator.controller.observed import observe
from driftline_operator.controller.plan.findings import injected
from driftline_operator.controller.plan.pods import STARTED_EARLIER, Failure, Survey
from driftline_operator.controller.plan.suspension import Suspension

from tests.operator.test_plan import body


def test_a_sidecar_that_hangs_is_said_though_most_start() -> None:
    hangs = Failure("census-3", "driftline-analyzer", "CreateContainerError", "no room")
    survey = Survey(expected=3, injected=3, started=2, failing=(hangs,))
    found = injected(observe(body("census")), survey, (), Suspension(""))
    assert (found.status, found.reason) == ("True", "AllInjected")
    assert found.message == "3/3 pods, 1 of them with a sidecar that doesn't start (CreateContainerError)"


@pytest.mark.parametrize(
    ("injection", "may_restart", "said"),
    [
        ({}, True, "or injection.restart: OnChange"),
        ({"restart": "OnChange"}, True, "their workloads are restarted"),
        ({"restart": "OnChange"}, False, "controller.allowRestarts is off"),
    ],
)
def test_who_is_to_restart_is_said(injection: dict[str, str], may_restart: bool, said: str) -> None:
    survey = Survey(expected=2, bare={STARTED_EARLIER: 2}, words={STARTED_EARLIER: "earlier"})
    of = observe(body("census", injection=injection))
    found = injected(of, survey, (), Suspension(""), may_restart=may_restart)
    assert (found.status, found.reason) == ("False", STARTED_EARLIER)
    assert said in found.message


def test_what_goes_past_the_sidecars_is_the_reason_once_all_have_one() -> None:
    survey = Survey(expected=2, injected=2)
    found = injected(observe(body("census")), survey, (), Suspension(""), caution="Service a is headless")
    assert (found.status, found.reason) == ("True", "HeadlessService")
    assert found.message == "2/2 pods; Service a is headless"
