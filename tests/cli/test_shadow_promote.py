"""`driftline shadow promote` by way of kubectl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_profile_apply import fake
from tests.support.commands import driftline


def cluster(
    directory: Path, monkeypatch: pytest.MonkeyPatch, verdict: str = "Promotable", observed: int = 3
) -> Path:
    """A kubectl that has one shadow, and writes down what it is asked."""
    status = {"verdict": verdict, "reason": "TooEarly", "observedGeneration": observed}
    (directory / "sd.json").write_text(json.dumps({"metadata": {"generation": 3}, "status": status}))
    asked = directory / "asked"
    fake(directory, f'echo "$@" >> {asked}; case "$*" in *get*) cat {directory}/sd.json;; esac', monkeypatch)
    return asked


def test_the_generation_that_was_compared_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = cluster(tmp_path, monkeypatch)
    run = driftline("shadow", "promote", "v4", "-n", "ml")
    assert run.code == 0, run.err
    assert asked.read_text().splitlines()[1] == (
        "--namespace=ml annotate shadowdeployments.driftline.io v4 driftline.io/promote=3 --overwrite"
    )


@pytest.mark.parametrize(
    ("verdict", "observed", "said"),
    [
        ("Inconclusive", 3, "Inconclusive (TooEarly)"),
        ("Rejected", 3, "Rejected"),
        ("Promotable", 2, "changed"),
    ],
)
def test_nothing_else_is_promoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, observed: int, said: str
) -> None:
    asked = cluster(tmp_path, monkeypatch, verdict, observed)
    run = driftline("shadow", "promote", "v4")
    assert run.code == 69
    assert said in run.err
    assert "annotate" not in asked.read_text()
