"""Measures the metrics from sums against libraries on rows: the tables of docs/performance.md.

    python -m benchmarks.performance_accuracy [--into docs/performance.md]

Prints them, or puts them in place of what stands under the page's last heading. About half a minute; the
same on every run but for the last table, which is of time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from driftline.columns import Floats
from driftline.labels import LabelsBuilder, ScoreLabels, score_edges
from driftline.performance.binary import binary_performance
from driftline.performance.bins import ScoreBins
from driftline.performance.detectors import Adwin, HddmA, Units
from driftline.performance.estimated import Calibrator, estimated_performance
from driftline.performance.from_rows import (
    binary_sums,
    coverage_counts,
    mean_sums,
    multiclass_sums,
    prediction_counts,
    regression_sums,
)
from driftline.performance.missing import post_stratified
from driftline.performance.multiclass import multiclass_performance
from driftline.performance.regression import regression_metrics
from numpy.typing import NDArray

from tests.support.labelled import columns, floats, ints, reference_bins
from tests.support.oracle import CASES, case_ids, expected

HEADING = "## Measured"

RANKED = """\
Differences from scikit-learn on the same rows. Bins are those of a reference that holds every second row; the
last two columns are for no reference at all (the logit scale alone).
"""

DETECTED = """
Change detectors: false alarms in 10,000 independent rows (of 400,000 rows), and rows until a jump of the
error from .1 to .3 is found (20 runs).
"""

Row = Sequence[str]


def table(head: Row, rows: Iterator[Row]) -> str:
    """Markdown."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def error(found: float | None, exact: float) -> str:
    """The absolute difference; what rounding alone makes is 0."""
    if found is None:
        return "none"
    apart = abs(found - exact)
    return "0" if apart < 1e-9 else f"{apart:.0e}"


def binary_rows() -> Iterator[Row]:
    """Each case against scikit-learn: bins of a reference (half of the rows), and of no reference at all."""
    for case in case_ids("binary"):
        data, oracle = columns(case), expected(case)["sklearn"]
        scores = floats(data["score"])
        labels, predicted = ints(data["y_true"]), ints(data["y_pred"])
        found, default = (
            binary_performance(binary_sums(bins, labels, predicted, scores))
            for bins in (reference_bins(scores), ScoreBins.default())
        )
        yield (
            f"`{case}`",
            f"{len(scores):,}",
            error(found.metrics["auc"].value, oracle["roc_auc"]),
            f"{found.auc_bound or 0:.0e}",
            error(found.metrics["average_precision"].value, oracle["average_precision"]),
            error(found.metrics["log_loss"].value, oracle["log_loss"]),
            error(found.metrics["f1"].value, oracle["f1"]),
            error(default.metrics["auc"].value, oracle["roc_auc"]),
            error(default.metrics["average_precision"].value, oracle["average_precision"]),
        )


def other_rows() -> Iterator[Row]:
    """The largest difference over a case's metrics."""
    data, oracle = columns("l_covtype_multi"), expected("l_covtype_multi")["sklearn"]
    probabilities = {str(k): floats(data[f"p{k}"]) for k in range(7)}
    found = multiclass_performance(multiclass_sums(data["y_true"], data["y_pred"], probabilities)).metrics
    names = {"auc_macro": "roc_auc_ovr_macro", "auc_weighted": "roc_auc_ovr_weighted"}
    names |= {name: name for name in ("accuracy", "f1_macro", "f1_weighted", "precision_macro", "log_loss")}
    for name, key in names.items():
        yield "`l_covtype_multi`", name, error(found[name].value, oracle[key])
    for case in case_ids("regression"):
        data, oracle = columns(case), expected(case)["sklearn"]
        y, p = floats(data["y_true"]), floats(data["y_pred"])
        measured = regression_metrics(regression_sums(y, p, float(y[0])))
        for name in ("mae", "rmse", "r2"):
            yield f"`{case}`", name, error(measured[name].value, oracle[name])


def reference_labels(scores: Floats, labels: Floats, edges: Floats) -> ScoreLabels:
    """What a profile keeps of them."""
    builder = LabelsBuilder(edges, regression=False)
    builder.add(scores, labels, {})
    found = builder.build()
    if not isinstance(found, ScoreLabels):
        raise TypeError("the case has no labels")
    return found


def estimate_rows() -> Iterator[Row]:
    """CBPE against NannyML's, and both against what was realised: the largest over nine chunks."""
    chunks = json.loads((CASES / "p_ma_cbpe.json").read_text())["expected"]["nannyml"]["cbpe"]["chunks"]
    with np.load(CASES / "p_ma_cbpe.npz") as data:
        scores, labels = data["ref_proba"], data["ref_y"].astype(np.float64)
        window, predicted = data["cur_proba"], data["cur_pred"].astype(np.int64)
    made = [
        Calibrator.of(reference_labels(scores, labels, edges))
        for edges in (score_edges(scores, labels), score_edges(scores))
    ]
    names = {
        "accuracy": "accuracy",
        "precision": "precision",
        "recall": "recall",
        "f1": "f1",
        "auc": "roc_auc",
    }
    for name, key in names.items():
        apart: list[list[float]] = [[], [], []]
        for place, chunk in enumerate(chunks):
            rows = slice(place * 5000, (place + 1) * 5000)
            for kept, of in zip(apart, made, strict=False):
                value = _estimated(of, name, window[rows], predicted[rows])
                kept.append(abs(value - chunk[key]["estimated"]))
            value = _estimated(made[0], name, window[rows], predicted[rows])
            apart[2].append(abs(value - chunk[key]["realized"]))
        yield name, *(f"{max(kept):.0e}" for kept in apart[:2]), f"{max(apart[2]):.3f}"


def _estimated(of: Calibrator | None, name: str, scores: Floats, predicted: NDArray[np.int64]) -> float:
    if of is None:
        raise TypeError("the reference has no labels")
    value = estimated_performance(prediction_counts(of.bins, scores, predicted), of).metrics[name].value
    return float("nan") if value is None else value


def missing_rows() -> Iterator[Row]:
    """Accuracy, with labels that depend on the score and on the outcome."""
    for what in ("on the score", "on the outcome"):
        rng = np.random.default_rng(1)
        logits = rng.normal(0, 1.75, 20_000)
        scores = 1 / (1 + np.exp(-logits))
        labels, predicted = (rng.random(20_000) < scores).astype(int), (scores > 0.5).astype(int)
        probability = np.clip(1.6 * np.abs(scores - 0.5) ** 1.2, 0.03, 0.9)
        if what == "on the outcome":
            probability = np.where(labels == predicted, 0.6, 0.2)
        held = rng.random(20_000) < probability
        bins = reference_bins(scores)
        sums = binary_sums(bins, labels[held], predicted[held], scores[held])
        naive = binary_performance(sums).metrics["accuracy"].value
        corrected = post_stratified(sums, coverage_counts(bins, scores, held)).metrics["accuracy"].value
        truth = float((labels == predicted).mean())
        yield what, f"{held.mean():.0%}", f"{naive:.3f}", f"{corrected:.3f}", f"{truth:.3f}"


def detector_rows() -> Iterator[Row]:
    """False alarms in 10,000 independent rows of error .2, and the delay after a jump from .1 to .3."""
    for name, make in (("adwin", Adwin), ("hddm-a", HddmA)):
        for rows in (20, 60, 250):
            alarms = sum(
                _alarms(make(), (np.random.default_rng(seed).random(20_000) < 0.2).astype(float), rows).size
                for seed in range(20)
            )
            delays = []
            for seed in range(20):
                rng = np.random.default_rng(1000 + seed)
                rates = np.repeat([0.1, 0.3], 6000)
                found = _alarms(make(), (rng.random(12_000) < rates).astype(float), rows)
                after = found[found > 6000]
                delays.append(float(after[0] - 6000) if after.size else float("inf"))
            yield (
                f"`{name}`",
                str(rows),
                f"{alarms / 40:.2f}",
                f"{np.median(delays):.0f}",
                f"{max(delays):.0f}",
            )


def _alarms(detector: Adwin | HddmA, values: Floats, rows: int) -> NDArray[np.int64]:
    found = []
    for start in range(0, len(values), rows):
        units = Units.of(mean_sums(values[start : start + rows]))
        if units is not None and detector.update(units) is not None:
            found.append(start + rows)
    return np.array(found, np.int64)


def time_rows() -> Iterator[Row]:
    """From sums of a million rows to the metrics, in ms: the median of 20."""
    rng = np.random.default_rng(3)
    scores = rng.beta(1, 3, 1_000_000)
    labels = (rng.random(1_000_000) < scores).astype(int)
    bins = ScoreBins(score_edges(scores))
    sums = binary_sums(bins, labels, (scores > 0.5).astype(int), scores)
    of = Calibrator.of(reference_labels(scores, labels.astype(float), bins.edges))
    counts = prediction_counts(bins, scores, (scores > 0.5).astype(int))
    errors = [Units(200.0, 0.1 + 0.001 * (k % 7), 18.0) for k in range(720)]

    def replay() -> None:
        detector = Adwin()
        for units in errors:
            detector.update(units)

    for name, call in (
        ("all metrics of a binary classifier", lambda: binary_performance(sums)),
        ("the sum of two aggregates", lambda: sums + sums),
        ("the estimate, with its interval", lambda: of and estimated_performance(counts, of)),
        ("ADWIN over 720 buckets (a month of hours)", replay),
    ):
        taken = []
        for _ in range(20):
            began = time.perf_counter()
            call()
            taken.append(time.perf_counter() - began)
        yield name, f"{float(np.median(taken)) * 1e3:.1f}"


def accuracy() -> str:
    """The tables that are the same on every run."""
    parts = [
        RANKED,
        table(
            (
                "case",
                "rows",
                "AUC",
                "its bound",
                "average precision",
                "log loss",
                "F1",
                "AUC, no reference",
                "AP, no reference",
            ),
            binary_rows(),
        ),
        "\nSeveral classes (default bins) and regression:\n",
        table(("case", "metric", "difference"), other_rows()),
        "\nEstimates before labels: the largest difference over nine chunks of 5,000 rows.\n",
        table(
            ("metric", "from NannyML", "without the calibration's steps as edges", "from the realised value"),
            estimate_rows(),
        ),
        "\nAccuracy where labels are missing, which depends:\n",
        table(("", "labelled", "naive", "post-stratified", "true"), missing_rows()),
        DETECTED,
        table(
            ("detector", "rows a bucket", "false alarms", "delay, median", "delay, largest"), detector_rows()
        ),
    ]
    return "\n".join(parts) + "\n"


def timing() -> str:
    """The table of time."""
    return "Time on one core, from the sums of a million rows:\n\n" + table(("", "ms"), time_rows()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="the page to renew")
    page: Path | None = parser.parse_args().into
    text = f"{HEADING}\n\n{accuracy()}\n{timing()}"
    if page is None:
        print(text)
        return
    page.write_text(page.read_text().partition(f"{HEADING}\n")[0] + text)


if __name__ == "__main__":
    main()
