"""Which mirrors run: as the files say, and only for the monitor that they are about."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from driftline.shadow.account import Drop
from driftline.shadow.planning import reading_of
from driftline.shadow.runtime import MIRROR_FILE, encode_mirror
from driftline.spec import Metadata, ModelMonitor, MonitorSpec, Prediction
from driftline_sidecar.analyzer.mirror.marker import Mark, Seal, key_of_token, sign
from driftline_sidecar.analyzer.mirror.mirrors import Mirrors
from driftline_sidecar.analyzer.monitor import Analysis
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.token_file import Token

from tests.support.exchanges import spec
from tests.support.mirrors import FEATURES, PLAN, mirror_config, monitor_spec, parts_of, predicted

KEY = "ml/demo"


@pytest.mark.parametrize("first", ["monitor", "mirror"])
def test_what_the_monitor_reads_otherwise_is_not_compared(tmp_path: Path, first: str) -> None:
    """Its file and the mirror's change one after another, either first: no pair is of both."""
    old, new = monitor_spec(), spec(FEATURES, prediction=Prediction(name="label", path="$.kind"))
    assert reading_of(old) != reading_of(new)

    def told(reading: str) -> None:
        plan = msgspec.structs.replace(PLAN, reading=reading)
        config = mirror_config("http://127.0.0.1:9", began=0.0, plan=plan)
        (tmp_path / MIRROR_FILE).write_text(encode_mirror(config))

    analysis = Analysis(_monitor(old), None, 0.0)
    mirrors = Mirrors(None, None, Token(None), "pod")

    def look(now: float) -> bool:
        mirrors.poll({KEY: (analysis, tmp_path)}, now)
        return mirrors.running[KEY].setting.reader is not None

    try:
        told(reading_of(old))
        assert look(1.0)
        if first == "monitor":
            analysis.replace_monitor(_monitor(new), None, 2.0)
        else:
            told(reading_of(new))
        assert not look(10.0)
        mirrors.offer(KEY, [predicted(1)], 11.0)
        parts = parts_of(mirrors.pairs(KEY, "")[0])
        if first == "monitor":
            told(reading_of(new))
        else:
            analysis.replace_monitor(_monitor(new), None, 12.0)
        assert look(20.0)
        parts += parts_of(mirrors.pairs(KEY, "")[0])
    finally:
        mirrors.close()
    dropped = [part.account.dropped for part in parts if part.account.eligible]
    assert dropped
    assert all(each == {Drop.STARTING: 1} for each in dropped)
    assert {part.tally.plan.reading for part in parts} == {reading_of(old), reading_of(new)}


def test_what_its_candidate_was_sent_is_analysed_and_goes_no_further(tmp_path: Path) -> None:
    """A candidate may send it on, and its Service may lead back here."""
    config = mirror_config("http://127.0.0.1:9")
    (tmp_path / MIRROR_FILE).write_text(encode_mirror(config))
    token = tmp_path / "token"
    token.write_text("the namespace's token")
    key = key_of_token(token.read_text())
    mirrors = Mirrors(None, None, Token(token), "pod")
    now = time.time()
    given = [
        _marked(predicted(1), Seal(key, config.shadow.uid, "candidate"), now),
        _marked(predicted(2), Seal(key, config.shadow.uid, "live"), now),
        _marked(predicted(3), Seal(key, "another", "candidate"), now),
        _marked(predicted(4), Seal(b"?" * 32, config.shadow.uid, "candidate"), now),
        predicted(5),
    ]
    try:
        mirrors.poll({KEY: (Analysis(_monitor(monitor_spec()), None, 0.0), tmp_path)}, 1.0)
        kept = mirrors.unmarked(given, now)
        mirrors.offer(KEY, kept, now)
        account = mirrors.running[KEY].book.total()[0]
        (tmp_path / MIRROR_FILE).unlink()
        mirrors.poll({KEY: (Analysis(_monitor(monitor_spec()), None, 0.0), tmp_path)}, 2.0)
        late = mirrors.unmarked(given[:1], now)
    finally:
        mirrors.close()
    assert [each.id for each in kept] == ["id-1", "id-4", "id-5"]
    assert account.eligible == 2
    assert mirrors.marks == {Mark.OWN: 2, Mark.VALID: 2, Mark.INVALID: 1}
    assert late == given[:1], "nor after its end"


def _marked(exchange: Exchange, seal: Seal, now: float) -> Exchange:
    value = sign(seal, now, exchange.method, exchange.target)
    head = exchange.request_head.replace(b"\r\n\r\n", b"\r\nX-Driftline-Shadow: " + value + b"\r\n\r\n")
    return msgspec.structs.replace(exchange, request_head=head, started=now)


def _monitor(of: MonitorSpec) -> ModelMonitor:
    return ModelMonitor(metadata=Metadata(name="demo", namespace="ml"), spec=of)
