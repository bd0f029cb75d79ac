"""The prediction log with a hub that is away, slow, full or wrong: nothing is lost unsaid or counted twice.

The real analyzer, fed through its socket; a hub that checks every request and keeps rows by their key.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from driftline_sidecar.exchange import Exchange

from tests.support.analysis import document, frames, predicted
from tests.support.analyzers import Running
from tests.support.children import child, count, eventually, free_port
from tests.support.fake_hub import TOKEN, FakeHub, hub

LABELS = ("  reference: {capture", "  labels: {features: [age]}\n  reference: {capture")


@pytest.fixture
def taking() -> Iterator[FakeHub]:
    with hub() as found:
        yield found


@contextlib.contextmanager
def analyzer(
    directory: Path, url: str, *options: str, token: str = TOKEN, before: tuple[str, ...] = ()
) -> Iterator[Running]:
    """An analyzer whose monitor has labels; `before`: a program that starts it."""
    (directory / "monitor.yaml").write_text(document(LABELS))
    (directory / "hub-token").write_text(token)
    port = free_port()
    command = [*before, sys.executable, "-m", "driftline_sidecar.main", "analyzer"]
    command += ["--monitor", str(directory / "monitor.yaml"), "--tee", str(directory / "tee.sock")]
    command += ["--admin", f"127.0.0.1:{port}", "--hub", url, "--hub-token", str(directory / "hub-token")]
    with child([*command, *options], directory / "analyzer.log") as process:
        running = Running(process, directory, port)
        eventually(lambda: running.ready() or process.poll() is not None, 20)
        assert process.poll() is None, running.log.read_text()
        yield running


def feed(running: Running, first: int, rows: int, boot: int = 7) -> list[Exchange]:
    """Predictions `first` and following, acknowledged by the analyzer."""
    now = running.now()
    made = [predicted(now, float(i % 40), sequence=i) for i in range(first, first + rows)]
    running.deliver(frames(made, boot))
    return made


def figure(running: Running, name: str, **labels: str) -> float:
    return count(running.text("/metrics"), f"prediction_log_{name}", **labels)


def delivered(running: Running, rows: int, seconds: float = 15.0) -> None:
    eventually(lambda: figure(running, "rows_total") >= rows, seconds)


def sequences(found: FakeHub) -> list[int]:
    return sorted(sequence for _, _, _, sequence, _ in found.predictions)


def test_predictions_reach_the_hub_once_with_what_is_named(tmp_path: Path, taking: FakeHub) -> None:
    with analyzer(tmp_path, taking.url) as running:
        feed(running, 1, 1200)
        delivered(running, 1200)
        assert figure(running, "dropped_total") == figure(running, "backlog_bytes") == 0
        assert figure(running, "sends_total", outcome="delivered") == taking.requests["/v1/predictions"]
    assert sequences(taking) == list(range(1, 1201))
    assert taking.received == 1200
    key, row = next(iter(taking.predictions.items()))
    assert key[:3] == ("ml", "demo", f"{7:016x}")
    assert (row.prediction, row.score, row.version) == ("yes", 0.4, "1")
    assert row.features == {"age": float(row.sequence % 40)}
    assert max(len(body) for body in taking.bodies) < 100_000
    assert set(taking.encodings) == {"gzip"}


def test_a_hub_that_comes_later_gets_everything_and_the_analysis_never_waited(tmp_path: Path) -> None:
    port = free_port()
    with analyzer(tmp_path, f"http://127.0.0.1:{port}") as running:
        feed(running, 1, 3000)
        eventually(lambda: count(running.text("/metrics"), "rows_total") == 3000, 5)
        eventually(lambda: figure(running, "sends_total", outcome="unreachable") >= 2)
        assert figure(running, "backlog_bytes") > 0
        assert count(running.text("/metrics"), "analyzer_loop_lag_seconds") < 1
        with hub(port=port) as late:
            delivered(running, 3000, 30)
            assert sequences(late) == list(range(1, 3001))
        assert running.log.read_text().count("hub_unwilling") == 1


@pytest.mark.slow
def test_a_hanging_hub_holds_nothing_up_but_its_own_rows(tmp_path: Path, taking: FakeHub) -> None:
    taking.delay = 60.0
    with analyzer(tmp_path, taking.url) as running:
        for batch in range(10):
            feed(running, 1 + batch * 500, 500)
        eventually(lambda: count(running.text("/metrics"), "rows_total") == 5000, 5)
        assert running.get("/healthz")[0] == 200
        assert figure(running, "rows_total") == 0
        taking.delay = 0.0
        delivered(running, 5000, 30)  # the first try ends by its own timeout
        assert sequences(taking) == list(range(1, 5001))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (500, "failed"),
        (429, "busy"),
        (503, "busy"),
        (401, "unauthorized"),
        (404, "unknown_monitor"),
        (408, "failed"),
    ],
)
def test_what_may_be_right_later_waits(tmp_path: Path, taking: FakeHub, status: int, outcome: str) -> None:
    taking.status = status
    with analyzer(tmp_path, taking.url) as running:
        feed(running, 1, 100)
        eventually(lambda: figure(running, "sends_total", outcome=outcome) >= 2)
        assert figure(running, "dropped_total") == figure(running, "rows_total") == 0
        taking.status = 0
        delivered(running, 100)
        assert figure(running, "dropped_total") == figure(running, "backlog_bytes") == 0


def test_what_never_will_be_right_is_dropped_and_said_once(tmp_path: Path, taking: FakeHub) -> None:
    taking.status = 400
    with analyzer(tmp_path, taking.url) as running:
        for batch in range(3):
            feed(running, 1 + batch * 500, 500)
        eventually(lambda: figure(running, "dropped_total", reason="refused") == 1500)
        taking.status = 0
        feed(running, 1501, 500)
        delivered(running, 500)
        assert running.log.read_text().count("hub_unwilling") == 1
    assert sequences(taking) == list(range(1501, 2001))


def test_a_hub_of_smaller_requests_gets_halves(tmp_path: Path, taking: FakeHub) -> None:
    taking.most_rows = 70
    with analyzer(tmp_path, taking.url) as running:
        feed(running, 1, 500)
        delivered(running, 500)
        assert figure(running, "dropped_total") == 0
        assert figure(running, "sends_total", outcome="too_large") == 7  # 500, 250 twice, 125 four times
    assert sequences(taking) == list(range(1, 501))
    assert taking.received == 500


def test_another_server_s_200_is_no_acknowledgement(tmp_path: Path, taking: FakeHub) -> None:
    with analyzer(tmp_path, taking.url) as running:
        (tmp_path / "hub-token").write_text("")
        feed(running, 1, 10)
        eventually(lambda: figure(running, "sends_total", outcome="no_token") >= 1)
        (tmp_path / "hub-token").write_text(TOKEN)
        taking.status = 200
        eventually(lambda: figure(running, "sends_total", outcome="failed") >= 1)
        assert figure(running, "rows_total") == 0
        taking.status = 0
        delivered(running, 10)


def test_what_a_killed_analyzer_had_is_sent_by_its_successor_once(tmp_path: Path, taking: FakeHub) -> None:
    state = tmp_path / "state"
    taking.takes_then_fails = True  # rows are in the hub, and nobody has heard of it
    with analyzer(tmp_path, taking.url, "--state", str(state)) as running:
        feed(running, 1, 2000)
        eventually(lambda: len(list(state.rglob("*.json"))) == 4 and taking.received >= 500)
        running.process.kill()
        running.process.wait(10)
    assert taking.predictions
    taking.takes_then_fails = False
    with analyzer(tmp_path, taking.url, "--state", str(state)) as running:
        delivered(running, 2000)
        feed(running, 2001, 500, boot=8)
        delivered(running, 2500)
        eventually(lambda: not list(state.rglob("*.json")))
    assert sequences(taking) == list(range(1, 2501))
    assert taking.received > 2500  # some came twice, and counted once


def test_what_an_ending_analyzer_cannot_deliver_waits_in_its_directory(tmp_path: Path) -> None:
    state, port = tmp_path / "state", free_port()
    with analyzer(tmp_path, f"http://127.0.0.1:{port}", "--state", str(state)) as running:
        feed(running, 1, 1250)
        assert running.stop() == 0
    with hub(port=port) as late, analyzer(tmp_path, late.url, "--state", str(state)) as running:
        delivered(running, 1250)
        assert sequences(late) == list(range(1, 1251))


def test_an_ending_analyzer_delivers_what_it_has(tmp_path: Path, taking: FakeHub) -> None:
    with analyzer(tmp_path, taking.url) as running:
        feed(running, 1, 777)
        assert running.stop() == 0
    assert sequences(taking) == list(range(1, 778))


def test_without_a_directory_an_ending_analyzer_says_what_it_loses(tmp_path: Path) -> None:
    with analyzer(tmp_path, f"http://127.0.0.1:{free_port()}") as running:
        feed(running, 1, 600)
        assert running.stop() == 0
        assert "600 are lost" in running.log.read_text()


def test_a_full_directory_leaves_memory(tmp_path: Path) -> None:
    """Files of more than 20 kB can't be written, as on a full disk: the write fails in the middle."""
    state, port = tmp_path / "state", free_port()
    url = f"http://127.0.0.1:{port}"
    with analyzer(tmp_path, url, "--state", str(state), before=("prlimit", "--fsize=20000")) as running:
        feed(running, 1, 1000)
        eventually(lambda: "spool_unusable" in running.log.read_text())
        # What was written of the file goes a moment after that is said.
        eventually(
            lambda: not [path for path in state.rglob("*") if path.is_file() and path.suffix != ".profile"]
        )
        feed(running, 1001, 30)
        with hub(port=port) as late:
            delivered(running, 1030, 30)
            assert sequences(late) == list(range(1, 1031))
        assert figure(running, "dropped_total") == 0


@pytest.mark.slow
def test_the_spool_is_bounded_and_says_what_went(tmp_path: Path) -> None:
    port = free_port()
    with analyzer(tmp_path, f"http://127.0.0.1:{port}") as running:
        sent = 0
        while figure(running, "dropped_total", reason="spool_full") == 0:
            assert sent < 200_000
            feed(running, sent + 1, 5000)
            sent += 5000
        eventually(lambda: count(running.text("/metrics"), "rows_total") == sent, 30)
        assert figure(running, "backlog_bytes") <= 8 << 20
        with hub(port=port) as late:
            eventually(lambda: figure(running, "backlog_bytes") == 0, 60)
            eventually(lambda: figure(running, "rows_total") + figure(running, "dropped_total") == sent, 10)
            lost = int(figure(running, "dropped_total", reason="spool_full"))
            assert sequences(late) == list(range(lost + 1, sent + 1))  # the oldest went


def test_tls_is_checked_against_the_authority(tmp_path: Path) -> None:
    ours, theirs = authority(tmp_path, "ours"), authority(tmp_path, "theirs")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours.with_suffix(".crt"), ours.with_suffix(".key"))
    ca = tmp_path / "ca.crt"
    with hub(context) as safe, analyzer(tmp_path, safe.url, "--hub-ca", str(ca)) as running:
        feed(running, 1, 10)
        eventually(lambda: figure(running, "sends_total", outcome="no_ca") >= 1)
        ca.write_bytes(theirs.with_suffix(".crt").read_bytes())
        eventually(lambda: figure(running, "sends_total", outcome="unreachable") >= 1)
        assert safe.requests == {}
        ca.write_bytes(ours.with_suffix(".crt").read_bytes())
        delivered(running, 10)


def test_in_a_pod_token_and_authority_are_the_mounted_ones(tmp_path: Path) -> None:
    """As injected: `--config` with the monitor's folder, `ca.crt` in it, and the namespace's token."""
    ours = authority(tmp_path, "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours.with_suffix(".crt"), ours.with_suffix(".key"))
    folder, port = tmp_path / "config" / "demo", free_port()
    folder.mkdir(parents=True)
    (folder / "monitor.yaml").write_text(document(LABELS))
    (folder / "ca.crt").write_bytes(ours.with_suffix(".crt").read_bytes())
    (tmp_path / "token").write_text(TOKEN)
    command = [sys.executable, "-m", "driftline_sidecar.main", "analyzer", "--fleet"]
    command += ["--config", str(folder.parent), "--tee", str(tmp_path / "tee.sock")]
    command += ["--admin", f"127.0.0.1:{port}", "--token", str(tmp_path / "token")]
    command += ["--state", str(tmp_path / "state")]
    with hub(context) as safe, child([*command, "--hub", safe.url], tmp_path / "analyzer.log") as process:
        running = Running(process, tmp_path, port)
        eventually(running.ready, 20)
        feed(running, 1, 600)
        delivered(running, 600)
        assert sequences(safe) == list(range(1, 601))


def authority(directory: Path, name: str) -> Path:
    """A certificate for 127.0.0.1 that is its own authority: NAME.crt and NAME.key."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    )
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = builder.add_extension(address, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    path = directory / name
    path.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path
