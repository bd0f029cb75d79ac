"""A candidate's predictions beside the live ones: what labels say of the pair, and of nobody else."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from driftline.events import Label, Prediction
from driftline.performance.bins import ScoreBins
from driftline.shadow.gate import DAY
from driftline.shadow.performance import Labelled, of_classes, of_numbers, of_scores
from driftline.shadow.runtime import LIVE_UNANSWERED, ShadowId
from driftline.shadow.values import Values
from driftline_operator.hub.aggregates import By, Classes, open_window, sums
from driftline_operator.hub.aggregates.pairs import labelled
from driftline_operator.hub.database import Database

from tests.hub.test_api import envelope, one
from tests.support.hub_api import CENSUS, Api
from tests.support.hubs import NOW, Store

YES = Classes.of("yes")
SHADOW = ShadowId(uid="0f1e-2d3c", name="next", generation=2)
ROWS = 1_500


def told(
    store: Store, variant: str, before: float = NOW + 1e6, kind: Classes | float = YES, age: float = 1e5
) -> Labelled:
    with store.database.reading() as connection:
        return labelled(connection, store.monitor, variant, before, age, kind)


def classified(store: Store) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Requests of three rows, two thirds of them labelled; truth and both scores of every row."""
    rng = np.random.default_rng(5)
    truth = rng.random(ROWS) < 0.4
    live, other = (np.clip(truth * 0.4 + rng.random(ROWS) * 0.6, 0, 1) for _ in range(2))
    for variant, boot, scores in (("", "live", live), (SHADOW.variant, "candidate", other)):
        store.predict(
            *(
                Prediction(
                    id=f"id{n}", at=NOW + n, sequence=n // 3, row=n % 3, variant=variant,
                    prediction="yes" if scores[n] > 0.5 else "no", score=float(scores[n]),
                )
                for n in range(ROWS)
            ),
            boot=boot,
        )  # fmt: skip
    store.label(
        *(Label(id=f"id{n}", label="yes" if truth[n] else "no", at=NOW + 1) for n in range(ROWS) if n % 3)
    )
    return truth, live, other


def test_classes_and_scores_are_those_of_the_labelled_rows(store: Store) -> None:
    truth, live, other = classified(store)
    found = told(store, SHADOW.variant)
    chosen = np.arange(ROWS) % 3 > 0
    assert found.rows == chosen.sum() == 1_000
    request = np.repeat(np.arange(ROWS // 3), 2)
    right = [(scores > 0.5)[chosen] == truth[chosen] for scores in (live, other)]
    wanted = of_classes(request, *right).accuracy
    assert found.performance().accuracy.counts.tolist() == wanted.counts.tolist()
    auc = of_scores(truth[chosen], live[chosen], other[chosen]).auc
    assert auc.blocks >= 1
    assert found.auc == pytest.approx(tuple(auc))
    assert told(store, SHADOW.variant, before=NOW + 300).rows == 200
    assert told(store, ShadowId(uid=SHADOW.uid, name="", generation=1).variant).rows == 0


def test_a_corrected_label_is_the_one_that_counts(store: Store) -> None:
    truth, *_ = classified(store)
    before = told(store, SHADOW.variant).performance().accuracy.counts.sum()
    known = told(store, SHADOW.variant, age=30).accuracy
    store.label(Label(id="id1", label="no" if truth[1] else "yes", at=NOW + 50))
    assert told(store, SHADOW.variant, age=30).accuracy == known, "at that age another one was known"
    found = told(store, SHADOW.variant)
    assert found.rows == 1_000
    assert found.accuracy != known
    assert found.performance().accuracy.counts.sum() == before


def test_the_models_own_performance_knows_nothing_of_it(store: Store) -> None:
    truth, live, _ = classified(store)
    bins = ScoreBins(np.linspace(0, 1, 11))
    with (
        store.database.reading() as connection,
        open_window(connection, store.monitor, NOW, NOW + ROWS, bins, numeric=False) as window,
    ):
        (found,) = sums.binary(window, YES, By()).values()
    assert found.counts.sum() == 1_000
    chosen = np.arange(ROWS) % 3 > 0
    right = int(((live > 0.5) == truth)[chosen].sum())
    assert found.counts[0, 0].sum() + found.counts[1, 1].sum() == right


def test_labels_that_come_sooner_for_one_class_count_no_more(store: Store) -> None:
    """A candidate that always says yes, beside a model that is always right: it loses half. A `yes` is known
    after 10 s, a `no` after 1,000, so among the labels that have come by now there is more `yes`. An age that
    is too short for `no` sees none at all: no figure can know of labels that nobody waits for.
    """
    truth = ["yes" if n % 2 else "no" for n in range(400)]
    for variant, boot in (("", "live"), (SHADOW.variant, "candidate")):
        store.predict(
            *(
                Prediction(
                    id=f"id{n}", at=NOW + 10 * n, sequence=n, variant=variant,
                    prediction="yes" if variant else truth[n],
                )
                for n in range(400)
            ),
            boot=boot,
        )  # fmt: skip
    now = NOW + 4_000
    come = [NOW + 10 * n + (10 if truth[n] == "yes" else 1_000) for n in range(400)]
    store.label(*(Label(id=f"id{n}", label=truth[n], at=come[n]) for n in range(400) if come[n] <= now))
    for age, rows, loss in ((1_000.0, 301, 0.5), (100.0, 195, 0.0)):
        found = told(store, SHADOW.variant, now - age + 0.5, age=age)
        accuracy = found.performance().accuracy
        assert (found.rows, found.age) == (rows, age)
        assert float(accuracy.points @ accuracy.weights) / accuracy.count == pytest.approx(loss, abs=0.01)
    mixed = told(store, SHADOW.variant, now, age=1e9).performance().accuracy
    assert float(mixed.points @ mixed.weights) / mixed.count < 0.45


def both_answer(
    store: Store, live: Sequence[str | float], candidate: Sequence[str | float], labels: Sequence[str | float]
) -> None:
    """A request each, at one moment, and its label."""
    for variant, boot, answers in (("", "live", live), (SHADOW.variant, "candidate", candidate)):
        sent = [
            Prediction(id=f"id{n}", at=NOW, sequence=n, prediction=answer, variant=variant)
            for n, answer in enumerate(answers)
        ]
        store.predict(*sent, boot=boot)
    store.label(*(Label(id=f"id{n}", label=label) for n, label in enumerate(labels)))


def test_numbers_are_compared_within_the_clip(database: Database) -> None:
    store = Store(database, "taxi", "regression")
    live, other, truth = [1.0, 2.0, 3.0], [1.5, 9.0, 3.0], [1.0, 2.0, 5.0]
    both_answer(store, live, other, truth)
    found = told(store, SHADOW.variant, kind=4.0).performance().error
    wanted = of_numbers(np.arange(3), np.array(truth), np.array(live), np.array(other), 4.0).error
    assert found is not None
    assert wanted is not None
    assert (found.counts.tolist(), found.sums.tolist()) == (wanted.counts.tolist(), wanted.sums.tolist())


def test_rows_that_one_side_leaves_out_count_against_it(database: Database) -> None:
    """The live model's own log keeps predictions only: the candidate's rows say that it gave none."""
    store = Store(database, "taxi", "regression")
    live, other = [1.0, 1.0, None, None, 1.0], [1.0, None, 1.0, None, None]
    for n, (mine, theirs) in enumerate(zip(live, other, strict=True)):
        sent = Prediction(id=f"id{n}", at=NOW, sequence=n, prediction=mine)
        if mine is not None:
            store.predict(sent, boot="live")
        version = LIVE_UNANSWERED if mine is None else ""
        sent = msgspec.structs.replace(sent, prediction=theirs, variant=SHADOW.variant, version=version)
        store.predict(sent, boot="candidate")
    # A live prediction that has yet to come is no missing answer.
    store.predict(Prediction(id="id9", at=NOW, sequence=9, variant=SHADOW.variant), boot="candidate")
    store.label(*(Label(id=f"id{n}", label=1.5) for n in range(10)))
    found = told(store, SHADOW.variant, kind=4.0)
    assert (found.rows, found.unanswered) == (4, 1)
    error = found.performance().error
    assert error is not None
    assert (
        error.counts.tolist() == Values.of(np.array([0.0, 4.0, -4.0, 4.0]), 4.0, signed=True).counts.tolist()
    )
    assert told(store, SHADOW.variant, NOW, 4.0).rows == 0


def test_classes_and_scores_that_one_side_leaves_out(store: Store) -> None:
    rng = np.random.default_rng(7)
    truth = rng.random(ROWS) < 0.4
    scores = np.clip(truth * 0.4 + rng.random(ROWS) * 0.6, 0, 1)
    hard = (scores > 0.5) != truth
    for variant, boot in (("", "live"), (SHADOW.variant, "candidate")):
        store.predict(
            *(
                Prediction(
                    id=f"id{n}", at=NOW + n, sequence=n, variant=variant,
                    prediction=None if left else "yes" if scores[n] > 0.5 else "no",
                    score=None if left else float(scores[n]),
                )
                for n in range(ROWS)
                for left in [bool(variant) and bool(hard[n])]
            ),
            boot=boot,
        )  # fmt: skip
    store.label(*(Label(id=f"id{n}", label="yes" if truth[n] else "no", at=NOW) for n in range(ROWS)))
    found = told(store, SHADOW.variant)
    assert (found.rows, found.unanswered) == (ROWS, 0)
    wanted = of_scores(truth, scores, np.where(hard, np.nan, scores)).auc
    assert found.auc == pytest.approx(tuple(wanted))
    assert wanted.total < 0
    accuracy = found.performance().accuracy
    assert (accuracy.count, float(accuracy.points @ accuracy.weights)) == (ROWS, 0.0)  # wrong either way


@pytest.mark.parametrize(
    ("classes", "live", "candidate", "labels", "rows", "losses"),
    [
        # The label feed says true where the models say 1: the same class, as in the model's own accuracy.
        (Classes.of("1"), "1100", "1010", ("true", "false", "true", "false"), 4, (0, -1, -1, 0)),
        (Classes.of("y"), "ynny", "ynxy", ("y", "n", "n", "n"), 4, (0, 0, 0, 0)),  # n and x are "not y"
        (Classes.of("y", ("y", "n", "x")), "ynny", "ynxy", ("y", "n", "n", "n"), 4, (0, 0, 1, 0)),
        (Classes.of(None, ("a", "b")), "abab", "abzz", ("a", "b", "?", "b"), 3, (0, 0, 1)),  # ? is no class
    ],
)  # fmt: skip
def test_names_mean_what_they_mean_in_the_models_own_figures(
    store: Store,
    classes: Classes,
    live: str,
    candidate: str,
    labels: tuple[str, ...],
    rows: int,
    losses: tuple[int, ...],
) -> None:
    both_answer(store, live, candidate, labels)
    found = told(store, SHADOW.variant, kind=classes)
    wanted = Values.of(np.array(losses, float), 1.0, signed=True)
    assert found.rows == rows
    assert found.accuracy.counts == wanted.counts.tolist()


async def test_over_http(api: Api) -> None:
    at = NOW - 8 * DAY  # the longest age of labels is seven days
    theirs = one(at=at, variant=SHADOW.variant, prediction="no", score=0.1)
    await api.answer("POST", "/v1/predictions", json=envelope(one(at=at)))
    await api.answer("POST", "/v1/predictions", json=envelope(theirs, boot="c"))
    await api.answer("POST", "/v1/labels", json={"id": "a", "label": "yes", "at": at + 60}, params=CENSUS)
    young = [one("b", sequence=1), one("b", sequence=1, variant=SHADOW.variant)]
    for boot, each in zip(("a", "c"), young, strict=True):
        await api.answer("POST", "/v1/predictions", json=envelope(each, boot=boot))
    await api.answer("POST", "/v1/labels", json={"id": "b", "label": "yes"}, params=CENSUS)
    asked = CENSUS | {"shadow": SHADOW.uid, "generation": "2"}
    found = await api.answer("GET", "/v1/shadow", params=asked)
    assert (found["rows"], sum(found["accuracy"]["counts"])) == (1, 1)
    assert found["age"] == 7 * DAY
    assert (await api.answer("GET", "/v1/shadow", 400, params=CENSUS))["field"] == "shadow"
    assert (await api.answer("GET", "/v1/shadow", params=asked | {"before": str(at - 60)}))["rows"] == 0
