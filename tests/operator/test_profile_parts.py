"""A profile's ConfigMaps: what is planned of one in parts, and what is found again among a monitor's."""

from __future__ import annotations

import base64
from typing import Any

from driftline.profile_codec import encode_profile
from driftline.profile_parts import further_names, join_profile
from driftline_operator import names
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.observed import Observed, Reference, observe
from driftline_operator.controller.plan import objects
from driftline_operator.controller.references import copies, mounted_parts, surplus

from tests.support.wide import wide

MADE = "2026-11-27T12:00:00.000000Z"
Json = dict[str, Any]


def observed(name: str = "census") -> Observed:
    return observe({"kind": "ModelMonitor", "metadata": {"name": name, "namespace": "ml", "uid": "u-1"}})


def large(seed: int = 0) -> Reference:
    profile = wide(seed)
    return Reference(ReferenceReason.PROFILE_LOADED, "", encode_profile(profile), profile.hash)


def bodies(reference: Reference, made: str = MADE) -> list[Json]:
    return [dict(each.body) for each in objects.profile_copy(observed(), reference, made)]


def content(body: Json) -> bytes:
    return base64.b64decode(body["binaryData"][names.PROFILE_KEY])


def test_a_copy_is_whole_once_its_first_part_is_there() -> None:
    reference = large()
    *further, first = bodies(reference)
    assert further
    assert all(each["immutable"] for each in (*further, first))
    assert join_profile([content(first), *map(content, further)]) == reference.profile
    called = further_names(first["metadata"]["name"], content(first))
    assert tuple(each["metadata"]["name"] for each in further) == called
    assert copies(further) == []  # without it, none is counted


def test_all_parts_of_a_surplus_copy_go() -> None:
    old, new = bodies(large(0), MADE), bodies(large(1), MADE.replace("12:00", "13:00"))
    found = copies([*old, *new])
    assert [each.profile_hash for each in found] == [wide(1).hash, wide(0).hash]
    (gone,) = surplus(found, wide(1).hash, 0)
    assert {gone.name, *gone.further} == {each["metadata"]["name"] for each in old}


def test_parts_that_are_mounted_are_told_from_those_of_copies() -> None:
    mounted = [dict(each.body) for each in objects.further_parts(observed(), large())]
    found = mounted_parts("census", [*mounted, *bodies(large())])
    assert found == ("driftline-census-profile-2",)
    # A monitor of that name has a ConfigMap of that name, which is no part.
    other = {"metadata": {"name": "driftline-census-profile-3", "labels": objects.labels("census-profile-3")}}
    assert mounted_parts("census", [*mounted, other]) == found


def test_a_small_profile_has_no_further_parts() -> None:
    reference = Reference(ReferenceReason.PROFILE_LOADED, "", b"x" * 1000, "h" * 64)
    assert objects.further_parts(observed(), reference) == []
    assert len(objects.profile_copy(observed(), reference, MADE)) == 1
