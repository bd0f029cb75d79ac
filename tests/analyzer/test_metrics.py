"""The series: named in one table, valid for promtool, scraped by a real Prometheus."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from driftline.shadow.runtime import encode_mirror
from driftline_sidecar import metrics
from driftline_sidecar.analyzer import exposure
from driftline_sidecar.analyzer.monitor import Analysis
from driftline_sidecar.analyzer.reporting import report_of
from driftline_sidecar.exposition import Families, join, merge, render
from driftline_sidecar.metrics import COMMON_LABELS, PREFIX, SERIES
from prometheus_client.parser import text_string_to_metric_families

from tests.support.analysis import NOON, frames, monitor, predicted, run, traffic
from tests.support.analyzers import REPO, analyzer
from tests.support.children import child, eventually, free_port
from tests.support.mirrors import mirror_config
from tests.support.tools import need

Samples = dict[str, dict[tuple[str, ...], float]]


def exposed(text: str) -> Samples:
    """By series name, values by the labels beside the common ones."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(v for k, v in sample.labels.items() if k not in COMMON_LABELS)
            found.setdefault(sample.name.removeprefix(PREFIX), {})[labels] = sample.value
    return found


@pytest.fixture(scope="module")
def drifted() -> Analysis:
    rng = np.random.default_rng(2)
    found = Analysis(monitor(("  pane: 10s", "  metrics: {binRows: true}\n  pane: 10s")), None, NOON)
    now = run(found, rng, NOON, 4)
    now = run(found, rng, now, 20)
    now = run(found, rng, now, 30, shift=2.5)
    found.take([predicted(now, None), predicted(now, 1.0, city="Atlantis")], now)
    found.take([predicted(now, 1.0, status=500)], now)
    return found


class TestCatalogue:
    def test_the_table_in_the_docstring_is_the_catalogue(self) -> None:
        assert metrics.__doc__ is not None
        rows = [line.split(None, 3) for line in metrics.__doc__.splitlines() if line.startswith("    ")]
        table = {name: (kind, program, *rest) for name, kind, program, *rest in rows}
        catalogue = {
            name: (series.kind, series.program, *([", ".join(series.labels)] if series.labels else []))
            for name, series in SERIES.items()
        }
        assert table == catalogue

    def test_the_docs_page_is_generated_from_it(self) -> None:
        path = REPO / "docs" / "tools" / "metrics_table.py"
        module = importlib.util.spec_from_file_location("metrics_table", path)
        assert module is not None
        assert module.loader is not None
        loaded = importlib.util.module_from_spec(module)
        module.loader.exec_module(loaded)
        written = (REPO / "docs" / "metrics.md").read_text()
        assert loaded.document() == written, "run: python docs/tools/metrics_table.py > docs/metrics.md"

    def test_counters_end_in_total_and_units_are_base_units(self) -> None:
        for name, series in SERIES.items():
            assert name.endswith("_total") == (series.kind == "counter")
            assert re.fullmatch(r"[a-z][a-z0-9_]*", name)


class TestExposed:
    def test_everything_of_the_analyzers_catalogue_and_nothing_else(
        self, drifted: Analysis, tmp_path: Path
    ) -> None:
        found = exposed(render(exposure.families(drifted)).decode())
        labels = ("  pane: 10s", "  labels: {}\n  pane: 10s")
        shadow = tmp_path / "shadow.yaml"
        shadow.write_text(encode_mirror(mirror_config("http://127.0.0.1:9")))
        options = ("--hub", "http://127.0.0.1:9", "--shadow", str(shadow))
        with analyzer(tmp_path, labels, options=options) as running:
            found |= exposed(running.text("/metrics"))
        expected = {name for name, series in SERIES.items() if series.program in ("analyzer", "both")}
        only_regression, only_with_problems = {"prediction_value"}, {"feature_quality_problem"}
        assert found.keys() == expected - only_regression - only_with_problems

    def test_values_are_those_of_the_report(self, drifted: Analysis) -> None:
        found = exposed(render(exposure.families(drifted)).decode())
        report = report_of(drifted, NOON)
        for window in report.windows:
            assert found["window_rows"][(window.window,)] == window.rows
            for name, feature in window.features.items():
                psi = feature.statistics["psi"]
                assert found["feature_drift"][name, "psi", window.window] == psi
                assert found["feature_drift_detected"][name, window.window] == feature.drifted
        assert found["feature_drift_detected"]["age", "2m"] == 1
        assert found["schema_violations_total"]["city", "new_category"] == 1
        assert found["predictions_total"]["yes",] == drifted.tally.rows - 400
        assert found["decode_errors_total"] == {("error_response",): 1}

    def test_one_state_is_1_and_the_others_0(self, drifted: Analysis) -> None:
        found = exposed(render(exposure.families(drifted)).decode())
        for window in ("1m", "2m"):
            states = [value for labels, value in found["window_state"].items() if labels[1] == window]
            assert sorted(states) == [0, 0, 0, 0, 1]
        assert found["reference_state"] == {("NoReference",): 0, ("Capturing",): 0, ("Ready",): 1}

    def test_bins_add_up_to_the_window(self, drifted: Analysis) -> None:
        found = exposed(render(exposure.families(drifted)).decode())
        rows = [value for labels, value in found["feature_bin_rows"].items() if "age" in labels]
        assert sum(rows) == found["window_rows"]["1m",]

    def test_a_regression_has_a_histogram_with_the_deciles_as_buckets(self) -> None:
        rng = np.random.default_rng(4)
        values = rng.gamma(2.0, 3.0, 900)
        regression = monitor(
            ("type: classification", "type: regression"),
            ('prediction: {name: label, path: $.label, score: score, scorePath: $.score, positive: "yes"}',
             "prediction: {name: minutes, path: $.score}"),
        )  # fmt: skip
        analysis = Analysis(regression, None, NOON)
        for start in range(0, 900, 100):
            at = NOON + start
            part = traffic(rng, at, 100)
            for place, exchange in enumerate(part):
                body = json.dumps({"score": float(values[start + place])}).encode()
                part[place] = type(exchange)(
                    **{name: getattr(exchange, name) for name in exchange.__struct_fields__}
                    | {"response_body": body, "response_bytes": len(body)}
                )
            analysis.take(part, at + 10)
            if analysis.full_capture is not None:
                analysis.finish_capture(at + 10)
            analysis.step(at + 10)
        counted = values[400:]
        found = exposed(render(exposure.families(analysis)).decode())
        assert found["prediction_value_count"][()] == len(counted)
        assert found["prediction_value_sum"][()] == pytest.approx(counted.sum(), rel=1e-9)
        buckets = {float(le): value for (le,), value in found["prediction_value_bucket"].items()}
        for decile in np.quantile(values[:400], [0.1, 0.5, 0.9]):
            assert buckets[decile] == (counted <= decile).sum()
        assert len(buckets) == 10

    def test_a_feature_that_is_gone_is_exposed_no_longer(self, drifted: Analysis) -> None:
        rng = np.random.default_rng(2)
        other = Analysis(monitor(), None, NOON)
        now = run(other, rng, NOON, 10)
        assert 'feature="city"' in render(exposure.families(other)).decode()
        other.replace_monitor(monitor(("{name: city, type", "{name: town, type")), None, now)
        now = run(other, rng, now, 10)
        assert 'feature="city"' not in render(exposure.families(other)).decode()

    def test_the_cap_keeps_the_monitors_series_and_tells_what_it_cut(self) -> None:
        rng = np.random.default_rng(2)
        analysis = Analysis(
            monitor(("  pane: 10s", "  metrics: {maxSeries: 100, binRows: true}\n  pane: 10s")), None, NOON
        )
        run(analysis, rng, NOON, 20)
        first, second = (exposed(render(exposure.families(analysis)).decode()) for _ in range(2))
        assert sum(len(values) for values in first.values()) == 101
        assert first["series_cut"][()] > 0
        assert "window_rows" in first
        assert first == second

    def test_no_label_value_comes_from_a_client(self, drifted: Analysis) -> None:
        assert "Atlantis" not in render(exposure.families(drifted)).decode()


class TestText:
    def test_expositions_join_into_one_valid_one(self) -> None:
        one, two = Families(("ns", "a", "m")), Families(("ns", "b", "m"))
        one.add("capture_dropped_total", 1, ("queue_full",))
        two.add("capture_dropped_total", 2, ("no_analyzer",))
        two.add("rows_total", 5)
        joined = join([render(merge([one])).decode(), render(merge([two])).decode()])
        assert joined.count("# TYPE modelmonitor_capture_dropped_total") == 1
        assert exposed(joined)["capture_dropped_total"] == {("queue_full",): 1, ("no_analyzer",): 2}
        assert joined == join([joined])

    def test_label_values_are_escaped(self) -> None:
        odd = Families(("ns", "a", 'quo"te\\n\nline'))
        odd.add("rows_total", 1)
        (family,) = text_string_to_metric_families(render(odd).decode())
        assert family.samples[0].labels["model"] == 'quo"te\\n\nline'


def test_promtool_finds_nothing_to_say(drifted: Analysis) -> None:
    need("promtool")
    text = render(exposure.families(drifted))
    said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, b"")


@pytest.mark.slow
def test_prometheus_scrapes_the_analyzer(tmp_path: Path) -> None:
    need("prometheus")
    port = free_port()
    with analyzer(tmp_path) as running:
        running.deliver(frames([predicted(running.now(), 1.0, sequence=i + 1) for i in range(30)]))
        config = tmp_path / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: driftline\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{running.port}']}}]\n"
        )
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
        with child([*command, f"--web.listen-address=127.0.0.1:{port}"], tmp_path / "prometheus.log"):

            def query(expression: str) -> list[dict[str, object]]:
                url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
                try:
                    with urllib.request.urlopen(url, timeout=5) as answer:
                        found: list[dict[str, object]] = json.load(answer)["data"]["result"]
                        return found
                except OSError:
                    return []

            eventually(lambda: query("modelmonitor_exchanges_total == 30"), 20)
            assert query('up{job="driftline"} == 1')
            (sample,) = query("modelmonitor_exchanges_total")
            labels = sample["metric"]
            assert isinstance(labels, dict)
            assert (labels["namespace"], labels["monitor"], labels["model"]) == ("ml", "demo", "model-a")
