"""Many paths followed along a document at once hide what each of them names, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from driftline.jsonpath import parse_path
from driftline.redactions import Redactions, children
from hypothesis import given, settings
from hypothesis import strategies as st

MARK = object()
JSON = st.recursive(
    st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=25,
)
PATHS = st.sampled_from(
    ["$", "$.a", "$..a", "$.a.b", "$..a.b", "$.a..b", "$[0]", "$.a[1]", "$.*", "$[*].c", "$.a.*.b", "$..c[0]"]
)


def values(value: object) -> Iterator[object]:
    yield value
    for _, child in children(value):
        yield from values(child)


def boxed(value: Any) -> Any:
    """Every number an object of its own, which can be told from its equals."""
    if isinstance(value, dict):
        return {key: boxed(child) for key, child in value.items()}
    return [boxed(child) for child in value] if isinstance(value, list) else [value]


@settings(max_examples=400, deadline=None)
@given(JSON, st.lists(PATHS, max_size=3))
def test_hidden_is_what_a_path_names_from_any_value_within(document: Any, texts: list[str]) -> None:
    document, paths = boxed(document), [parse_path(text) for text in texts]
    named = {id(found) for path in paths for value in values(document) for found in path.select(value)}
    kept = {id(value) for value in _shown(document, named)}
    left = Redactions(paths).redact(_shell(document), MARK)
    assert {id(value) for value in _origins(left)} == kept


class _List(list[Any]):
    origin: object


class _Dict(dict[str, Any]):
    origin: object


def _shell(value: Any) -> Any:
    """A copy whose containers know what they are copies of."""
    made: Any = _Dict() if isinstance(value, dict) else _List() if isinstance(value, list) else value
    if isinstance(value, dict):
        made.update({key: _shell(child) for key, child in value.items()})
    elif isinstance(value, list):
        made.extend(_shell(child) for child in value)
    if made is not value:
        made.origin = value
    return made


def _origins(value: Any) -> Iterator[object]:
    if hasattr(value, "origin"):
        yield value.origin
    for _, child in children(value):
        yield from _origins(child)


def _shown(value: object, named: set[int]) -> Iterator[object]:
    if id(value) in named:
        return
    if isinstance(value, dict | list):
        yield value
    for _, child in children(value):
        yield from _shown(child, named)


@pytest.mark.parametrize(
    ("document", "left"),
    [
        ({"name": "ssn", "data": [1]}, {"name": "ssn", "data": "?"}),
        ({"name": "other", "data": [1]}, {"name": "other", "data": [1]}),
        (
            {"columns": ["a", "ssn", "ssn"], "data": [[1, 2, 3], [4], 5]},
            {"columns": ["a", "ssn", "ssn"], "data": [[1, "?", "?"], [4], 5]},
        ),
        ([[1, 2], [3, [4]], [5, 6, 7]], [[1, "?"], [3, [4]], [5, 6, 7]]),
        ({"columns": [["ssn"]], "data": 1, "name": {}}, {"columns": [["ssn"]], "data": 1, "name": {}}),
    ],
)
def test_values_that_stand_apart_from_their_name(document: Any, left: Any) -> None:
    redactions = Redactions([parse_path("$.ssn")], ["a", "ssn"])
    assert redactions.redact(copy.deepcopy(document), "?") == left
    assert Redactions().redact(copy.deepcopy(document), "?") == document
