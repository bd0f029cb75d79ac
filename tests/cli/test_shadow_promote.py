"""`driftline shadow promote`, `disagreements` and `comparison` by way of kubectl."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from driftline.shadow import comparison
from driftline.shadow.sample import Disagreement, listed
from driftline.shadow.tally import Tally

from tests.cli.test_profile_apply import fake
from tests.shadow.test_comparison import bodies, census, worst
from tests.support.commands import driftline
from tests.support.shadows import snapshot


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
    annotate = "--namespace=ml annotate shadowdeployments.driftline.io v4 driftline.io/promote=3/"
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"  # another value each time: a refused one stays refused
    assert re.fullmatch(f"{re.escape(annotate)}{time} --overwrite", asked.read_text().splitlines()[1])


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


def test_the_largest_disagreements_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Disagreement(0.5, "id\x1b[2J", "yes, no", "no, no")
    kept = {"data": {"disagreements.json": listed([entry])}}
    (tmp_path / "cm.json").write_text(json.dumps(kept))
    fake(tmp_path, f'echo "$@" >> {tmp_path}/asked; cat {tmp_path}/cm.json', monkeypatch)
    run = driftline("shadow", "disagreements", "v4", "-n", "ml")
    assert run.code == 0, run.err
    assert (tmp_path / "asked").read_text().strip() == (
        "--namespace=ml get configmap driftline.shadow.v4 --ignore-not-found --output=json"
    )
    lines = run.out.splitlines()
    assert lines[0].startswith("0.5  id")
    assert "\x1b" not in run.out, "a terminal obeys nothing that a client sent"
    assert lines[1:] == ["    live       yes, no", "    candidate  no, no"]
    assert json.loads(driftline("shadow", "disagreements", "v4", "--json").out)[0]["request"] == "id\x1b[2J"


def test_one_that_no_controller_has_seen_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, 'echo \'{"metadata": {"generation": 1}}\'', monkeypatch)
    run = driftline("shadow", "promote", "v4")
    assert run.code == 69
    assert "no controller has looked at it yet" in run.err


@pytest.mark.parametrize("part", ["disagreements", "comparison"])
def test_before_anything_is_kept_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    fake(tmp_path, 'case "$*" in *configmap*) ;; *) echo "{}";; esac', monkeypatch)
    run = driftline("shadow", part, "v4")
    assert run.code == 0, run.err
    assert "no request is known" in run.out


def test_a_shadow_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = 'case "$*" in *configmap*) ;; *) echo "shadowdeployments v5 not found" >&2; exit 1;; esac'
    fake(tmp_path, missing, monkeypatch)
    run = driftline("shadow", "comparison", "v5")
    assert run.code == 69
    assert "v5 not found" in run.err


def test_without_disagreements_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "echo '{}'", monkeypatch)
    run = driftline("shadow", "disagreements", "v4")
    assert (run.code, run.out) == (0, "v4: no request is known on which the models differ\n")


def compared(directory: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, *options: str) -> str:
    """What `driftline shadow comparison` prints of these pairs."""
    kept = {"data": {"comparison.json": comparison.listed(comparison.comparison(snapshot(tally)))}}
    (directory / "cm.json").write_text(json.dumps(kept))
    fake(directory, f"cat {directory}/cm.json", monkeypatch)
    run = driftline("shadow", "comparison", "v4", *options)
    assert run.code == 0, run.err
    return run.out


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_what_the_pairs_say_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = words(compared(tmp_path, monkeypatch, census()))
    assert ["requests", "10"] in found
    assert found[1][:2] == ["agreement", "0.8"]
    assert ["live", "\\", "candidate", "no", "yes", "other"] in found, "a row is what the live model said"
    assert ["no", "5", "1", "0"] in found
    assert ["yes", "0", "3", "1"] in found
    assert ["no", "60.00%", "50.00%"] in found
    (women,) = [line for line in found if line[:3] == ["sex", "=", "f"]]
    assert women[3:5] == ["3", "0.3333"]
    assert json.loads(compared(tmp_path, monkeypatch, census(), "--json"))["rows"] == 10


def test_fields_of_bodies_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = words(compared(tmp_path, monkeypatch, bodies()))
    assert ["field", "compared", "changed", "type", "missing", "added"] in found
    assert ["$.a", "2", "1", "1", "0", "0"] in found


def test_of_much_the_most_telling_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = compared(tmp_path, monkeypatch, worst())
    assert len(text.splitlines()) < 80
    assert max(map(len, text.splitlines())) < 180
    assert "left out for want of room" in text


def test_without_pairs_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "echo '{}'", monkeypatch)
    run = driftline("shadow", "comparison", "v4")
    assert (run.code, run.out) == (0, "v4: no request is known to be compared yet\n")
    assert json.loads(driftline("shadow", "comparison", "v4", "--json").out) == {}
