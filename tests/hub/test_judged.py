"""What the hub must not say: no verdict without data, no class by guess, no figure of other rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from driftline.events import MOST_WEIGHT, Kpi, Label, Prediction
from driftline.performance.aggregates import RegressionSums
from driftline.performance.bins import ScoreBins
from driftline.performance.report import HubReport, State
from driftline_operator.hub.aggregates import By, Classes, Measure, measured, open_window, outcomes
from driftline_operator.hub.evaluation import figures
from driftline_operator.hub.evaluation.asked import classes_of
from driftline_operator.hub.evaluation.series import samples

from tests.hub.test_evaluation import (
    HOUR,
    evaluated,
    evaluated_again,
    found,
    labelled_profile,
    rows,
    sent,
    told,
)
from tests.support.hubs import NOW, Store, document

START = NOW // HOUR * HOUR
JUDGED = {"window": "1h", "age": "1h", "thresholds": [{"metric": "accuracy", "min": 0.6}]}


def schema(**prediction: Any) -> dict[str, Any]:
    of: dict[str, Any] = document()["spec"]["schema"]
    return of | {"prediction": {"name": "outcome", "score": "score", **prediction}}


def series(report: HubReport) -> dict[tuple[str, ...], float]:
    return {(each.name, *each.labels): each.value for each in samples(report)}


@pytest.mark.parametrize("weight", [0.0, 1e-200, 0.99, 2 * MOST_WEIGHT, 1e308])
def test_a_weight_is_of_a_sample(weight: float) -> None:
    body = msgspec.json.encode({"id": "a", "at": 1, "weight": weight})
    with pytest.raises(msgspec.ValidationError, match="weight"):
        msgspec.json.decode(body, type=Prediction)


def test_the_largest_weight_can_be_added_up(store: Store) -> None:
    told(store, performance=JUDGED)
    pairs = list(rows(1, 300, START))
    heavy = [
        msgspec.structs.replace(each, weight=MOST_WEIGHT if n % 2 else 1.0)
        for n, (each, _) in enumerate(pairs)
    ]
    store.predict(*heavy)
    store.label(*(label for _, label in pairs))
    store.count(*(Kpi(id=each.id, name="revenue", value=1e60) for each in heavy[:9]))
    report = evaluated(store, START + 2 * HOUR)
    assert report.ages[0].overall.metrics["accuracy"].value is not None


def test_without_a_positive_class_yes_and_no_are_no_classes(store: Store) -> None:
    told(store, schema=schema(), performance=JUDGED)
    sent(store, 2, 1000, START)
    report = evaluated(store, START + 2 * HOUR)
    young = report.ages[0]
    assert (young.state, young.unknown_labels, young.unknown_predictions) == (State.UNKNOWN_CLASS, 1000, 1000)
    assert not any(each.value is not None for each in young.overall.metrics.values())
    assert found(report)["Performance"] == ("Unknown", "UnknownClass")
    assert "'no'" in report.found[0].message
    assert series(report)["label_unknown_class", "1h"] == 1000


@pytest.mark.parametrize(("yes", "no"), [(1, 0), (True, False), ("true", "false")])
def test_zero_and_one_say_themselves_which_is_positive(store: Store, yes: Any, no: Any) -> None:
    told(store, schema=schema(), performance=JUDGED)
    said = [(yes if n % 4 else no, yes if n % 2 else no) for n in range(400)]
    store.predict(
        *(Prediction(id=f"z{n}", at=START + n, sequence=n, prediction=p) for n, (p, _) in enumerate(said))
    )
    store.label(*(Label(id=f"z{n}", label=label, at=START + n + 1) for n, (_, label) in enumerate(said)))
    metrics = evaluated(store, START + 2 * HOUR).ages[0].overall.metrics
    assert metrics["recall"].value == 1.0
    assert metrics["precision"].value == pytest.approx(200 / 300)


def test_names_of_no_class_are_counted_and_never_negative(store: Store) -> None:
    told(store, schema=schema(classes=["no", "yes"]), performance=JUDGED)
    pairs = list(rows(3, 900, START))
    pairs = [(each, label) for each, label in pairs if label.label == "yes"]
    store.predict(*(each for each, _ in pairs))
    odd = [
        msgspec.structs.replace(label, label="Yes " if n % 3 == 0 else "yes")
        for n, (_, label) in enumerate(pairs)
    ]
    store.label(*odd)
    report = evaluated(store, START + 2 * HOUR)
    young = report.ages[0]
    assert young.unknown_labels == sum(each.label == "Yes " for each in odd)
    assert young.overall.metrics["baseRate"].value == 1.0
    assert young.overall.metrics["specificity"].reason == "NoNegatives"


def test_several_classes_leave_out_what_is_none_of_them(store: Store) -> None:
    told(store, schema=schema(score=None, classes=["a", "b", "c"]), performance=JUDGED)
    classes = classes_of(store.known.monitor.spec)
    assert classes == Classes((), ("a", "b", "c"))
    said = [("abc"[n % 3], "abc"[n % 3] if n % 2 else "A") for n in range(600)]
    store.predict(
        *(Prediction(id=f"m{n}", at=START + n, sequence=n, prediction=p) for n, (p, _) in enumerate(said))
    )
    store.label(*(Label(id=f"m{n}", label=label, at=START + n + 1) for n, (_, label) in enumerate(said)))
    young = evaluated(store, START + 2 * HOUR).ages[0]
    assert young.overall.classes == ["a", "b", "c"]
    assert (young.unknown_labels, young.overall.metrics["accuracy"].value) == (300, 1.0)


def test_a_newest_window_without_the_metric_is_no_pass(store: Store) -> None:
    """Its predictions were scores alone: the older window's accuracy is none of its own."""
    told(store, performance=JUDGED)
    sent(store, 4, 1000, START)
    pairs = list(rows(5, 300, START + HOUR))
    store.predict(*(msgspec.structs.replace(each, prediction=None) for each, _ in pairs), boot="scores")
    store.label(*(label for _, label in pairs))
    report = evaluated(store, START + 3 * HOUR)
    assert report.ages[0].overall.labels == 300
    assert found(report)["Performance"] == ("Unknown", "Undefined")


def test_rare_positives_are_judged_where_the_window_has_labels_enough(store: Store) -> None:
    limits = {"thresholds": [{"metric": "recall", "min": 0.5}], "sustain": {"windows": 1, "of": 1}}
    told(store, performance=JUDGED | limits)
    names = ["yes" if n % 20 == 0 else "no" for n in range(3000)]
    store.predict(
        *(Prediction(id=f"r{n}", at=START + n, sequence=n, prediction="no") for n in range(len(names)))
    )
    store.label(*(Label(id=f"r{n}", label=name, at=START + n + 1) for n, name in enumerate(names)))
    assert found(evaluated(store, START + 2 * HOUR))["Performance"] == ("False", "ThresholdCrossed")


def test_an_estimate_is_compared_on_the_rows_that_have_labels(store: Store) -> None:
    """Labels came of sure rows only, which are right more often than all."""
    told(store, labelled_profile(), performance=JUDGED)
    pairs = list(rows(6, 3000, START))
    store.predict(*(each for each, _ in pairs))
    store.label(*(label for each, label in pairs if each.score is not None and abs(each.score - 0.4) > 0.25))
    report = evaluated(store, START + 2 * HOUR)
    assert report.estimated is not None
    assert report.estimated.state is State.NO_DATA  # the newest window is empty, and the judged one compared
    estimate, realised = report.estimated.compared["accuracy"]
    assert estimate == pytest.approx(realised, abs=0.03)
    assert report.estimated.within["accuracy"] is True
    assert series(report)["estimated_performance_within", "accuracy"] == 1.0


def test_labels_far_from_zero_keep_their_digits(database: Any) -> None:
    store = Store(database, kind="regression")
    rng = np.random.default_rng(0)
    noise, error = rng.normal(size=(2, 800))
    r2 = []
    for offset in (0.0, 1e8):
        pairs = [(float(offset + y + 0.5 * e), float(offset + y)) for y, e in zip(noise, error, strict=True)]
        boot, start = f"b{offset}", START + (offset > 0) * HOUR
        store.predict(
            *(
                Prediction(id=f"{boot}{n}", at=start + n, sequence=n, prediction=p)
                for n, (p, _) in enumerate(pairs)
            ),
            boot=boot,
        )
        store.label(*(Label(id=f"{boot}{n}", label=y, at=start + n + 1) for n, (_, y) in enumerate(pairs)))
        with (
            store.database.reading() as connection,
            open_window(
                connection, store.monitor, start, start + HOUR, ScoreBins.default(), numeric=True
            ) as window,
        ):
            (sums,) = measured(window, Measure("regression", Classes(), 10), By()).values()
        assert isinstance(sums, RegressionSums)
        r2.append(figures.measured(sums)["r2"])
    near, far = r2
    assert near.value is not None
    assert near.low is not None
    assert (far.value, far.low, far.high) == pytest.approx((near.value, near.low, near.high), abs=1e-6)


def unequal(store: Store, hour: int, *, unlike: bool) -> None:
    """A window in which women are chosen twice as often; only those who are chosen get a label."""
    start = START + hour * HOUR
    predictions, labels = [], []
    for place in range(1200):
        sex = "f" if place % 2 else "m"
        said = "yes" if place // 2 % 10 < (6 if sex == "f" or not unlike else 3) else "no"
        identity = f"h{hour}-{place}"
        predictions.append(
            Prediction(id=identity, at=start + place, sequence=place, prediction=said, segments={"sex": sex})
        )
        if said == "yes":
            labels.append(Label(id=identity, label="yes", at=start + place + 1))
    store.predict(*predictions, boot=f"hour-{hour}")
    store.label(*labels)


def test_parity_is_of_all_predictions_and_must_last(store: Store) -> None:
    limits = {"thresholds": {"demographicParityDifference": 0.1}, "sustain": {"windows": 2, "of": 3}}
    only = schema(positive="yes") | {"segments": ["sex"]}
    told(store, schema=only, performance=JUDGED, fairness=limits)
    for hour, unlike in enumerate([False, True, True]):
        unequal(store, hour, unlike=unlike)
    once = evaluated(store, START + 3 * HOUR)
    parity = once.fairness["sex"].differences["demographicParityDifference"]
    assert parity.value == pytest.approx(0.3, abs=1e-9)  # of labelled rows it would be 0
    assert found(once)["Fairness"] == ("True", "WithinThresholds")  # once is no habit
    twice = evaluated_again(store, START + 4 * HOUR)
    assert found(twice)["Fairness"] == ("False", "ThresholdCrossed")
    assert series(twice)["hub_verdict", "Fairness", "False"] == 1.0
    assert series(twice)["fairness_state", "sex", "Judged"] == 1.0
    empty = evaluated_again(store, START + 9 * HOUR)
    assert found(empty)["Fairness"] == ("Unknown", "NoData")


def test_a_verdict_that_is_none_has_no_series(store: Store) -> None:
    told(store, performance=JUDGED)
    sent(store, 7, 500, START)
    said = series(evaluated(store, START + 2 * HOUR))
    assert ("concept_drift_detected",) not in said
    assert said["concept_state", "NoReference"] == 1.0
    assert said["hub_verdict", "ConceptDrift", "Unknown"] == 1.0
    assert said["hub_verdict", "Performance", "True"] == 1.0
    assert said["performance_state", "1h", "Judged"] == 1.0


def test_errors_are_replayed_as_far_as_labels_are_complete(store: Store) -> None:
    """Half of the labels take half an hour: buckets younger than that would hold the early ones alone."""
    told(store, labelled_profile(), performance=JUDGED)
    pairs = list(rows(8, 3600, START))
    store.predict(*(each for each, _ in pairs))
    late = [
        msgspec.structs.replace(label, at=each.at + (1800.0 if n % 2 else 1.0))
        for n, (each, label) in enumerate(pairs)
    ]
    store.label(*late)
    now = START + 2 * HOUR
    report = evaluated(store, now)
    assert report.concept is not None
    assert report.concept.watermark is not None
    assert now - 1800 * 1.2 <= report.concept.watermark <= now - 1800
    recent = list(rows(9, 600, now - 600))
    store.predict(*(each for each, _ in recent), boot="recent")
    store.label(
        *(
            Label(id=each.id, label="yes" if each.prediction == "no" else "no", at=each.at + 1)
            for each, _ in recent
        )
    )
    gathered_again = evaluated_again(store, now)
    assert gathered_again.concept is not None
    assert gathered_again.concept.detected_at is None  # all wrong, but younger than the watermark


def test_kpis_have_their_intervals(store: Store) -> None:
    told(store)
    sent(store, 11, 400, START)
    store.count(*(Kpi(id=f"11-{k}", name="revenue", value=10.0) for k in range(100)))
    report = evaluated(store, START + HOUR)
    revenue = report.kpis["revenue"][""]
    assert revenue.count.value == 100
    assert (revenue.count.low, revenue.count.high) == pytest.approx((81.4, 121.6), abs=0.1)  # Garwood's
    assert revenue.per_second.value == pytest.approx(100 / HOUR)
    assert revenue.total.low is not None
    assert revenue.total.low < 1000 < (revenue.total.high or 0)
    said = series(report)
    assert said["kpi_per_second", "revenue", ""] == pytest.approx(100 / HOUR)
    assert said["kpi_events_low", "revenue", ""] == pytest.approx(81.4, abs=0.1)


def test_diagnoses_are_said(store: Store) -> None:
    told(store)
    pairs = list(rows(12, 2000, START))
    store.predict(*(each for each, _ in pairs))
    store.label(
        *(
            label
            for each, label in pairs
            if (each.score or 0) > 0.5 or int(each.id.partition("-")[2]) % 3 == 0
        )
    )
    report = evaluated(store, START + 2 * HOUR)
    young = report.ages[0]
    assert young.missing.psi_expected is not None
    assert sum(each.predictions for each in young.missing.by_score) == 2000
    shares = [each.share.value or 0.0 for each in young.missing.by_score]
    assert shares[-1] == 1.0 > shares[0]
    assert (young.missing.by_score[0].low, young.missing.by_score[-1].high) == (None, None)
    assert {"slope", "intercept", "in_the_large"} == set(young.calibration)
    assert young.calibration_noise is not None
    assert young.segments["sex"]["f"].coverage.value is not None
    assert ("performance_auc_bound", "1h", "sex", "f") in series(report)


def test_post_stratified_figures_know_of_weights(store: Store) -> None:
    """Half the rows are sampled at 1 in 10; labels are missing at random: nothing must be corrected."""
    told(store)
    pairs = list(rows(13, 4000, START))
    made = [
        msgspec.structs.replace(each, weight=10.0 if (each.score or 0) < 0.4 else 1.0) for each, _ in pairs
    ]
    store.predict(*made)
    store.label(*(label for n, (_, label) in enumerate(pairs) if n % 2))
    young = evaluated(store, START + 2 * HOUR).ages[0]
    naive, corrected = young.overall.metrics["baseRate"], young.missing.post_stratified["baseRate"]
    assert corrected.value == pytest.approx(naive.value, abs=0.01)


def test_no_name_is_asked_for_where_any_is_a_class(store: Store) -> None:
    told(store)
    sent(store, 14, 10, START)
    with (
        store.database.reading() as connection,
        open_window(
            connection, store.monitor, START, START + HOUR, ScoreBins.default(), numeric=False
        ) as window,
    ):
        assert not outcomes.unknown(window, Classes.of("yes"), None)
        assert outcomes.unknown(window, Classes.of("yes", ("yes", "maybe")), None).example == "no"
