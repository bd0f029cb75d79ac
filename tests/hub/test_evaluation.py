"""A monitor's evaluation: the database's sums against scikit-learn on the same rows, and verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from driftline.events import Feedback, Kpi, Label, Prediction
from driftline.labels import LabelsBuilder, score_edges
from driftline.performance.fairness import Fairness
from driftline.performance.report import HubReport, State
from driftline.profile_codec import encode_profile, sealed
from driftline.spec import ModelMonitor
from driftline_operator.hub import registry, schema
from driftline_operator.hub.database import Database
from driftline_operator.hub.evaluation import store as kept
from driftline_operator.hub.evaluation.evaluate import MOST_LEFT_OUT, _segment
from driftline_operator.hub.evaluation.evaluate import evaluate as evaluating
from driftline_operator.hub.evaluation.series import HubSeries, samples
from driftline_operator.hub.evaluation.turns import Turns
from prometheus_client import CollectorRegistry, generate_latest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from tests.support.hubs import NOW, Store, document
from tests.support.profiles import reference

HOUR = 3600.0
LABELS = {"labels": {"ages": ["1h", "24h"], "features": []}, "windows": ["5m", "1h"]}


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def told(store: Store, profile: bytes | None = None, **spec: Any) -> None:
    """Change the store's monitor."""
    changed = registry.check("ml", "census", document(**{**LABELS, **spec}), profile, None)
    with store.database.writing() as connection:
        registry.put(connection, changed, NOW)
        store.known = registry.read(connection).find("ml", "census")


def rows(seed: int, count: int, start: float, flip: float = 0.0) -> Iterator[tuple[Prediction, Label]]:
    """Scores and labels that fit them; a share `flip` of the labels says the opposite."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(2, 3, count)
    labels = (rng.random(count) < scores) ^ (rng.random(count) < flip)
    for place, (score, label) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True)):
        at = start + place * HOUR / count
        identity = f"{seed}-{place}"
        said = "yes" if score >= 0.4 else "no"
        segments = {"sex": "f" if place % 3 else "m", "origin": "JFK"}
        yield (
            Prediction(id=identity, at=at, sequence=place, prediction=said, score=score, segments=segments),
            Label(id=identity, label="yes" if label else "no", at=at + 600.0),
        )


def sent(
    store: Store, seed: int, count: int, start: float, flip: float = 0.0
) -> list[tuple[Prediction, Label]]:
    pairs = list(rows(seed, count, start, flip))
    store.predict(*(each for each, _ in pairs), boot=f"boot-{seed}")
    store.label(*(each for _, each in pairs))
    return pairs


def evaluated(store: Store, now: float) -> HubReport:
    turns = Turns(store.database, 60.0, Clock(now))
    assert turns.turn({store.known.name: store.known}) == 1
    return turns.reports[store.known.name]


def found(report: HubReport) -> dict[str, tuple[str, str]]:
    return {each.aspect: (each.status, each.reason) for each in report.found}


def test_metrics_are_scikit_learns_on_the_same_rows(store: Store) -> None:
    told(store)
    start = NOW // HOUR * HOUR
    pairs = sent(store, 1, 3000, start)
    report = evaluated(store, start + 2 * HOUR)
    young = report.ages[0]
    assert (young.age, young.state, young.start, young.end) == ("1h", State.JUDGED, start, start + HOUR)
    truth = [each.label == "yes" for _, each in pairs]
    said = [each.prediction == "yes" for each, _ in pairs]
    scores = [each.score for each, _ in pairs]
    metrics = {name: each.value for name, each in young.overall.metrics.items()}
    assert metrics["auc"] == pytest.approx(roc_auc_score(truth, scores), abs=2e-4)
    assert metrics["averagePrecision"] == pytest.approx(average_precision_score(truth, scores), abs=2e-3)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, said), abs=1e-12)
    assert metrics["f1"] == pytest.approx(f1_score(truth, said), abs=1e-12)
    men = [place for place in range(len(pairs)) if place % 3 == 0]
    of_men = young.segments["sex"]["m"]
    assert of_men.labels == len(men)
    assert of_men.metrics["accuracy"].value == pytest.approx(
        accuracy_score([truth[k] for k in men], [said[k] for k in men]), abs=1e-12
    )
    assert young.coverage.value == 1.0
    assert report.ages[1].state is State.NO_DATA  # nothing is a day old


def test_late_labels_restate_a_window_at_the_age_at_which_they_were_known(store: Store) -> None:
    told(store)
    start = NOW // HOUR * HOUR
    pairs = list(rows(2, 1000, start))
    store.predict(*(each for each, _ in pairs))
    late = [Label(id=each.id, label=each.label, at=each.at + 2 * HOUR) for _, each in pairs[:300] if each.at]
    store.label(*(each for _, each in pairs[300:]), *late)
    first = evaluated(store, start + 25 * HOUR)
    hour, day = (next(each for each in first.ages if each.age == age) for age in ("1h", "24h"))
    assert (day.start, day.overall.labels) == (start, 1000)
    assert hour.overall.predictions == 0  # a window of now: nothing was predicted then
    then = evaluated_again(store, start + 2 * HOUR)
    assert then.ages[0].overall.labels == 700
    assert then.ages[0].coverage.value == pytest.approx(0.7)


def evaluated_again(store: Store, now: float) -> HubReport:
    """At another time, whatever was evaluated before."""
    with store.database.writing() as connection:
        connection.execute(sa.update(schema.evaluations).values(due=0.0))
    return evaluated(store, now)


def test_a_crossed_threshold_must_last_and_no_labels_are_no_pass(store: Store) -> None:
    limits = {
        "thresholds": [{"metric": "accuracy", "min": 0.6}],
        "sustain": {"windows": 2, "of": 3},
        "age": "1h",
    }
    told(store, performance={"window": "1h", **limits})
    start = NOW // HOUR * HOUR
    assert found(evaluated(store, start + 2 * HOUR))["Performance"] == ("Unknown", "NoData")
    store.predict(*(each for each, _ in rows(3, 50, start)), boot="unlabelled")
    assert found(evaluated_again(store, start + 2 * HOUR))["Performance"] == ("Unknown", "NoLabels")
    sent(store, 4, 1000, start + HOUR)
    assert found(evaluated_again(store, start + 3 * HOUR))["Performance"] == ("True", "WithinThresholds")
    sent(store, 5, 1000, start + 2 * HOUR, flip=0.6)
    once = evaluated_again(store, start + 4 * HOUR)
    assert found(once)["Performance"] == ("True", "WithinThresholds"), once.found  # once is no habit
    sent(store, 6, 1000, start + 3 * HOUR, flip=0.6)
    report = evaluated_again(store, start + 5 * HOUR)
    assert found(report)["Performance"] == ("False", "ThresholdCrossed")
    assert "accuracy" in report.found[0].message
    assert "2 of the last" in report.found[0].message


def test_too_few_labels_are_said(store: Store) -> None:
    told(store, performance={"window": "1h", "age": "1h", "thresholds": [{"metric": "auc", "min": 0.9}]})
    start = NOW // HOUR * HOUR
    sent(store, 7, 100, start)
    report = evaluated(store, start + 2 * HOUR)
    assert report.ages[0].state is State.INSUFFICIENT_LABELS
    assert found(report)["Performance"] == ("Unknown", "InsufficientLabels")


def test_groups_are_compared_and_small_ones_named(store: Store) -> None:
    once = {"windows": 1, "of": 1}
    unfair = {"minGroup": 100, "thresholds": {"demographicParityDifference": 0.1}, "sustain": once}
    told(store, fairness=unfair, performance={"window": "1h", "age": "1h"})
    start = NOW // HOUR * HOUR
    predictions, labels = [], []
    for place in range(1200):
        sex = "f" if place < 600 else "m" if place < 1190 else "x"
        said = "yes" if (place % 10 < (6 if sex == "f" else 3)) else "no"
        at = start + place
        segments = {"sex": sex, "origin": "JFK"}
        predictions.append(
            Prediction(id=f"g{place}", at=at, sequence=place, prediction=said, segments=segments)
        )
        labels.append(Label(id=f"g{place}", label=said, at=at + 1))
    store.predict(*predictions)
    store.label(*labels)
    report = evaluated(store, start + 2 * HOUR)
    fairness = report.fairness["sex"]
    assert fairness.left_out == {"x": 10}
    assert fairness.differences["demographicParityDifference"].value == pytest.approx(0.3, abs=1e-9)
    condition = next(each for each in report.found if each.aspect == "Fairness")
    assert (condition.status, condition.reason) == ("False", "ThresholdCrossed")
    assert "sex=x (10)" in condition.message


def labelled_profile() -> bytes:
    """Of 5,000 rows like those of `rows`, with their answers."""
    rng = np.random.default_rng(99)
    scores = rng.beta(2, 3, 5000)
    labels = (rng.random(5000) < scores).astype(np.float64)
    builder = LabelsBuilder(score_edges(scores, labels), regression=False, rows=5000)
    builder.add(scores, labels, {}, (scores >= 0.4).astype(np.float64))
    return encode_profile(sealed(replace(reference({"age": rng.normal(size=5000)}), labels=builder.build())))


def test_the_concept_has_changed_where_detector_and_test_agree_and_it_lasts(store: Store) -> None:
    asked = {"window": "1h", "age": "1h", "sustain": {"windows": 2, "of": 3}}
    told(store, labelled_profile(), performance=asked)
    start = NOW // HOUR * HOUR
    for hour in range(6):
        sent(store, 20 + hour, 1000, start + hour * HOUR)
    for hour in range(6, 10):
        sent(store, 20 + hour, 1000, start + hour * HOUR, flip=0.4)
    steady = evaluated(store, start + 7 * HOUR)
    assert found(steady)["ConceptDrift"] == ("False", "NoChange")
    assert steady.estimated is not None
    assert steady.estimated.state is State.JUDGED
    estimate, realised = steady.estimated.compared["accuracy"]
    assert estimate == pytest.approx(realised, abs=0.04)
    assert found(evaluated_again(store, start + 8 * HOUR))["ConceptDrift"] == ("False", "NoChange")  # once
    report = evaluated_again(store, start + 10 * HOUR)
    assert found(report)["ConceptDrift"] == ("True", "ConceptChanged"), report.concept
    assert report.concept is not None
    assert report.concept.detected_at is not None
    assert start + 6 * HOUR <= report.concept.detected_at <= start + 8 * HOUR
    assert report.estimated is not None
    estimate, realised = report.estimated.compared["accuracy"]
    assert estimate - realised > 0.1  # blind to it, and shown to be


def test_without_performance_no_change_of_the_concept_was_asked_for(store: Store) -> None:
    told(store)
    start = NOW // HOUR * HOUR
    sent(store, 30, 300, start)
    report = evaluated(store, start + 2 * HOUR)
    assert found(report)["ConceptDrift"] == ("Unknown", "NotAsked")
    told(store, performance={"window": "1h", "age": "1h"})
    assert found(evaluated_again(store, start + 2 * HOUR))["ConceptDrift"] == ("Unknown", "NoReference")


def test_feedback_and_kpis_are_of_the_newest_window(store: Store) -> None:
    told(store)
    start = NOW // HOUR * HOUR
    sent(store, 8, 400, start)
    store.judge(*(Feedback(id=f"8-{k}", thumb="up" if k < 30 else "down") for k in range(40)))
    store.count(*(Kpi(id=f"8-{k}", name="revenue", value=10.0) for k in range(100)))
    report = evaluated(store, start + HOUR)
    assert (report.feedback[""].up, report.feedback[""].down) == (30, 10)
    assert report.feedback[""].approval.value == pytest.approx(0.75)
    revenue = report.kpis["revenue"][""]
    assert (revenue.events, revenue.sum, revenue.mean.value) == (100, 1000.0, 10.0)
    assert revenue.rate.value == pytest.approx(0.25)


def test_a_monitor_is_evaluated_by_one_replica_and_seen_by_all(store: Store, url: str) -> None:
    told(store)
    now = NOW // HOUR * HOUR + 2 * HOUR
    sent(store, 9, 300, now - 2 * HOUR)
    monitors = {store.known.name: store.known}
    databases = Database(url), Database(url)
    first, second = (Turns(each, 60.0, Clock(now)) for each in databases)
    assert (first.turn(monitors), second.turn(monitors)) == (1, 0)
    assert second.reports == first.reports
    with store.database.reading() as connection:
        assert kept.read(connection, store.known.id) is not None
    for each in databases:
        each.close()


def test_every_series_is_in_the_table_and_cut_at_the_monitors_limit(store: Store) -> None:
    told(store)
    start = NOW // HOUR * HOUR
    sent(store, 10, 500, start)
    report = evaluated(store, start + 2 * HOUR)
    every = list(samples(report))
    collectors = CollectorRegistry()
    collectors.register(HubSeries(lambda: [(report, 20)]))
    text = generate_latest(collectors).decode()
    assert f'series_cut{{model="census",monitor="census",namespace="ml"}} {len(every) - 20}.0' in text
    exposed = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(exposed) == 20 + 1  # and the cut itself
    assert 'modelmonitor_performance_state{age="1h"' in text


def test_one_monitor_that_cant_be_evaluated_doesnt_stop_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(store)
    other = Store(store.database, "other")
    broken: list[Any] = []

    def evaluate(monitor: ModelMonitor, *given: Any) -> HubReport:
        if monitor.metadata.name == "census":
            raise ZeroDivisionError
        return evaluating(monitor, *given)

    monkeypatch.setattr("driftline_operator.hub.evaluation.turns.evaluate", evaluate)
    turns = Turns(store.database, 60.0, Clock(NOW), failed=broken.append)
    assert turns.turn({each.known.name: each.known for each in (store, other)}) == 1
    assert (list(turns.reports), broken) == ([("ml", "other")], [("ml", "census")])


def test_reports_are_seen_in_the_order_of_their_commits(store: Store, url: str) -> None:
    """`at` is when an evaluation began: a slow one would be missed by who has seen a later one."""
    slow, quick = Store(store.database, "slow"), Store(store.database, "quick")
    until = NOW + 300.0
    with store.database.writing() as connection:
        for each in (slow, quick):
            assert kept.claim(connection, each.monitor, NOW, until)
        assert kept.keep(connection, quick.monitor, HubReport("ml", "quick", "m", NOW + 5), until, NOW + 60)
    with store.database.reading() as connection:
        first = kept.newer(connection, 0)
    with store.database.writing() as connection:
        assert kept.keep(connection, slow.monitor, HubReport("ml", "slow", "m", NOW), until, NOW + 60)
    with store.database.reading() as connection:
        second = kept.newer(connection, first.revision)
        assert kept.newer(connection, second.revision) == kept.News([], second.revision)
    assert [[each.monitor for each in found.reports] for found in (first, second)] == [["quick"], ["slow"]]


def test_a_claim_that_has_ended_keeps_nothing(store: Store) -> None:
    report = HubReport("ml", "census", "m", NOW)
    with store.database.writing() as connection:
        assert kept.claim(connection, store.monitor, NOW, NOW + 300)
        assert not kept.claim(connection, store.monitor, NOW + 299, NOW + 599)
        assert kept.claim(connection, store.monitor, NOW + 300, NOW + 600)
        assert not kept.keep(connection, store.monitor, report, NOW + 300, NOW + 360)
        assert kept.read(connection, store.monitor) is None
        assert kept.keep(connection, store.monitor, report, NOW + 600, NOW + 660)


def test_a_report_says_when_the_next_is_due(store: Store) -> None:
    told(store)
    ticks = iter([0.0, 100.0, 100.0, 200.0])
    turns = Turns(store.database, 60.0, Clock(NOW), timer=lambda: next(ticks))
    assert turns.turn({store.known.name: store.known}) == 1
    assert turns.reports[store.known.name].due == NOW + 10 * 100.0


def test_groups_too_small_to_compare_are_counted_and_the_largest_named() -> None:
    """Twenty thousand names would be more than the controller reads."""
    small = {f"group-{n:05}": n % 30 for n in range(20_000)}
    said = _segment(Fairness({}, {}, small, None))
    assert (len(said.left_out), set(said.left_out.values())) == (MOST_LEFT_OUT, {29})
    assert said.left_out_groups == 20_000
