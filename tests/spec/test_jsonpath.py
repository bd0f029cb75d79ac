import re

import pytest
from driftline.jsonpath import PATTERN, of_key, parse_path
from hypothesis import given
from hypothesis import strategies as st

BODY = {
    "ssn": "root",
    "user": {"ssn": "deep", "x y": 1},
    "rows": [{"a": 1, "ssn": "first"}, {"a": 2}],
    "grid": [[1, 2], [3, 4]],
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$.ssn", ["root"]),
        ("$.user.ssn", ["deep"]),
        ("$['user']['x y']", [1]),
        ('$["user"].ssn', ["deep"]),
        ("$.rows[1].a", [2]),
        ("$.rows[*].a", [1, 2]),
        ("$.rows.*.a", [1, 2]),
        ("$..ssn", ["root", "deep", "first"]),
        ("$.grid[0][1]", [2]),
        ("$.nothing.here", []),
        ("$.ssn.deeper", []),
        ("$.rows[9]", []),
    ],
)
def test_a_path_selects_in_document_order(path: str, values: list[object]) -> None:
    assert list(parse_path(path).select(BODY)) == values


def test_the_root_is_the_document_itself() -> None:
    assert list(parse_path("$").select(BODY)) == [BODY]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "$a",
        "$.",
        "$.a[",
        "$...a",
        "$.a b",
        "$[-1]",
        "$[]",
        "$[?(@.a)]",
        "$[0:2]",
        "$.a" * 40,
        "$..a..b",
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_path(text)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("$.a", "$.a", True),
        ("$.a", "$.a.b", True),
        ("$.a.b", "$.a", False),
        ("$.*", "$.a", True),
        ("$.a", "$.*", False),
        ("$..ssn", "$.rows[0].ssn", True),
        ("$..ssn", "$.rows[0].ssn.part", True),
        ("$.ssn", "$.user.ssn", False),
        ("$.rows[*].a", "$.rows[3].a", True),
    ],
)
def test_covering(wide: str, narrow: str, covers: bool) -> None:
    assert parse_path(wide).covers(parse_path(narrow)) is covers


@given(st.text(min_size=1), st.integers())
def test_any_key_can_be_written_as_a_path(key: str, value: int) -> None:
    path = of_key(key)
    assert list(path.select({key: value, key + "x": value + 1})) == [value]
    assert parse_path(path.text).segments == path.segments


@given(st.text())
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        path = parse_path("$" + text)
    except ValueError:
        return
    assert path.text == "$" + text
    assert path.covers(path)


@given(st.text(alphabet="$.*[]'\"\\a0_-é^ ", max_size=12).map(lambda text: "$" + text))
def test_the_schemas_pattern_takes_what_is_a_path(text: str) -> None:
    try:
        parse_path(text)
    except ValueError as error:
        said = str(error)
        counted = "recursive" in said or "steps" in said  # what a pattern can't count
        assert counted or re.search(PATTERN, text) is None
    else:
        assert re.search(PATTERN, text)
