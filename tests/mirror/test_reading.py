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
from driftline.shadow.account import Account, Failure
from driftline.shadow.codec import ENVELOPE, Part, encode_part
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.planning import plan_of, untold
from driftline.spec import Capture
from driftline.spec.endpoint import JsonPaths
from driftline.spec.shadow import Compare
from driftline_sidecar.analyzer.mirror.counting import tally_of
from driftline_sidecar.analyzer.mirror.reading import Outcome, PairReader
from driftline_sidecar.analyzer.mirror.sending import Answer, Missed
from driftline_sidecar.exchange import Exchange
from hypothesis import given, settings
from hypothesis import strategies as st

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


BODIES = ComparisonPlan(sort="body")


def bodies(*redact: str) -> PairReader:
    spec = msgspec.structs.replace(monitor_spec(), capture=Capture(redact=redact))
    config = mirror_config("http://a:1", plan=BODIES, compare=Compare(outputs=("body",)))
    return PairReader(spec, FEATURES, config)


def told(outcome: Outcome) -> bytes:
    """All that leaves the pod, as it is before it is packed."""
    paired = int(outcome.failure is None)
    failed = {} if outcome.failure is None else {outcome.failure: 1}
    account = Account(eligible=1, mirrored=1, paired=paired, failed=failed)
    return ENVELOPE.open(encode_part(Part("s", 1, 0.0, "p", "b", 0, 1, account, tally_of(BODIES, [outcome]))))


SECRET = "S-3-C-R-3-T"
_HIDDEN = st.sampled_from([SECRET, {"deep": [SECRET]}, [SECRET, {SECRET: 1}], {SECRET: SECRET}])
_DOCUMENT = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.just("text"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.fixed_dictionaries({"ssn": _HIDDEN, "a": inner})
        | st.fixed_dictionaries({"a": st.fixed_dictionaries({"email": _HIDDEN}), "b": inner})
        | st.fixed_dictionaries({"name": st.just("ssn"), "data": st.lists(_HIDDEN, max_size=3)})
        | st.fixed_dictionaries(
            {"columns": st.just(["a", "ssn"]), "data": st.lists(st.tuples(inner, _HIDDEN), max_size=3)}
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(_DOCUMENT, _DOCUMENT)
def test_what_is_redacted_leaves_the_pod_in_no_form(live: Any, other: Any) -> None:
    found = bodies("$.ssn", "$..email").outcome(exchange({"age": 1, "sex": "f"}, live), answered(other))
    assert SECRET.encode() not in told(found)
    assert found.failure is None or live is None or other is None


def test_an_object_against_nothing_shows_its_size_only() -> None:
    reader = bodies("$.ssn", "$..email")
    live = {"person": {"ssn": SECRET, "email": SECRET}}
    found = tally_of(BODIES, [reader.outcome(exchange({}, live), answered({"person": None}))])
    assert (found.sample[0].live, found.sample[0].candidate) == ("$.person: object of 2", "$.person: null")


def test_a_request_s_id_is_hidden_where_its_header_is() -> None:
    spec = msgspec.structs.replace(monitor_spec(), capture=Capture(redact_headers=("X-Request-Id",)))
    sent = exchange(
        {"age": 1, "sex": "f"}, {"label": "no", "score": 0.2}, request_headers=b"X-Request-Id: me\r\n"
    )
    sent = msgspec.structs.replace(sent, id="me", id_generated=False)
    ids = [
        PairReader(each, FEATURES, mirror_config("http://a:1")).outcome(sent, AGREES).pair.request  # type: ignore[union-attr]
        for each in (monitor_spec(), spec)
    ]
    assert ids[0] == "me"
    assert "me" not in ids[1]


@pytest.mark.parametrize("long", [15_000, 30_000])
def test_the_same_answer_is_equal_however_long(long: int) -> None:
    document = {"e": [float(n) for n in range(long)]}
    found = bodies().outcome(exchange({}, document), answered(document))
    assert found.pair is not None
    assert found.pair.diff is not None
    assert found.pair.diff.equal


def test_answers_too_long_to_compare_tell_nothing_unless_they_differ() -> None:
    long = [float(n) for n in range(30_000)]
    alike, apart = [*long[:-1], 0.5], [0.5, *long[1:]]
    found = bodies().outcome(exchange({}, long), answered(alike))
    assert (found.live_failed, found.candidate_failed, found.failure) == (
        False, False, Failure.TOO_MANY_VALUES,
    )  # fmt: skip
    found = bodies().outcome(exchange({}, long), answered(apart))
    assert found.pair is not None
    assert tally_of(BODIES, [found]).all.differ.counts[-1] == 1
    rounds = [(answered(long), answered(alike))] * 2
    assert bodies().repeat(exchange({}, long), rounds) is None


LARGE = b"1" + b"0" * 400


@pytest.mark.parametrize(
    ("found", "live", "candidate"),
    [
        (bodies(), b'{"x": 1.5}', b'{"x": %s}'),
        (reader(), b'{"label": "no", "score": 0.5}', b'{"label": "no", "score": %s}'),
        (reader(), b'{"label": 1, "score": 0.5}', b'{"label": %s, "score": 0.5}'),
        (reader(NUMBERS, "regression"), b'{"label": 1.5}', b'{"label": %s}'),
    ],
)
def test_one_odd_number_loses_nothing(found: PairReader, live: bytes, candidate: bytes) -> None:
    asked = {"age": 1, "sex": "f"}
    for first, second in ((live, candidate % LARGE), (candidate % LARGE, live)):
        outcome = found.outcome(exchange(asked, first), answered(second))
        if outcome.failure is None:
            assert len(tally_of(found._plan, [outcome]).sample) == 1
        else:
            assert outcome.failure in (Failure.UNDECODABLE, Failure.LIVE_FAILED)


def test_an_answer_that_the_decoder_breaks_at_is_its_side_s(monkeypatch: pytest.MonkeyPatch) -> None:
    found = reader()
    decode = found._decoder.decode

    def breaks(exchanges: list[Exchange]) -> Any:
        if b"odd" in exchanges[0].response_body:
            raise OverflowError
        return decode(exchanges)

    monkeypatch.setattr(found._decoder, "decode", breaks)
    odd = {"label": "odd", "score": 0.5}
    asked = {"age": 1, "sex": "f"}
    outcome = found.outcome(predicted(1), answered(odd))
    assert (outcome.candidate_failed, outcome.failure) == (True, Failure.UNDECODABLE)
    outcome = found.outcome(exchange(asked, odd), AGREES)
    assert (outcome.live_failed, outcome.failure) == (True, Failure.LIVE_FAILED)


def test_a_redacted_feature_is_no_segment() -> None:
    schema = msgspec.structs.replace(monitor_spec().schema, features=())
    hidden = msgspec.structs.replace(monitor_spec(), schema=schema, capture=Capture(redact=("$.sex",)))
    profile = TestPlan()._profile()
    assert plan_of(monitor_spec(), Compare(segments=("sex",)), profile).segments
    assert not plan_of(hidden, Compare(segments=("sex",)), profile).segments
