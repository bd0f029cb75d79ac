"""From exchanges to verdicts, with times that the test sets."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from driftline.captured import build
from driftline.report import Report
from driftline_sidecar.analyzer.desk import Desk
from driftline_sidecar.analyzer.monitor import Analysis, by_pane
from driftline_sidecar.analyzer.reference import ReferenceState, saved, state_path
from driftline_sidecar.analyzer.reporting import report_of

from tests.support.analysis import NOON, monitor, predicted, run, traffic, write_monitor


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def captured(rng: np.random.Generator, *changes: tuple[str, str]) -> tuple[Analysis, float]:
    """An analysis whose reference has just been captured, and the time."""
    analysis = Analysis(monitor(*changes), None, NOON)
    now = run(analysis, rng, NOON, 4)
    assert analysis.reference_state is ReferenceState.READY
    return analysis, now


def window(report: Report, name: str) -> str:
    return next(found.state.value for found in report.windows if found.window == name)


def test_the_first_rows_become_the_reference_and_are_in_no_window(rng: np.random.Generator) -> None:
    analysis = Analysis(monitor(), None, NOON)
    now = run(analysis, rng, NOON, 3)
    report = report_of(analysis, now)
    assert report.profile is None
    assert report.verdict.reason == "Capturing"
    assert report.windows[0].reason == "Capturing (300 of 400)"
    now = run(analysis, rng, now, 1)
    assert analysis.reference_rows == 400
    assert analysis.counting is not None
    assert {column.name for column in analysis.counting.profile.features} >= {"age", "city", "label", "score"}
    now = run(analysis, rng, now, 1)
    report = report_of(analysis, now)
    assert [found.rows for found in report.windows] == [100, 100]
    assert analysis.tally.rows == 500


def test_a_lasting_shift_is_drift_and_a_stable_feature_is_not(rng: np.random.Generator) -> None:
    analysis, now = captured(rng)
    now = run(analysis, rng, now, 30)
    before = report_of(analysis, now)
    assert not before.verdict.drifted
    assert window(before, "1m") in ("Ok", "Uncalibrated")
    now = run(analysis, rng, now, 60, shift=2.5)
    after = report_of(analysis, now)
    assert after.verdict.drifted
    assert "age" in after.verdict.features
    assert "city" not in after.verdict.features
    assert next(change.feature for change in after.log if change.after == "Drifted") == "age"
    longest = after.windows[-1].features["age"]
    assert longest.drifted
    assert longest.out_of_range_ratio == 0.0
    assert longest.statistics["psi"] is not None
    assert longest.statistics["psi"] > 1


def test_a_window_that_is_not_whole_yet_is_shown_but_decides_nothing(rng: np.random.Generator) -> None:
    analysis, now = captured(rng, ("windows: [1m, 2m]", "windows: [1m, 1h]"))
    now = run(analysis, rng, now, 40, shift=3.0)
    report = report_of(analysis, now)
    hour = report.windows[-1]
    assert hour.reason == "Filling"
    assert hour.rows >= 2500
    assert not any(feature.drifted for feature in hour.features.values())


def test_too_few_rows_are_neither_pass_nor_fail(rng: np.random.Generator) -> None:
    analysis, now = captured(rng)
    now = run(analysis, rng, now, 12, shift=5.0, rows=3)
    report = report_of(analysis, now)
    assert window(report, "1m") == "InsufficientData"
    assert report.verdict.reason == "InsufficientData"
    assert not report.verdict.drifted


def test_quality_is_counted(rng: np.random.Generator) -> None:
    analysis, now = captured(rng)
    odd = [
        predicted(now + 1, None),
        predicted(now + 2, "thirty"),
        predicted(now + 3, 99.0),
        predicted(now + 4, 1.0, city="Atlantis"),
        predicted(now + 5, 1.0, city=None),
    ]
    analysis.take(odd, now + 10)
    violations = analysis.tally.violations
    assert violations["age", "null"] == 1
    assert violations["age", "wrong_type"] == 1
    assert violations["age", "out_of_range"] == 1
    assert violations["city", "new_category"] == 1
    assert violations["city", "null"] == 1
    analysis.step(now + 10)
    shortest = report_of(analysis, now + 10).windows[0].features
    assert shortest["age"].missing_ratio == pytest.approx(1 / 5)
    assert shortest["city"].new_category_ratio == pytest.approx(1 / 4)


def test_nothing_in_an_exchange_raises(rng: np.random.Generator) -> None:
    analysis, now = captured(rng)
    good = predicted(now, 1.0)
    broken = [
        msgspec.structs.replace(good, request_body=b"{", request_bytes=1),
        msgspec.structs.replace(good, request_body=b"", request_bytes=0),
        msgspec.structs.replace(good, response_body=b"\xff\xfe", response_bytes=2),
        msgspec.structs.replace(good, request_bytes=10**9),
        msgspec.structs.replace(good, request_head=b"", response_head=b""),
        msgspec.structs.replace(good, request_body=b"[" * 100_000, request_bytes=100_000),
        msgspec.structs.replace(good, status=500),
    ]
    rows = analysis.tally.rows
    analysis.take([*broken, good], now + 1)
    assert sum(analysis.tally.decode_errors.values()) >= 5
    assert analysis.tally.decode_errors["error_response"] == 1
    assert analysis.tally.rows > rows


def test_a_sample_is_weighted_by_its_probability(rng: np.random.Generator) -> None:
    analysis, now = captured(rng)
    weight = analysis.tally.weight
    analysis.take([predicted(now, 1.0, p=0.1), predicted(now, 1.0, p=0.5)], now)
    assert analysis.tally.weight - weight == pytest.approx(12.0)


def test_features_are_discovered_where_the_schema_names_none(rng: np.random.Generator) -> None:
    features = """    features:
      - {name: age, type: numeric, range: {min: -3.5, max: 50}}
      - {name: city, type: categorical}
"""
    analysis = Analysis(monitor((features, "")), None, NOON)
    analysis.take(traffic(rng, NOON, 150), NOON + 10)
    assert analysis.reference_rows == 0
    analysis.take(traffic(rng, NOON + 10, 150), NOON + 20)
    assert analysis.reference_rows == 300
    now = run(analysis, rng, NOON + 20, 1)
    assert analysis.counting is not None
    kinds = {column.name: column.type.value for column in analysis.counting.profile.features}
    assert kinds["age"] == "numeric"
    assert kinds["city"] == "categorical"
    assert report_of(analysis, now).profile is not None


def test_a_captured_reference_survives_a_restart(rng: np.random.Generator, tmp_path: Path) -> None:
    first = Analysis(monitor(), None, NOON, tmp_path)
    run(first, rng, NOON, 4)
    second = Analysis(monitor(), None, NOON + 100, tmp_path)
    assert second.profile is not None
    assert first.profile is not None
    assert second.profile.hash == first.profile.hash
    path = state_path(tmp_path, monitor())
    path.write_bytes(path.read_bytes()[:-20])
    assert saved(path) is None
    assert Analysis(monitor(), None, NOON, tmp_path).reference_state is ReferenceState.CAPTURING


def test_a_batch_over_a_pane_edge_is_divided() -> None:
    exchanges = [predicted(NOON + at, 1.0) for at in (8.0, 9.5, 10.5, 31.0)]
    assert [(at, len(part)) for at, part in by_pane(exchanges, 10, NOON + 20)] == [
        (NOON, 2),
        (NOON + 10, 1),
        (NOON + 20, 1),
    ]


def test_a_batch_is_divided_in_whatever_order_it_came() -> None:
    exchanges = [predicted(NOON + at, 1.0) for at in (8.0, 10.5, 7.0)]
    assert [(at, len(part)) for at, part in by_pane(exchanges, 10, NOON + 20)] == [(NOON, 2), (NOON + 10, 1)]


def test_a_reference_built_while_the_monitor_changed_is_not_used(rng: np.random.Generator) -> None:
    analysis = Analysis(monitor(), None, NOON)
    for start in range(0, 40, 10):
        analysis.take(traffic(rng, NOON + start, 100), NOON + start + 10)
    capture = analysis.full_capture
    assert capture is not None
    profile = analysis.build(capture, NOON + 40)
    assert profile is not None
    analysis.replace_monitor(monitor(("{name: city, type", "{name: town, type")), None, NOON + 41)
    analysis.adopt(capture, profile, NOON + 42)
    assert analysis.reference_state is ReferenceState.CAPTURING
    assert analysis.reference_rows == 0


class TestReload:
    def test_a_changed_policy_keeps_the_panes(self, rng: np.random.Generator) -> None:
        analysis, now = captured(rng)
        now = run(analysis, rng, now, 6)
        before = analysis.counting
        analysis.replace_monitor(monitor(("minRows: 100", "minRows: 5000")), None, now)
        assert analysis.counting is before
        now = run(analysis, rng, now, 1)
        assert window(report_of(analysis, now), "1m") == "InsufficientData"

    def test_another_model_version_starts_new_panes_on_the_same_reference(
        self, rng: np.random.Generator
    ) -> None:
        analysis, now = captured(rng)
        before = analysis.counting
        profile = analysis.profile
        analysis.replace_monitor(monitor(('version: "1"', 'version: "2"')), None, now)
        assert analysis.counting is not before
        assert analysis.profile is profile

    def test_another_schema_is_captured_anew(self, rng: np.random.Generator) -> None:
        analysis, now = captured(rng)
        analysis.replace_monitor(monitor(("{name: city, type", "{name: town, type")), None, now)
        assert analysis.reference_state is ReferenceState.CAPTURING

    @pytest.mark.parametrize("change", [("minRows: 100", "minRows: 50"), ("minRows: 100", "minRows: 100")])
    def test_a_profile_that_changes_with_the_monitor_is_in_force(
        self, rng: np.random.Generator, change: tuple[str, str]
    ) -> None:
        analysis, now = captured(rng)
        other, _ = captured(np.random.default_rng(5))
        analysis.replace_monitor(monitor(change), other.profile, now)
        assert analysis.profile is other.profile

    def test_a_profile_that_cannot_be_read_just_now_stays_in_force(self, rng: np.random.Generator) -> None:
        source, now = captured(rng)
        filed = ("{capture: {rows: 400}}", "{profile: {file: reference.profile}}")
        analysis = Analysis(monitor(filed), source.profile, now)
        analysis.replace_monitor(monitor(filed, ("windows: [1m, 2m]", "windows: [1m, 3m]")), None, now)
        assert analysis.profile is source.profile

    def test_another_profile_starts_new_panes(self, rng: np.random.Generator) -> None:
        analysis, now = captured(rng)
        other, _ = captured(np.random.default_rng(5))
        assert analysis.profile is not None
        assert other.profile is not None
        before = analysis.counting
        analysis.replace_profile(analysis.profile, now)
        assert analysis.counting is before
        analysis.replace_profile(other.profile, now)
        assert analysis.counting is not before
        assert report_of(analysis, now).profile is not None


class TestDesk:
    def test_exchanges_go_to_the_monitor_of_their_path(self, tmp_path: Path) -> None:
        path = tmp_path / "monitors.yaml"
        first = write_monitor(path).read_text()
        second = first.replace("name: demo", "name: other").replace("[/predict]", "[/other/*]")
        path.write_text(f"{first}\n---\n{second}")
        desk = Desk(path, None, None, NOON)
        good = predicted(NOON, 1.0)
        other = msgspec.structs.replace(good, request_head=b"POST /other/x?y=/predict HTTP/1.1\r\n\r\n")
        stray = msgspec.structs.replace(good, request_head=b"GET /healthz HTTP/1.1\r\n\r\n")
        broken = msgspec.structs.replace(good, request_head=b"")
        desk.take([good, other, other, stray, broken], NOON)
        assert desk.analyses["ml/demo"].tally.exchanges == 1
        assert desk.analyses["ml/other"].tally.exchanges == 2
        assert desk.unrouted == 2

    def test_a_broken_monitor_file_is_refused_and_the_old_one_stays(self, tmp_path: Path) -> None:
        path = write_monitor(tmp_path / "monitor.yaml")
        desk = Desk(path, None, None, NOON)
        write_monitor(path, ("type: numeric", "type: number"))
        desk.poll(NOON + 1)
        config = json.loads(msgspec.json.encode(desk.config()))
        assert "schema.features[0].type" in config["files"][0]["refused"]["reason"]
        assert config["monitors"][0]["document"]["spec"]["model"]["name"] == "model-a"
        write_monitor(path, ("name: model-a", "name: model-b"))
        desk.poll(NOON + 2)
        config = json.loads(msgspec.json.encode(desk.config()))
        assert config["files"][0]["refused"] is None
        assert config["monitors"][0]["document"]["spec"]["model"]["name"] == "model-b"

    def test_a_missing_profile_is_refused_and_taken_once_it_is_there(
        self, rng: np.random.Generator, tmp_path: Path
    ) -> None:
        path = write_monitor(tmp_path / "monitor.yaml")
        profile = tmp_path / "demo.profile"
        desk = Desk(path, profile, None, NOON)
        files = desk.config().files
        assert files[1].refused is not None
        assert "No such file" in files[1].refused.reason
        Analysis(monitor(), None, NOON, tmp_path)
        made = Analysis(monitor(), None, NOON, tmp_path / "state")
        run(made, rng, NOON, 4)
        state_path(tmp_path / "state", monitor()).rename(profile)
        desk.poll(NOON + 1)
        assert desk.analyses["ml/demo"].reference_state is ReferenceState.READY
        profile.write_bytes(b"broken")
        desk.poll(NOON + 2)
        assert desk.config().files[1].refused is not None
        assert desk.analyses["ml/demo"].reference_state is ReferenceState.READY

    def test_cursors(self, rng: np.random.Generator, tmp_path: Path) -> None:
        desk = Desk(write_monitor(tmp_path / "monitor.yaml"), None, None, NOON)
        now = run(desk.analyses["ml/demo"], rng, NOON, 6)
        first = desk.panes("", "", "boot", now)
        assert first.body
        again = desk.panes("", first.cursor, "boot", now)
        assert again.body == b""
        assert desk.panes("", first.cursor, "another", now).body == first.body


def test_a_clock_that_was_set_back_empties_no_window() -> None:
    exchanges = [predicted(NOON - 3600 + 1, 1.0)]
    [(at, found)] = by_pane(exchanges, 10, NOON + 2, behind=3600.0)
    assert at == pytest.approx(NOON + 1)
    assert found is exchanges


def test_a_fault_of_the_analysis_costs_its_batch_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(write_monitor(tmp_path / "monitor.yaml"), None, None, NOON)
    analysis = desk.find("")
    with monkeypatch.context() as broken:
        broken.setattr(analysis, "take", lambda *_: 1 / 0)
        desk.take([predicted(NOON, 1.0)] * 3, NOON)
    desk.take([predicted(NOON, 1.0)] * 2, NOON)
    assert analysis.tally.decode_errors == {"analysis_error": 3}
    assert analysis.tally.rows == 2


def test_rows_are_kept_for_another_reference_while_this_one_is_counted_against() -> None:
    rng = np.random.default_rng(5)
    analysis = Analysis(monitor(), None, NOON, fleet=True)
    run(analysis, rng, NOON, 5)
    first = analysis.captured()
    assert first is not None
    assert analysis.counting is None  # the operator makes it
    profile = build(analysis.spec, [first], NOON)
    analysis.replace_profile(profile, NOON + 50)
    assert analysis.captured() is None
    at = run(analysis, rng, NOON + 50, 2)
    analysis.capture_anew("second")
    run(analysis, rng, at, 2)
    analysis.capture_anew("second")
    assert analysis.captured() is None
    again = analysis.captured("second")
    assert again is not None
    assert again.rows == 200
    assert analysis.counting is not None
    assert analysis.counting.profile.hash == profile.hash
    assert sum(pane.counts.rows for pane in analysis.counting.panes.since(0, np.inf)[0]) == 400
    analysis.replace_profile(build(analysis.spec, [again], NOON + 90), NOON + 90)
    assert analysis.captured("second") is None
