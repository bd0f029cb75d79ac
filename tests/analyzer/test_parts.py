"""The analyzer's small parts: batches, capture, latency, history, files that change."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from driftline.batches import concatenate
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn, State
from driftline.errors import DataError
from driftline.report import FeatureReport, WindowReport
from driftline.verdict import State as WindowState
from driftline_sidecar.analyzer.capture import CaptureBuffer
from driftline_sidecar.analyzer.heartbeat import Heartbeat
from driftline_sidecar.analyzer.history import POINTS, History
from driftline_sidecar.analyzer.latency import RecentTraffic, Traffic
from driftline_sidecar.reload import MAX_BYTES, Watched


def numbers(*values: float, states: list[int] | None = None) -> NumericColumn:
    return NumericColumn(np.array(values), None if states is None else np.array(states, dtype=np.uint8))


def words(*values: str | None) -> CategoricalColumn:
    known = tuple(dict.fromkeys(value for value in values if value is not None))
    codes = np.array([-1 if value is None else known.index(value) for value in values], dtype=np.int32)
    states = np.where(codes < 0, State.NULL, State.VALUE).astype(np.uint8)
    return CategoricalColumn(codes, known, states if (codes < 0).any() else None)


def batch(rows: int, **columns: Column) -> Batch:
    return Batch(rows, columns, rows)


class TestConcatenate:
    def test_categories_are_coded_anew(self) -> None:
        found = concatenate([batch(2, c=words("a", "b")), batch(3, c=words("b", None, "c"))])
        column = found.columns["c"]
        assert isinstance(column, CategoricalColumn)
        named = [column.dictionary[code] if code >= 0 else None for code in column.codes]
        assert named == ["a", "b", "b", None, "c"]
        assert column.states is not None
        assert column.states.tolist() == [0, 0, 0, State.NULL, 0]

    def test_a_column_only_some_have_is_missing_in_the_others(self) -> None:
        found = concatenate([batch(1, x=numbers(1.0)), batch(2, y=numbers(2.0, 3.0))])
        x = found.columns["x"]
        assert isinstance(x, NumericColumn)
        assert x.states is not None
        assert x.states.tolist() == [State.VALUE, State.MISSING, State.MISSING]

    def test_a_column_of_another_type_is_wrong_typed(self) -> None:
        x = concatenate([batch(1, x=numbers(1.0)), batch(1, x=words("a"))]).columns["x"]
        assert x.states is not None
        assert x.states.tolist() == [State.VALUE, State.WRONG_TYPE]

    def test_requests_are_numbered_on(self) -> None:
        many = Batch(3, {"x": numbers(1, 2, 3)}, 2, np.array([0, 0, 1], dtype=np.int32))
        found = concatenate([many, batch(1, x=numbers(4)), many])
        assert found.request is not None
        assert found.request.tolist() == [0, 0, 1, 2, 3, 3, 4]
        assert found.requests == 5

    def test_no_states_where_all_are_values(self) -> None:
        found = concatenate([batch(1, x=numbers(1.0)), batch(1, x=numbers(2.0))])
        assert found.columns["x"].states is None
        assert found.request is None


class TestCapture:
    def test_rows_and_times_stay_in_order(self) -> None:
        buffer = CaptureBuffer(1000)
        for i in range(600):
            buffer.add(batch(1, x=numbers(float(i))), at=100.0 + i)
        assert not buffer.full
        column = buffer.batch().columns["x"]
        assert isinstance(column, NumericColumn)
        assert column.values.tolist() == list(range(600))
        assert buffer.times().tolist() == [100.0 + i for i in range(600)]

    def test_full_at_the_rows_wanted(self) -> None:
        buffer = CaptureBuffer(3)
        buffer.add(batch(2, x=numbers(1, 2)), 0.0)
        assert not buffer.full
        buffer.add(batch(2, x=numbers(3, 4)), 0.0)
        assert buffer.full
        assert not buffer.cut_short
        assert buffer.rows == 4

    def test_full_when_memory_is_used_up(self) -> None:
        buffer = CaptureBuffer(1_000_000, most_bytes=1000)
        buffer.add(batch(1, c=words("x" * 2000)), 0.0)
        assert buffer.full
        assert buffer.cut_short


class TestRecentTraffic:
    def test_quantiles_are_within_a_cell(self) -> None:
        traffic = RecentTraffic(60.0, 0.0)
        durations = np.random.default_rng(1).lognormal(-5, 1, 20_000)
        traffic.add(30.0, durations, errors=100)
        found = traffic.read(30.0)
        assert found.requests == 20_000
        assert found.errors == 100
        assert found.rate == pytest.approx(20_000 / 30)
        for value, q in ((found.p50, 0.5), (found.p95, 0.95), (found.p99, 0.99)):
            assert value == pytest.approx(np.quantile(durations, q), rel=0.035)

    def test_forgets_what_is_older_than_the_span(self) -> None:
        traffic = RecentTraffic(60.0, 0.0)
        traffic.add(1.0, np.array([0.1]), 1)
        assert traffic.read(59.0).requests == 1
        assert traffic.read(63.0) == Traffic(0, 0.0, 0, None, None, None)

    def test_a_time_gap_longer_than_the_ring_empties_it_once(self) -> None:
        traffic = RecentTraffic(60.0, 0.0)
        traffic.add(1.0, np.array([0.1]), 0)
        traffic.add(10_000.0, np.array([0.1, 0.2]), 0)
        assert traffic.read(10_000.0).requests == 2

    def test_durations_outside_of_the_cells_are_counted(self) -> None:
        traffic = RecentTraffic(60.0, 0.0)
        traffic.add(1.0, np.array([0.0, 1e9]), 0)
        assert traffic.read(1.0).requests == 2


def judged(end: float, psi: float | None, name: str = "age") -> WindowReport:
    feature = FeatureReport(type="numeric", role="feature", statistics={"psi": psi})
    return WindowReport(
        window="1m",
        role="page",
        start=end - 60,
        end=end,
        rows=10,
        requests=10,
        state=WindowState.OK,
        features={name: feature},
    )


class TestHistory:
    def test_keeps_the_last_points(self) -> None:
        history = History()
        for i in range(POINTS + 5):
            history.add_window(judged(i * 60.0, None if i == POINTS else 0.25))
        found = history.read().windows["1m"]
        assert len(found.end) == POINTS
        assert found.end[-1] == (POINTS + 4) * 60.0
        assert found.psi["age"][-5:] == [None, 0.25, 0.25, 0.25, 0.25]

    def test_other_features_begin_anew(self) -> None:
        history = History()
        history.add_window(judged(60.0, 0.1))
        history.add_window(judged(120.0, 0.1, name="height"))
        found = history.read().windows["1m"]
        assert found.psi == {"height": [pytest.approx(0.1)]}
        assert found.end == [120.0]


class TestHeartbeat:
    def test_tells_the_largest_of_the_last_lags(self) -> None:
        now = 10.0
        heartbeat = Heartbeat(lambda: now)
        heartbeat.beat(due=7.5)
        heartbeat.beat(due=10.0)
        assert heartbeat.lag == 2.5
        for _ in range(40):
            heartbeat.beat(due=10.0)
        assert heartbeat.lag == 0.0


def parse(raw: bytes) -> int:
    try:
        return int(raw)
    except ValueError as error:
        raise DataError(f"not a number: {raw[:20]!r}") from error


class TestWatched:
    def test_a_changed_file_is_given_once(self, tmp_path: Path) -> None:
        path = tmp_path / "n"
        path.write_text("1")
        watched = Watched(path, parse)
        assert watched.load() == 1
        assert watched.poll(1.0) is None
        path.write_text("22")
        assert watched.poll(2.0) == 22
        assert watched.poll(3.0) is None

    def test_a_broken_one_is_refused_until_it_is_mended(self, tmp_path: Path) -> None:
        path = tmp_path / "n"
        path.write_text("1")
        watched = Watched(path, parse)
        watched.load()
        force = watched.digest
        path.write_text("one")
        assert watched.poll(2.0) is None
        assert watched.refusal is not None
        assert watched.refusal.at == 2.0
        assert "not a number" in watched.refusal.reason
        assert watched.digest == force
        assert watched.poll(3.0) is None
        assert watched.refused == 1
        path.write_text("1")
        os.utime(path, ns=(5, 5))
        assert watched.poll(4.0) is None
        assert watched.refusal is None

    def test_a_vanished_one_is_refused_and_may_come_back(self, tmp_path: Path) -> None:
        path = tmp_path / "n"
        path.write_text("1")
        watched = Watched(path, parse)
        watched.load()
        path.unlink()
        assert watched.poll(2.0) is None
        assert watched.refusal is not None
        assert str(path) in watched.refusal.reason
        path.write_text("1")
        assert watched.poll(3.0) is None
        assert watched.refusal is None

    def test_a_pipe_is_refused_and_not_waited_for(self, tmp_path: Path) -> None:
        path = tmp_path / "n"
        path.write_text("1")
        watched = Watched(path, parse)
        watched.load()
        path.unlink()
        os.mkfifo(path)
        assert watched.poll(2.0) is None
        assert watched.refusal is not None
        assert "no regular file" in watched.refusal.reason

    def test_the_symlinks_of_a_config_map_are_followed(self, tmp_path: Path) -> None:
        for name, value in (("..v1", "1"), ("..v2", "2")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "n").write_text(value)
        (tmp_path / "..data").symlink_to("..v1")
        (tmp_path / "n").symlink_to("..data/n")
        watched = Watched(tmp_path / "n", parse)
        assert watched.load() == 1
        (tmp_path / "..next").symlink_to("..v2")
        (tmp_path / "..next").replace(tmp_path / "..data")
        assert watched.poll(1.0) == 2

    def test_the_first_load_raises(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="No such file"):
            Watched(tmp_path / "n", parse).load()
        path = tmp_path / "large"
        with path.open("wb") as file:
            file.truncate(MAX_BYTES + 1)
        with pytest.raises(DataError, match="larger than"):
            Watched(path, parse).load()
