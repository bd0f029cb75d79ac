"""Strategic merge, case by case; the integration tests hold the same cases against the API server."""

from __future__ import annotations

import copy

import pytest
from driftline_operator.shadow.merging import BadPatch, merged

from tests.support.merges import CASES, LIVE, Json


@pytest.mark.parametrize("name", CASES)
def test_neither_argument_changes(name: str) -> None:
    live, patch = copy.deepcopy(LIVE), copy.deepcopy(CASES[name])
    merged(live, patch)
    assert (live, patch) == (LIVE, CASES[name])


def container(patch: Json) -> Json:
    return dict(merged(LIVE, {"spec": {"containers": [{"name": "model", **patch}]}})["spec"]["containers"][0])


def test_items_are_merged_by_their_key() -> None:
    found = container({"image": "census:4", "env": [{"name": "THREADS", "value": "8"}]})
    assert found["image"] == "census:4"
    assert found["env"][1] == {"name": "THREADS", "value": "8"}
    assert found["ports"] == LIVE["spec"]["containers"][0]["ports"]


def test_what_is_new_comes_before_what_isnt_patched() -> None:
    found = merged(LIVE, {"spec": {"containers": [{"name": "extra", "image": "x"}]}})
    assert [each["name"] for each in found["spec"]["containers"]] == ["extra", "model", "helper"]


def test_null_takes_away() -> None:
    assert "env" not in container({"env": None})


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "needs name"),
        ({"spec": {"containers": ["x"]}}, "needs name"),
        ({"spec": {"$setElementOrder/containers": [{"name": "model"}]}}, "not supported"),
        ({"spec": {"$patch": "mend"}}, "none of merge, replace and delete"),
    ],
)
def test_what_cant_be_applied_says_why(patch: Json, said: str) -> None:
    with pytest.raises(BadPatch, match=said):
        merged(LIVE, patch)
