"""Pods that a patch would make the API server refuse are left alone."""

from __future__ import annotations

from typing import Any

import pytest
from driftline_operator.controller.observed import observe
from driftline_operator.injection.decide import decide
from driftline_operator.reasons import SkipReason

from tests.operator.test_plan import POD, SETTINGS, body

Json = dict[str, Any]


@pytest.mark.parametrize(
    "more",
    [
        {"volumes": [{"name": "driftline-run", "emptyDir": {}}]},
        {"volumes": [{"name": "driftline-token", "secret": {"secretName": "mine"}}]},
        {"initContainers": [{"name": "driftline-analyzer", "image": "mine"}]},
    ],
)
def test_names_that_the_sidecar_needs_are_said_to_be_taken(more: Json) -> None:
    monitor = observe(body("census")).monitor
    assert monitor is not None
    found = decide({**POD, "spec": {**POD["spec"], **more}}, [monitor], SETTINGS)
    assert (found.reason, found.patch) == (SkipReason.NAME_TAKEN, ())
