"""The candidate's answers as rows of the hub: under the live predictions' ids, from a sender of their own."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from driftline.shadow.runtime import LIVE_UNANSWERED, MIRROR_FILE, encode_mirror
from driftline.spec import Labels, Metadata, ModelMonitor, Prediction
from driftline_sidecar.analyzer.mirror import logged as logged_module
from driftline_sidecar.analyzer.mirror.labelled import CandidateRows
from driftline_sidecar.analyzer.mirror.logged import Logged
from driftline_sidecar.analyzer.mirror.mirrors import Mirrors
from driftline_sidecar.analyzer.mirror.sending import Answer
from driftline_sidecar.analyzer.monitor import Analysis
from driftline_sidecar.analyzer.predictions.rows import Drop
from driftline_sidecar.token_file import Token
from msgspec import structs

from tests.support.exchanges import exchange
from tests.support.mirrors import (
    FEATURES,
    agrees,
    candidate,
    mirror_config,
    mirroring,
    monitor_spec,
    predicted,
    setting,
)


def answered(document: Any) -> Answer:
    return Answer(200, b"HTTP/1.1 200 OK\r\n\r\n", json.dumps(document).encode(), 0.01)


def test_a_row_has_the_live_ones_name_and_the_candidates_answer() -> None:
    given = predicted(7)
    rows = CandidateRows(monitor_spec(), Labels(), FEATURES, mirror_config("http://a:1"))
    found = rows.read(given, answered({"label": "yes", "score": 0.9}), 1e9)
    (boot,) = found.by_boot
    assert boot not in (given.boot, 0)
    (row,) = found.by_boot[boot]
    assert (row.id, row.sequence, row.prediction, row.score) == (given.id, given.sequence, "yes", 0.9)
    assert (row.variant, row.version, row.segments, row.features) == ("shadow/uid/1", "", {}, {})
    again = CandidateRows(monitor_spec(), Labels(), FEATURES, mirror_config("http://a:1"))
    assert again.read(given, answered({"label": "no", "score": 0.1}), 1e9).by_boot.keys() == {boot}


def test_an_id_of_the_answer_is_the_live_answers() -> None:
    """Both models name their answers; labels come by the name that clients saw."""
    given = exchange({"age": 1, "sex": "f"}, {"label": "no", "score": 0.2, "key": "live-1"})
    rows = CandidateRows(monitor_spec(), Labels(id_path="$.key"), FEATURES, mirror_config("http://a:1"))
    found = rows.read(given, answered({"label": "yes", "score": 0.9, "key": "other"}), 1e9)
    assert [(row.id, row.prediction) for (row,) in found.by_boot.values()] == [("live-1", "yes")]


@pytest.mark.parametrize("logged", [True, False])
async def test_a_mirror_keeps_them_for_the_log_only_if_asked(logged: bool) -> None:
    async with candidate(agrees) as other:
        config = mirror_config(other.url)
        rows = CandidateRows(monitor_spec(), Labels(), FEATURES, config) if logged else None
        async with mirroring(config) as running:
            running.mirror.replace(setting(config)._replace(rows=rows))
            running.mirror.offer([predicted(number) for number in range(5)], config.began)
            await running.settled()
            found = [row.id for each in running.logged.take() for (row,) in each.by_boot.values()]
            assert sorted(found) == ([f"id-{number}" for number in range(5)] if logged else [])
            assert running.logged.take() == [], "once"


def test_what_nobody_takes_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logged_module, "MOST", 3)
    rows = CandidateRows(monitor_spec(), Labels(), FEATURES, mirror_config("http://a:1"))
    logged = Logged()
    for number in range(5):
        logged.put(rows.read(predicted(number), answered({"label": "no", "score": 0.1}), 1e9))
    *found, dropped = logged.take()
    assert [row.id for each in found for (row,) in each.by_boot.values()] == ["id-2", "id-3", "id-4"]
    assert (dropped.by_boot, dropped.dropped) == ({}, {Drop.NOT_TAKEN: 2})
    assert logged.take() == []


async def test_what_a_mirror_had_at_its_end_is_still_told(tmp_path: Path) -> None:
    """Whether another comparison takes its place, there is none any more, or the analyzer ends."""
    spec = structs.replace(monitor_spec(), labels=Labels())
    analysis = Analysis(ModelMonitor(metadata=Metadata(name="demo", namespace="ml"), spec=spec), None, 0.0)
    mirrors, file, now = Mirrors(None, None, Token(None), "pod"), tmp_path / MIRROR_FILE, time.time()

    def look(at: float) -> None:
        mirrors.poll({"ml/demo": (analysis, tmp_path)}, at)

    async def mirrored(number: int) -> None:
        mirrors.offer("ml/demo", [predicted(number)], now)
        book = mirrors.running["ml/demo"].book
        deadline = time.monotonic() + 20
        while book.total()[0].paired < 1:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    async with candidate(agrees) as other:
        config = mirror_config(other.url, logged=True)
        for number in range(2):
            shadow = structs.replace(config.shadow, generation=number + 1)
            file.write_text(encode_mirror(structs.replace(config, shadow=shadow)))
            look(10.0 * (number + 1))
            await mirrored(number)
        file.unlink()
        look(30.0)
        file.write_text(encode_mirror(config))
        look(40.0)
        await mirrored(2)
        await asyncio.to_thread(mirrors.close)
    found = [row.id for _, rows in mirrors.logged() for (row,) in rows.by_boot.values()]
    assert found == ["id-0", "id-1", "id-2"]


ANSWERS: tuple[dict[str, object], ...] = (
    {"label": "no", "score": 0.2},
    {"label": None, "score": 0.5},
    {"label": "yes", "score": None},
    {"label": None, "score": None},
)


@pytest.mark.parametrize("id_path", [None, "$.predictions[*].key"])
def test_rows_that_it_leaves_out_are_told_too(id_path: str | None) -> None:
    """Else it would be judged on those only that it likes. Ids are the live answer's."""
    spec = monitor_spec(protocol="kserve-v1")
    assert spec.schema.prediction == Prediction(name="label", score="score")
    records = [{"age": 1, "sex": "f"}] * 4
    live = [{"label": "yes" if place < 3 else None, "score": 0.9, "key": f"k{place}"} for place in range(4)]
    given = exchange({"instances": records}, {"predictions": live})
    rows = CandidateRows(spec, Labels(id_path=id_path), FEATURES, mirror_config("http://a:1"))
    (found,) = rows.read(given, answered({"predictions": [*ANSWERS]}), 1e9).by_boot.values()
    assert [(row.row, row.prediction, row.score) for row in found] == [
        (0, "no", 0.2), (1, None, 0.5), (2, "yes", None), (3, None, None)
    ]  # fmt: skip
    assert [row.version for row in found] == ["", "", "", LIVE_UNANSWERED]
    assert [row.id for row in found] == [f"k{place}" for place in range(4)] if id_path else True


def test_answers_of_another_length_are_told_nothing_of() -> None:
    rows = CandidateRows(monitor_spec(), Labels(), FEATURES, mirror_config("http://a:1"))
    assert rows.read(predicted(1), answered({"predictions": [*ANSWERS]}), 1e9).by_boot == {}
