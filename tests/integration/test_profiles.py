"""From `driftline profile apply` to what a sidecar mounts, in one ConfigMap or in several."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from driftline.profile import Profile
from driftline.profile_codec import decode_profile, encode_profile
from driftline.profile_parts import PROFILE_LABEL, join_profile
from driftline_operator import names
from driftline_operator.cluster.api import Api
from driftline_operator.cluster.resources import CONFIG_MAPS, MODEL_MONITORS
from driftline_sidecar.analyzer.reference import watch

from e2e.cluster.build import binary
from e2e.cluster.control_plane import ControlPlane
from tests.integration.test_controller import eventually, has, monitor, own, running
from tests.support.commands import Run, driftline
from tests.support.operators import Operator
from tests.support.profiles import reference, texts
from tests.support.wide import wide

__all__ = ["own", "running"]  # fixtures

MOUNTED = names.config_map("census")
Json = dict[str, Any]


def narrow() -> Profile:
    return reference({"age": texts([1, 2, 1, 1] * 100)})


class Applying:
    """The command, with the cluster's own kubectl on the path."""

    def __init__(self, plane: ControlPlane, namespace: str, directory: Path) -> None:
        self._place = ["-n", namespace, "--kubeconfig", plane.kubeconfig]
        self._file = directory / "a.profile"

    def __call__(self, profile: Profile, *more: str, name: str = "census-profile") -> Run:
        self._file.write_bytes(encode_profile(profile))
        return driftline("profile", "apply", self._file, "--name", name, *self._place, *more)


@pytest.fixture
def applying(
    plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Applying:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "kubectl"
    program.write_text(f'#!/bin/sh\nexec {binary()} kubectl "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    return Applying(plane, namespace, tmp_path)


async def config_maps(api: Api, namespace: str, labels: str) -> dict[str, Json]:
    found, _ = await api.list(CONFIG_MAPS, namespace, labels=labels)
    return {each["metadata"]["name"]: dict(each) for each in found}


def content(config_map: Mapping[str, Any]) -> bytes:
    return base64.b64decode(config_map["binaryData"][names.PROFILE_KEY])


async def mounted(api: Api, namespace: str, directory: Path) -> Profile | None:
    """The profile that a sidecar reads of what it would mount now."""
    found = await config_maps(api, namespace, f"{names.MONITOR_LABEL}=census")
    for old in directory.glob("profile*"):
        old.unlink()
    for name, file in [
        (MOUNTED, "profile"),
        *((f"{MOUNTED}-profile-{n}", f"profile-{n}") for n in (2, 3, 4)),
    ]:
        if names.PROFILE_KEY in (found.get(name, {}).get("binaryData") or {}):
            (directory / file).write_bytes(content(found[name]))
    return watch(directory / "profile").poll(0.0)


async def copies(api: Api, namespace: str, profile: Profile) -> list[Json] | None:
    """The two parts of a profile that the controller keeps: written one after the other."""
    kept = await config_maps(api, namespace, f"{names.MONITOR_LABEL}=census")
    prefix = names.profile_config_map("census", profile.hash)
    parts = [each for name, each in kept.items() if name.startswith(prefix)]
    return parts if len(parts) == 2 else None


async def test_a_profile_of_several_config_maps_reaches_the_sidecars(
    api: Api, namespace: str, running: Operator, applying: Applying, tmp_path: Path
) -> None:
    (folder := tmp_path / "mounted").mkdir()

    async def in_force(profile: Profile) -> bool:
        found = await mounted(api, namespace, folder)
        return found is not None and found.hash == profile.hash

    first, second = wide(), wide(seed=1)
    done = applying(first)
    assert (done.code, done.out) == (0, ""), done.err
    assert f"ConfigMap census-profile: hash {first.hash[:12]}, 2 parts" in done.err
    await api.create(
        MODEL_MONITORS, namespace, monitor(reference={"profile": {"configMap": "census-profile"}})
    )
    await has(api, namespace, "ReferenceReady", "True", "ProfileLoaded")
    await eventually(lambda: in_force(first))
    assert applying(second).code == 0
    await eventually(lambda: in_force(second))
    await has(api, namespace, "ReferenceReady", "True", "ProfileLoaded")
    # The first profile's parts have gone from the user's, and stay as the controller's immutable copy.
    given = await config_maps(api, namespace, f"{PROFILE_LABEL}=census-profile")
    assert len(given) == 2
    assert decode_profile(join_profile(map(content, given.values()))).hash == second.hash
    for profile in (first, second):
        parts = await eventually(partial(copies, api, namespace, profile))
        assert all(each["immutable"] for each in parts)
        assert decode_profile(join_profile(map(content, parts))).hash == profile.hash
    # A profile that fits one ConfigMap takes the place of the parts.
    assert applying(narrow()).code == 0
    await eventually(lambda: in_force(narrow()))
    assert list(await config_maps(api, namespace, f"{PROFILE_LABEL}=census-profile")) == ["census-profile"]

    async def dropped() -> bool:
        left = await config_maps(api, namespace, f"{names.MONITOR_LABEL}=census")
        return f"{MOUNTED}-profile-2" not in left

    await eventually(dropped)


async def test_a_part_that_lacks_is_named_and_may_come(
    api: Api, namespace: str, running: Operator, applying: Applying
) -> None:
    assert applying(wide()).code == 0
    given = await config_maps(api, namespace, f"{PROFILE_LABEL}=census-profile")
    (further,) = set(given) - {"census-profile"}
    await api.delete(CONFIG_MAPS, namespace, further)
    await api.create(
        MODEL_MONITORS, namespace, monitor(reference={"profile": {"configMap": "census-profile"}})
    )
    said = await has(api, namespace, "ReferenceReady", "False", "ProfileInvalid")
    assert f"ConfigMap census-profile leads to {further}, which isn't there" in said["message"]
    assert applying(wide()).code == 0
    await has(api, namespace, "ReferenceReady", "True", "ProfileLoaded")


async def test_what_client_side_apply_could_not_hold(api: Api, namespace: str, applying: Applying) -> None:
    profile = wide(features=100)
    assert len(encode_profile(profile)) > 262_144  # the annotation's limit
    assert applying(profile).code == 0
    found = await api.get(CONFIG_MAPS, namespace, "census-profile")
    assert decode_profile(content(found)).hash == profile.hash
    assert "annotations" not in found["metadata"]


async def test_what_another_has_made_is_taken_over_only_when_told(
    api: Api, namespace: str, applying: Applying
) -> None:
    held = {"metadata": {"name": "census-profile"}, "binaryData": {"profile": "AAAA"}}
    await api.create(CONFIG_MAPS, namespace, held)
    refused = applying(narrow())
    assert refused.code == 69
    assert "conflict" in refused.err
    assert "--force takes it over" in refused.err
    assert content(await api.get(CONFIG_MAPS, namespace, "census-profile")) == b"\0\0\0"
    assert applying(narrow(), "--force").code == 0
    assert content(await api.get(CONFIG_MAPS, namespace, "census-profile")) == encode_profile(narrow())


def test_a_namespace_or_context_that_is_none(applying: Applying) -> None:
    missing = applying(narrow(), "-n", "nowhere")
    assert missing.code == 69
    assert 'namespaces "nowhere" not found' in missing.err
    unknown = applying(narrow(), "--context", "moon")
    assert unknown.code == 69
    assert 'context "moon" does not exist' in unknown.err
