"""Pairs from the bytes of both answers, and what many of them add up to."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.errors import DataError
from driftline.pane import Limits
from driftline.profile import Role
from driftline.profile_build import BuildPlan, MemoryRows, ReferenceColumn, build_profile
from driftline.shadow.account import Failure
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.planning import plan_of, untold
from driftline.spec.endpoint import JsonPaths
from driftline.spec.shadow import Compare
from driftline_sidecar.analyzer.mirror.counting import tally_of
from driftline_sidecar.analyzer.mirror.reading import Outcome, PairReader
from driftline_sidecar.analyzer.mirror.sending import Answer, Missed

from tests.support.exchanges import exchange
from tests.support.mirrors import FEATURES, PLAN, mirror_config, monitor_spec, predicted

NUMBERS = ComparisonPlan(sort="number", edges=(0.0, 10.0), clip=5.0)


def answered(document: Any, status: int = 200) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(status, b"HTTP/1.1 200 OK\r\n\r\n", body, 0.01)


def reader(plan: ComparisonPlan = PLAN, model: str = "classification") -> PairReader:
    spec = monitor_spec(model=model)
    return PairReader(spec, FEATURES, mirror_config("http://a:1", plan=plan))


AGREES = answered({"label": "no", "score": 0.2})


@pytest.mark.parametrize(
    ("status", "reply", "live", "candidate", "failure"),
    [
        (200, AGREES, False, False, None),
        (500, AGREES, True, False, Failure.LIVE_FAILED),
        (422, answered({}, 422), True, True, Failure.LIVE_FAILED),
        (200, answered({}, 503), False, True, Failure.ERROR_RESPONSE),
        (200, answered(b""), False, True, Failure.UNDECODABLE),
        (200, answered(b"\xff{"), False, True, Failure.UNDECODABLE),
        (200, answered({"other": 1}), False, True, Failure.UNDECODABLE),
        (200, Missed(Failure.TIMEOUT, 1.0), False, True, Failure.TIMEOUT),
        (503, Missed(Failure.TIMEOUT, 1.0), True, True, Failure.LIVE_FAILED),
    ],
)
def test_who_failed(
    status: int, reply: Answer | Missed, live: bool, candidate: bool, failure: Failure | None
) -> None:
    found = reader().outcome(predicted(1, status=status), reply)
    assert (found.live_failed, found.candidate_failed, found.failure) == (live, candidate, failure)
    assert (found.pair is None) == (failure is not None)


@pytest.mark.parametrize(
    ("status", "reply", "note"),
    [
        (200, AGREES, ""),
        (422, AGREES, "the live model answers 422 Unprocessable Entity"),
        (200, answered({"secret": 1}, 404), "the candidate answers 404 Not Found"),
        (200, answered({"secret": 1}, 599), "the candidate answers 599"),
        (200, answered(b"secret"), "of the candidate's answer: invalid_json (looked for at $.label)"),
        (200, answered([]), "of the candidate's answer: no_prediction (looked for at $.label)"),
        (200, Missed(Failure.TIMEOUT, 1.0), ""),
    ],
)
def test_a_failure_is_noted_without_what_was_answered(status: int, reply: Answer | Missed, note: str) -> None:
    spec = monitor_spec()
    places = msgspec.structs.replace(spec.endpoint, json=JsonPaths(predictions="$.label"))
    spec = msgspec.structs.replace(spec, endpoint=places)
    found = PairReader(spec, FEATURES, mirror_config("http://a:1", plan=PLAN))
    assert found.outcome(predicted(1, status=status), reply).note == note


def test_where_the_live_answer_alone_cannot_be_read() -> None:
    found = reader().outcome(exchange({"age": 1, "sex": "f"}, b"\xff"), AGREES)
    assert (found.live_failed, found.candidate_failed, found.failure) == (True, False, Failure.LIVE_FAILED)


def test_a_plan_of_another_sort_makes_no_pairs() -> None:
    """The monitor has changed, and the controller has not yet."""
    found = reader(NUMBERS).outcome(predicted(1), AGREES)
    assert found.failure is Failure.UNDECODABLE


def test_numbers_are_compared_within_the_clip() -> None:
    found = reader(NUMBERS, "regression")
    outcomes = [
        found.outcome(exchange({"age": 1, "sex": "f"}, {"label": live}), answered({"label": other}))
        for live, other in ((1.0, 1.0), (1.0, 3.0), (1.0, 100.0), (1.0, 1.00001))
    ]
    tally = tally_of(NUMBERS, outcomes)
    assert tally.all.requests == 4
    assert int(tally.all.differ.counts[-1]) == 2
    delta = tally.all.delta
    assert delta is not None
    assert delta.clipped == 1
    assert delta.points @ delta.weights == pytest.approx(2 + 5 + 0.00001)
    assert tally.confusion.tolist() == [[0, 0, 0], [0, 3, 1], [0, 0, 0]]


def test_requests_of_many_rows_count_once_each() -> None:
    asked = [{"age": n, "sex": "f"} for n in range(4)]
    live = [{"label": "no", "score": 0.2}] * 4
    other = [{"label": "yes", "score": 0.7}, *live[1:]]
    found = reader().outcome(exchange(asked, live), answered(other))
    tally = tally_of(PLAN, [found, found])
    assert (tally.all.requests, tally.all.several) == (2, 2)
    assert tally.all.differ.points @ tally.all.differ.weights == pytest.approx(2 * 0.25)
    assert tally.sample[0].candidate == "yes (0.7), no (0.2), no (0.2), no (0.2)"


def test_nothing_is_nothing() -> None:
    assert tally_of(PLAN, [Outcome(False, True, Failure.TIMEOUT)]).all.requests == 0


class TestPlan:
    def _profile(self) -> Any:
        n = 1000
        names = ("no", "yes")
        codes = np.arange(n, dtype=np.int32) % 2
        columns: dict[str, Column] = {
            "sex": CategoricalColumn(codes, ("m", "f")),
            "label": CategoricalColumn(codes, names),
            "value": NumericColumn(np.arange(n, dtype=np.float64)),
        }
        plan = BuildPlan(
            columns=(
                ReferenceColumn("sex", False, Role.FEATURE, Limits()),
                ReferenceColumn("label", False, Role.PREDICTION),
                ReferenceColumn("value", True, Role.FEATURE, Limits()),
            )
        )
        return build_profile(
            MemoryRows([(Batch(n, columns, n), np.arange(n, dtype=np.float64))], requests=n), plan
        )

    def test_classes_and_segments_are_the_references(self) -> None:
        found = plan_of(monitor_spec(), Compare(segments=("sex", "age")), self._profile())
        assert (found.sort, found.classes, found.clip) == ("class", ("no", "yes"), 1.0)
        assert found.segments == (("sex", ("f", "m")),)

    def test_segments_that_are_not_told_apart_are_said(self) -> None:
        compare = Compare(segments=("sex", "age", "colour"))
        assert untold(monitor_spec(), compare, plan_of(monitor_spec(), compare, self._profile())) == {
            "age": "is numeric",
            "colour": "is no category of the reference",
        }
        assert untold(monitor_spec(), compare, plan_of(monitor_spec(), compare, None)).keys() == {
            "sex", "age", "colour",
        }  # fmt: skip

    def test_without_a_reference_classes_are_the_declared_ones(self) -> None:
        spec = monitor_spec()
        prediction = msgspec.structs.replace(spec.schema.prediction, classes=("yes", "no"))
        schema = msgspec.structs.replace(spec.schema, prediction=prediction)
        declared = msgspec.structs.replace(spec, schema=schema)
        assert plan_of(declared, Compare(), None).classes == ("no", "yes")

    def test_scores_that_nobody_gives_compare_nothing(self) -> None:
        with pytest.raises(DataError, match="a regression has no score"):
            plan_of(monitor_spec(model="regression"), Compare(outputs=("score",)), None)
        spec = monitor_spec()
        prediction = msgspec.structs.replace(spec.schema.prediction, score=None)
        schema = msgspec.structs.replace(spec.schema, prediction=prediction)
        with pytest.raises(DataError, match=r"names no score \(schema\.prediction\.score\)"):
            plan_of(msgspec.structs.replace(spec, schema=schema), Compare(outputs=("score", "body")), None)

    def test_without_a_reference_answers_are_told_apart_all_the_same(self) -> None:
        found = plan_of(monitor_spec(), Compare(), None)
        assert (found.classes, found.clip, found.segments) == ((), 1.0, ())

    def test_scores_and_bodies(self) -> None:
        assert plan_of(monitor_spec(), Compare(outputs=("prediction",)), None).clip is None
        assert plan_of(monitor_spec(), Compare(outputs=("body",)), None).sort == "body"
        assert plan_of(monitor_spec(model="regression"), Compare(clip=3.0), None).clip == 3.0
