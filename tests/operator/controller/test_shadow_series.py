"""The series of a shadow: what is judged with its reasons, and what the pairs say beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from driftline.quantity import Duration
from driftline.shadow.account import Account
from driftline.shadow.gate import judge
from driftline.shadow.tally import Tally
from driftline.spec.gate import Gate
from driftline_operator.controller.comparison_series import CONFUSED
from driftline_operator.controller.running import Running
from driftline_operator.controller.shadow_series import ShadowSeries
from driftline_operator.shadow.course import Course
from driftline_operator.shadow.observed import observe_shadow
from prometheus_client import CollectorRegistry

from tests.operator.shadow.test_plan import shadow
from tests.shadow.test_comparison import census, worst
from tests.support.shadows import CLASSES, classes, snapshot, with_errors

WHOSE = {"namespace": "ml", "monitor": "census", "shadow": "v4"}
HOURS = Gate(agreement=0.9, error_rate=0.05, min_time=Duration(0), allow_under_a_day=True)


class Exposed:
    """What a scrape would say of one shadow."""

    def __init__(self) -> None:
        self.known = Running(observe_shadow(shadow()), Course(uid="uid-v4", generation=1))
        self._registry = CollectorRegistry()
        self._registry.register(ShadowSeries(lambda: iter([self.known])))

    def judged(self, tally: Tally, account: Account | None = None) -> Exposed:
        now = snapshot(tally, account)
        self.known.judgement = judge(HOURS, 100, 3600.0, now, None)
        self.known.compare()
        return self

    def value(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(f"modelmonitor_shadow_{name}", {**WHOSE, **labels})

    def labels(self, name: str) -> list[dict[str, str]]:
        (family,) = [each for each in self._registry.collect() if each.name == f"modelmonitor_shadow_{name}"]
        return [
            {key: value for key, value in each.labels.items() if key not in WHOSE} for each in family.samples
        ]

    def count(self) -> int:
        return sum(len(each.samples) for each in self._registry.collect())


@pytest.fixture
def exposed() -> Exposed:
    return Exposed()


def fine(pairs: int = 400, disagreement: float = 0.0) -> Tally:
    return with_errors(classes(np.random.default_rng(1), pairs, disagreement), pairs)


def test_why_it_has_its_verdict(exposed: Exposed) -> None:
    assert exposed.labels("reason") == [{"reason": "NoData"}]
    assert exposed.judged(fine()).labels("reason") == [{"reason": "AllRulesHold"}]
    assert exposed.value("verdict", verdict="Promotable") == 1.0
    exposed.judged(fine(disagreement=0.4))
    assert exposed.labels("reason") == [{"reason": "RuleBroken"}], "the one before is not there any more"
    assert exposed.value("verdict", verdict="Promotable") == 0.0


def test_why_each_rule_says_what_it_says(exposed: Exposed) -> None:
    exposed.judged(fine())
    assert exposed.value("rule_reason", rule="agreement", reason="WithinLimit") == 1.0
    exposed.judged(fine(disagreement=0.4))
    assert exposed.value("rule_reason", rule="agreement", reason="BeyondLimit") == 1.0
    assert exposed.value("rule_reason", rule="agreement", reason="WithinLimit") is None
    assert len(exposed.labels("rule_reason")) == len(exposed.labels("rule_threshold")) == 2


def test_what_the_pairs_say(exposed: Exposed) -> None:
    exposed.judged(census())
    assert exposed.value("pairs") == 10
    assert exposed.value("confusion", live="no", candidate="yes") == 1
    assert exposed.value("confusion", live="no", candidate="no") == 5
    assert exposed.value("confusion", live="yes", candidate="no") is None
    assert exposed.value("output_share", side="candidate", output="other") == pytest.approx(0.1)
    assert exposed.value("delta", quantile="0.95") == pytest.approx(0.25)
    assert exposed.value("delta_clipped") == 0
    assert exposed.value("segment_pairs", segment="sex", value="f") == 3
    assert exposed.value("segment_agreement", segment="sex", value="f") == pytest.approx(1 / 3)
    assert exposed.labels("noise") == [], "nothing went twice"


def test_there_is_a_bound_on_the_series_and_none_is_there_twice(exposed: Exposed) -> None:
    exposed.judged(worst())
    assert exposed.labels("confusion") == [], f"more than {CONFUSED} answers"
    assert exposed.count() < 1500
    for name in ("output_share", "segment_agreement"):
        found = [tuple(sorted(each.items())) for each in exposed.labels(name)]
        assert len(found) == len(set(found))


def test_without_pairs_nothing_is_made_up(exposed: Exposed) -> None:
    exposed.judged(Tally.empty(CLASSES))
    assert exposed.value("pairs") == 0
    none: list[Any] = [exposed.labels(name) for name in ("confusion", "delta", "noise", "segment_agreement")]
    assert none == [[]] * 4


def test_the_figures_are_those_that_were_kept(exposed: Exposed) -> None:
    """A scrape must not take the seconds that many segments take."""
    exposed.judged(census())
    assert exposed.known.judgement is not None
    exposed.known.judgement = replace(exposed.known.judgement, snapshot=snapshot(fine()))
    assert exposed.value("pairs") == 10
