"""`driftline profile apply`, as far as it needs no cluster; the rest is in `tests/integration`."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from driftline.profile_codec import encode_profile
from driftline.profile_parts import MOST_BYTES, PART_BYTES, join_profile
from driftline_cli.config_maps import config_maps, outdated
from driftline_cli.exits import WrongUsage

from tests.support.commands import driftline
from tests.support.profiles import reference, texts
from tests.support.wide import wide


def small(directory: Path) -> Path:
    path = directory / "small.profile"
    path.write_bytes(encode_profile(reference({"c": texts([1, 2, 1, 1] * 100)})))
    return path


def fake(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "kubectl").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_a_small_profile_is_one_config_map() -> None:
    (only,) = config_maps("census", b"x" * PART_BYTES)
    assert only["metadata"]["labels"] == {"driftline.io/profile": "census"}
    assert "immutable" not in only


def test_a_large_one_is_several_and_its_first_part_comes_last() -> None:
    data = encode_profile(wide())
    assert len(data) > PART_BYTES
    made = config_maps("census", data)
    assert [each.get("immutable", False) for each in made] == [True, False]
    assert made[-1]["metadata"]["name"] == "census"
    assert join_profile(base64.b64decode(each["binaryData"]["profile"]) for each in made) == data
    other = config_maps("census", encode_profile(wide(seed=1)))
    present = [each["metadata"]["name"] for each in [*made, *other]]
    assert outdated(present, other) == [made[0]["metadata"]["name"]]


def test_what_no_cluster_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="watch fewer features"):
        config_maps("census", b"x" * (MOST_BYTES + 1))


@pytest.mark.parametrize("name", ["Census", "a.b", "-a", "a" * 64, ""])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="at most 63"):
        config_maps(name, b"x")
    run = driftline("profile", "apply", small(tmp_path), f"--name={name}")
    assert (run.code, "at most 63" in run.err) == (64, True)


def test_no_kubectl_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = driftline("profile", "apply", small(tmp_path), "--name=census")
    assert run.code == 69
    assert "kubectl is not on the path" in run.err


def test_what_kubectl_says_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "echo 'error: no such host' >&2; exit 1", monkeypatch)
    run = driftline("profile", "apply", small(tmp_path), "--name=census")
    assert run.code == 69
    assert "driftline: kubectl get: error: no such host" in run.err


def test_the_place_is_handed_to_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, f'echo "$@" >> {tmp_path}/asked', monkeypatch)
    given = ["-n", "ml", "--context=prod", "--kubeconfig=/a b", "--force"]
    run = driftline("profile", "apply", small(tmp_path), "--name=census", *given)
    assert run.code == 0
    first = (tmp_path / "asked").read_text().splitlines()[0]
    assert first.startswith("--kubeconfig=/a b --context=prod --namespace=ml apply --server-side")
    assert first.endswith("--force-conflicts")


def test_a_file_that_is_no_profile_is_told_before_the_cluster_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.profile"
    path.write_text("no profile")
    run = driftline("profile", "apply", path, "--name=census")
    assert run.code == 65
    assert "not a Driftline profile" in run.err


STRANGE = '{"metadata": {"name": "census"}, "data": {"settings": "theirs"}}'
BY_HAND = '{"metadata": {"name": "census"}, "binaryData": {"profile": "AAAA"}}'


@pytest.mark.parametrize(
    ("present", "options", "refused"),
    [(STRANGE, [], True), (STRANGE, ["--force"], False), (BY_HAND, [], False), ("", [], False)],
)
def test_a_config_map_that_is_no_profile_is_left_alone_unless_forced(
    present: str, options: list[str], refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"""echo "$@" >> {tmp_path}/asked
case "$*" in *--output=json*) echo '{present}';; esac"""
    fake(tmp_path, script, monkeypatch)
    run = driftline("profile", "apply", small(tmp_path), "--name=census", *options)
    asked = (tmp_path / "asked").read_text()
    assert ("apply --server-side" in asked) is not refused
    if refused:
        assert run.code == 65
        assert "holds no profile" in run.err
    else:
        assert run.code == 0, run.err
