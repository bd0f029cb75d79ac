"""Answers of free form, field by field: what differs, what is hidden, what is bounded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from driftline.jsonpath import parse_path
from driftline.redactions import Redactions
from driftline.shadow import fields, json_diff
from driftline.shadow.fields import Fields
from driftline.shadow.json_diff import MAX_PATH, MAX_SHOWN, Kind
from driftline.shadow.json_diff import json_diff as diff
from driftline.spec.shadow import Tolerance
from hypothesis import given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, "a", "b"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=20,
)


def found(live: Any, candidate: Any, *hidden: str, **tolerance: float) -> list[tuple[str, str]]:
    paths = [parse_path(path) for path in hidden]
    differences = diff(live, candidate, Tolerance(**tolerance), Redactions(paths)).differences
    return [(difference.path, difference.kind.value) for difference in differences]


@pytest.mark.parametrize(
    ("live", "candidate", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1}, {"a": 2}, [("$.a", "Changed")]),
        ({"a": 1}, {"a": "1"}, [("$.a", "Type")]),
        ({"a": 1}, {"a": True}, [("$.a", "Type")]),
        ({"a": None}, {}, [("$.a", "Missing")]),
        ({}, {"a": None}, [("$.a", "Added")]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, [("$.a[*]", "Changed"), ("$.a[*]", "Added")]),
        ({"a": {"x y": 1}}, {"a": {"x y": 2}}, [("$.a['x y']", "Changed")]),
        ({"a": {}}, {"a": []}, [("$.a", "Type")]),
        ({"a": 1}, [1], [("$", "Type")]),
        ("yes", "no", [("$", "Changed")]),
        (1, 1.0, []),
    ],
)
def test_differences(live: Any, candidate: Any, expected: list[tuple[str, str]]) -> None:
    assert found(live, candidate) == expected


def test_numbers_differ_beyond_the_tolerance() -> None:
    assert found({"a": 100}, {"a": 100.9}, absolute=0, relative=0.01) == []
    assert found({"a": 100}, {"a": 101.1}, absolute=0, relative=0.01) == [("$.a", "Changed")]
    assert found({"a": 0.0}, {"a": 0.05}, absolute=0.1) == []


def test_what_is_redacted_is_neither_compared_nor_shown() -> None:
    live = {"user": {"ssn": "1", "name": "a"}, "items": [{"email": "x", "n": 1}]}
    candidate = {"user": {"ssn": "2", "name": "b"}, "items": [{"email": "y", "n": 2}]}
    assert found(live, candidate, "$.ssn", "$..email") == [
        ("$.user.name", "Changed"),
        ("$.items[*].n", "Changed"),
    ]
    result = diff(live, candidate, redactions=Redactions([parse_path("$.ssn"), parse_path("$..email")]))
    assert result.hidden == 2
    assert not {path for path in result.compared if "ssn" in path or "email" in path}
    assert found(live, candidate, "$.user", "$.items") == []
    assert found(live, candidate, "$") == []


@pytest.mark.parametrize(
    ("live", "candidate", "shown"),
    [
        ({"a": {"ssn": "S"}}, {"a": None}, ("object of 1", "null")),
        ({"a": [{"ssn": "S"}]}, {}, ("array of 1", "absent")),
        ({"a": 1}, {"a": True}, ("1", "true")),
        ({"a": 'x"\n'}, {"a": 0.5}, ('"x\\"\\n"', "0.5")),
    ],
)
def test_of_an_object_or_array_only_the_size_is_shown(
    live: Any, candidate: Any, shown: tuple[str, str]
) -> None:
    (difference,) = diff(live, candidate, redactions=Redactions([parse_path("$.ssn")])).differences
    assert (difference.live, difference.candidate) == shown


def test_what_is_shown_of_a_text_is_cut() -> None:
    (difference,) = diff("x" * 10_000, "y").differences
    assert len(difference.live) == MAX_SHOWN


def test_a_number_beyond_every_float_differs() -> None:
    large = 10**400
    assert found({"a": 1.5}, {"a": large}) == found({"a": large}, {"a": 1}) == [("$.a", "Changed")]
    assert found({"a": large}, {"a": large + 1}) == [("$.a", "Changed")]
    assert found({"a": large}, {"a": large}) == []
    assert found({"a": float("inf")}, {"a": large}) == [("$.a", "Changed")]


@settings(max_examples=200, deadline=None)
@given(JSON, JSON)
def test_a_document_differs_from_what_is_not_equal_and_only_that(a: Any, b: Any) -> None:
    assert diff(a, a).equal
    same = diff(a, b, Tolerance(absolute=0, relative=0)).equal
    assert same == (_typed(a) == _typed(b))
    forth, back = diff(a, b), diff(b, a)
    assert len(forth.differences) == len(back.differences)
    assert forth.compared == back.compared


def _typed(value: Any) -> Any:
    """Python's == takes True for 1."""
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    return (isinstance(value, bool), value)


def test_a_hostile_answer_costs_a_bounded_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = msgspec.json.decode(b"[" * 900 + b"]" * 900)
    assert diff(deep, deep).equal
    nested = msgspec.json.decode(b'{"a":' * 900 + b"1" + b"}" * 900)
    (path,) = diff(nested, nested).compared
    assert MAX_PATH < len(path) < MAX_PATH + 10
    monkeypatch.setattr(json_diff, "MAX_VALUES", 100)
    long = diff(list(range(1_000)), list(range(1_000)))
    assert long.undecided
    assert not long.equal
    assert long.compared.total() <= 100
    differs = diff([0, *range(1_000)], [1, *range(1_000)])
    assert differs.truncated
    assert not differs.undecided, "what differs differs, whatever comes after it"


def test_fields_add_up_over_requests() -> None:
    one = Fields.of(diff({"a": 1, "b": [1, 2]}, {"a": 2, "b": [1, 3]}))
    two = Fields.of(diff({"a": 1}, {"a": "1", "c": 1}))
    assert (one + two).kept == {
        "$.a": (2, 1, 1, 0, 0), "$.b[*]": (2, 1, 0, 0, 0), "$.c": (1, 0, 0, 0, 1),
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 40), max_size=12), min_size=3, max_size=3))
def test_fields_merge_in_any_order_within_their_bound(names: list[list[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fields, "KEPT", 8)
        a, b, c = (Fields.of(diff({str(n): 1 for n in side}, {str(n): 2 for n in side})) for side in names)
        assert (a + b) + c == a + (b + c)
        assert a + b == b + a
        assert len((a + b + c).kept) <= 8
        total = sum(tally[0] for tally in (a + b + c).kept.values()) + (a + b + c).others[0]
        assert total == sum(len(set(side)) for side in names)


def test_paths_too_long_to_keep_count_among_the_others() -> None:
    long = Fields.of(diff({"x" * 500: 1}, {"x" * 500: 2}))
    assert long == Fields({}, (1, 1, 0, 0, 0))
    assert {Kind.CHANGED, Kind.TYPE, Kind.MISSING, Kind.ADDED} == set(Kind)
