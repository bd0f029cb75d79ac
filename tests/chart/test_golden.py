"""What the chart renders, held against the files of `golden/`, written anew with UPDATE_GOLDEN=1.

`defaults.yaml` shows every object; the others show those that differ from it by their values, and name those
that aren't rendered. A definition is shown by its metadata: `crds/` has it whole.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.charts import VALUES, Json, documents
from tests.support.tools import need

GOLDEN = Path(__file__).parent / "golden"

Key = tuple[str, str, str]


@functools.cache
def rendered(name: str) -> dict[Key, Json]:
    need("go")  # Helm is built with it
    found: dict[Key, Json] = {}
    for each in documents(VALUES[name]):
        metadata = each["metadata"]
        if each["kind"] == "CustomResourceDefinition":
            each["spec"] = {"group": each["spec"]["group"]}
        key = each["kind"], metadata.get("namespace", ""), metadata["name"]
        assert key not in found, "rendered twice"
        found[key] = each
    return found


def shown(name: str) -> Json:
    """What the file says."""
    mine = rendered(name)
    if name == "defaults":
        return {"values": {}, "objects": list(mine.values())}
    usual = rendered("defaults")
    gone = [" ".join(filter(None, key)) for key in usual if key not in mine]
    differing = [each for key, each in mine.items() if each != usual.get(key)]
    return {"values": VALUES[name], "not rendered": gone, "objects": differing}


class Plain(yaml.SafeDumper):
    """Without anchors: a reader shouldn't have to look them up."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("name", VALUES)
def test_the_chart_renders_what_the_file_says(name: str) -> None:
    document = shown(name)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.dump(document, Dumper=Plain, sort_keys=False, width=110))
    assert yaml.safe_load(path.read_text()) == document


def test_every_file_has_its_values() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(VALUES)


@pytest.mark.parametrize("name", [each for each in VALUES if each != "defaults"])
def test_every_set_of_values_changes_something(name: str) -> None:
    found = shown(name)
    assert found["objects"] or found["not rendered"]
