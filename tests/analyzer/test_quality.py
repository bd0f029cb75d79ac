"""Quality problems reach the report, the live table and the metrics in the same words."""

from __future__ import annotations

import io

import numpy as np
from driftline.quality import QualityReason
from driftline_cli.top_view import frame, line, quality
from driftline_sidecar.analyzer import exposure
from driftline_sidecar.analyzer.monitor import Analysis
from driftline_sidecar.analyzer.reporting import report_of
from driftline_sidecar.exposition import render
from rich.console import Console

from tests.support.analysis import NOON, monitor, predicted, run
from tests.support.reports import history


def test_missing_values_and_a_column_that_stands_still_are_said_everywhere() -> None:
    analysis = Analysis(monitor(), None, NOON)
    now = run(analysis, np.random.default_rng(3), NOON, 4)
    rows = [
        predicted(now + i / 100, None if i % 4 == 0 else float(i % 50) / 25, "Atlantis") for i in range(600)
    ]
    analysis.take(rows, now + 10)
    analysis.step(now + 60)

    window = report_of(analysis, now + 60).windows[0]
    found = {name: [problem.reason for problem in f.quality] for name, f in window.features.items()}
    assert found["age"] == [QualityReason.MISSING]
    assert found["city"] == [QualityReason.NEW_CATEGORY, QualityReason.CONSTANT]
    assert quality(window.features["age"]).startswith("Missing 25")
    assert window.duplicate_ratio is not None
    assert window.duplicate_ratio > 0.5
    lines = render(exposure.families(analysis)).decode().splitlines()
    problems = [line for line in lines if line.startswith("modelmonitor_feature_quality_problem{")]
    assert any('feature="city"' in line and 'reason="NewCategory"' in line for line in problems)


def test_good_rows_have_no_problem() -> None:
    analysis = Analysis(monitor(), None, NOON)
    now = run(analysis, np.random.default_rng(3), NOON, 20)
    window = report_of(analysis, now).windows[0]
    assert window.rows == 600
    assert {name: f.quality for name, f in window.features.items() if name in ("age", "city")} == {
        "age": (),
        "city": (),
    }
    assert "feature_quality_problem{" not in render(exposure.families(analysis)).decode()


def test_what_could_not_be_decoded_is_shown() -> None:
    analysis = Analysis(monitor(), None, NOON)
    analysis.take([predicted(NOON, 1.0, status=500), predicted(NOON, 1.0)], NOON)
    report = report_of(analysis, NOON)
    assert report.undecoded == {"error_response": 1}
    assert "not decoded error_response 1" in line(report)
    shown = io.StringIO()
    Console(width=200, file=shown).print(frame(report, history()))
    assert "not decoded error_response 1" in shown.getvalue()
