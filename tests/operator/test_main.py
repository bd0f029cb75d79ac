"""The programs' command line: what is wrong is said, what is right arrives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from driftline_operator.main import controller_settings, injector_settings, parser

REPO = Path(__file__).parents[2]
LEAST = ["injector", "--namespace=driftline-system", "--sidecar-image=sidecar:1"]


def test_what_the_chart_passes_arrives() -> None:
    given = [*LEAST, "--listen=[::1]:9443", "--watch-namespaces=ml, risk,", "--scrape=podmonitor"]
    given += ["--hub-url=https://driftline-hub.driftline-system.svc:8090"]
    given += ['--analyzer-resources={"limits": {"memory": "1Gi"}}', "--sidecar-pull-secrets=regcred"]
    settings = injector_settings(parser().parse_args(given))
    assert settings.listen == ("::1", 9443)
    assert settings.metrics == ("", 8081)
    assert settings.watch_namespaces == ("ml", "risk")
    assert settings.sidecar.hub_url == "https://driftline-hub.driftline-system.svc:8090"
    assert settings.sidecar.pull_secrets == ("regcred",)
    assert settings.sidecar.analyzer.limits == {"memory": "1Gi"}
    assert settings.sidecar.proxy.requests == {"cpu": "50m", "memory": "64Mi"}


def test_what_the_chart_passes_to_the_controller_arrives() -> None:
    given = ["controller", *LEAST[1:], "--resync=5m", "--status-interval=30s", "--lease-duration=15s"]
    settings = controller_settings(parser().parse_args([*given, "--no-restarts", "--identity=me"]))
    assert (settings.resync, settings.status_interval, settings.lease_duration) == (300, 30, 15)
    assert settings.sidecar.image == "sidecar:1"
    assert not settings.may_restart


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: controller | injector"),
        (LEAST[:2], "--sidecar-image"),
        ([*LEAST, "--listen=9443x"], "must be HOST:PORT or :PORT, not '9443x'"),
        ([*LEAST, "--proxy-resources={"], "must be requests and limits as JSON"),
        ([*LEAST, "--scrape=sometimes"], "invalid choice: 'sometimes'"),
        (["controller", *LEAST[1:], "--resync=soon"], "must be a time such as 30s or 5m, not 'soon'"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == 64
    assert said in capsys.readouterr().err


def test_without_a_cluster_it_ends_and_says_so() -> None:
    command = [sys.executable, "-c", "import sys; from driftline_operator.main import main; sys.exit(main())"]
    ended = subprocess.run(
        [*command, *LEAST, "--kubeconfig=/no/such/file"],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPO,
    )
    assert ended.returncode == 69
    assert '"level":"CRITICAL"' in ended.stderr
    assert "/no/such/file" in ended.stderr
