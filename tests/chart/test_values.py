"""Every value is documented where a user reads it, known to the schema, and shown in a golden file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.support.charts import CHART, VALUES, Json

SCHEMA: Json = json.loads((CHART / "values.schema.json").read_text())
TEXT = (CHART / "values.yaml").read_text()
DEFAULTS: Json = yaml.safe_load(TEXT)
_KEY = re.compile(r"^( *)([A-Za-z][\w-]*):")


def known(schema: Json, path: str = "") -> Iterator[str]:
    """The dotted paths that a schema names, without those of free form."""
    for name, each in schema.get("properties", {}).items():
        if "properties" in each and name != "resources":
            yield from known(each, f"{path}{name}.")
        else:
            yield path + name


def given(values: Json, schema: Json, path: str = "") -> Iterator[str]:
    """The dotted paths of values, down to where the schema stops naming them."""
    for name, value in values.items():
        below = schema["properties"].get(name, {})
        if isinstance(value, dict) and "properties" in below and name != "resources":
            yield from given(value, below, f"{path}{name}.")
        else:
            yield path + name


def commented() -> set[str]:
    """The dotted paths in values.yaml that a comment beginning with `# --` stands directly above."""
    found: set[str] = set()
    stack: list[tuple[int, str]] = []
    explained = False
    for line in TEXT.splitlines():
        text = line.strip()
        if text.startswith("#"):
            explained = explained or text.startswith("# --")
            continue
        match = _KEY.match(line)
        if match:
            indent = len(match[1])
            stack = [each for each in stack if each[0] < indent]
            stack.append((indent, match[2]))
            if explained:
                found.add(".".join(name for _, name in stack))
        explained = False
    return found


def test_schema_and_values_have_the_same_keys() -> None:
    assert set(given(DEFAULTS, SCHEMA)) == set(known(SCHEMA)) - {"global"}


def test_every_value_is_explained() -> None:
    assert set(given(DEFAULTS, SCHEMA)) - commented() == set()


def test_every_part_of_the_schema_is_explained() -> None:
    def unexplained(schema: Json, path: str) -> Iterator[str]:
        for name, each in schema.get("properties", {}).items():
            if not each.get("description"):
                yield path + name
            yield from unexplained(each, f"{path}{name}.")

    assert list(unexplained(SCHEMA, "")) == []


def test_unknown_values_are_refused_everywhere() -> None:
    def open_places(schema: Any, path: str) -> Iterator[str]:
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield path
        for name, each in schema.get("properties", {}).items():
            yield from open_places(each, f"{path}.{name}")

    assert list(open_places(SCHEMA, "")) == []


def test_every_value_is_shown_by_a_golden_file() -> None:
    shown = {path for values in VALUES.values() for path in given(values, SCHEMA)}
    assert set(given(DEFAULTS, SCHEMA)) - shown == set()
