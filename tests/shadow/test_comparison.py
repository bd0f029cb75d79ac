"""What pairs say beside the rules: the document of known pairs, and its bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from driftline.shadow.aa import twice_classes
from driftline.shadow.comparison import MOST_BYTES, Comparison, comparison, listed
from driftline.shadow.fields import Fields
from driftline.shadow.json_diff import json_diff
from driftline.shadow.plan import MOST_OUTPUTS, MOST_VALUES, ComparisonPlan
from driftline.shadow.rows import Rows, class_rows, number_rows
from driftline.shadow.tally import Tally

from tests.support.shadows import CLASSES, NUMBERS, requests, snapshot

Json = dict[str, Any]


def document(tally: Tally) -> Json:
    made = comparison(snapshot(tally))
    assert msgspec.json.decode(listed(made), type=Comparison) == made
    found: Json = json.loads(listed(made))
    return found


def census() -> Tally:
    """Ten requests of one row; two of them differ, both of women, and one class is none of the plan's."""
    live = ["no"] * 6 + ["yes"] * 4
    candidate = ["no"] * 5 + ["yes"] * 4 + ["perhaps"]
    scores = np.full(10, 0.5), np.array([0.5] * 5 + [0.75] + [0.5] * 3 + [0.3])
    sex = np.array([1] * 4 + [0, 0] + [1] * 3 + [0])
    rows = class_rows(CLASSES, requests([1] * 10), live, candidate, scores, {"sex": sex})
    return Tally.empty(CLASSES).with_rows(rows)


def test_of_a_classifier() -> None:
    found = document(census())
    assert (found["requests"], found["rows"]) == (10, 10)
    assert found["agreement"]["value"] == pytest.approx(0.8)
    assert found["agreement"]["lower"] < 0.8 < found["agreement"]["upper"]
    assert found["confusion"] == [
        {"live": "no", "candidate": "yes", "rows": 1},
        {"live": "yes", "candidate": "other", "rows": 1},
        {"live": "no", "candidate": "no", "rows": 5},
        {"live": "yes", "candidate": "yes", "rows": 3},
    ]
    assert found["outputs"] == [
        {"output": "no", "live": 0.6, "candidate": 0.5},
        {"output": "yes", "live": 0.4, "candidate": 0.4},
        {"output": "other", "live": 0.0, "candidate": 0.1},
    ]
    delta = found["delta"]
    assert (delta["requests"], delta["clip"], delta["clipped"]) == (10, 1.0, 0)
    assert delta["mean"]["value"] == pytest.approx(0.005)
    assert delta["quantiles"] == pytest.approx({"p05": -0.2, "p25": 0, "p50": 0, "p75": 0, "p95": 0.25})
    assert "noise" not in found


def test_of_each_segments_value() -> None:
    women, men = document(census())["segments"]
    assert (women["segment"], women["value"], women["requests"]) == ("sex", "f", 3)
    assert women["agreement"]["value"] == pytest.approx(1 / 3)
    assert women["delta"]["p95"] == pytest.approx(0.25)
    assert (men["value"], men["requests"], men["agreement"]["value"]) == ("m", 7, 1.0)
    assert men["delta"]["p05"] == men["delta"]["p95"] == 0.0


def test_of_values_with_their_bins_and_what_was_clipped() -> None:
    live, candidate = np.array([-2.0, 0.5, 0.5, 3.0]), np.array([-2.0, 0.5, 1.5, 30.0])
    found = document(Tally.empty(NUMBERS).with_rows(number_rows(NUMBERS, np.arange(4), live, candidate)))
    assert found["confusion"][0] == {"live": "(0, 1]", "candidate": "> 1", "rows": 1}
    assert [each["output"] for each in found["outputs"]] == ["<= -1", "(0, 1]", "> 1"]
    assert (found["delta"]["clipped"], found["delta"]["clip"]) == (1, 5.0)
    assert found["delta"]["mean"]["value"] == pytest.approx((0 + 0 + 1 + 5) / 4)


def test_of_requests_that_went_twice() -> None:
    def codes(*given: int) -> np.ndarray:
        return np.array(given, np.int64)

    first, second = (codes(0, 0, 1, 1), codes(0, 1, 1, 1)), (codes(0, 1, 1, 1), codes(0, 1, 1, 1))
    twice = twice_classes(np.arange(4), first, second)
    noise = document(replace(census(), twice=twice))["noise"]
    assert (noise["requests"], noise["live"], noise["candidate"]) == (4, 0.25, 0.0)
    assert noise["systematic"]["upper"] > 0


def bodies() -> Tally:
    """Two requests whose JSON answers differ."""
    first = json_diff({"a": 1, "b": [1, 2], "c": 0}, {"a": 2, "b": [1, 5], "c": 0})
    second = json_diff({"a": 1, "b": [1, 2], "c": 0}, {"a": "1", "b": [1, 2], "c": 0, "d": 4})
    tally = Tally.empty(ComparisonPlan(sort="body")).with_rows(Rows(np.arange(2), np.ones(2)))
    return replace(tally, fields=Fields.of(first) + Fields.of(second))


def test_of_bodies_the_fields_that_differ_most_often_first() -> None:
    found = document(bodies())
    assert found["fields"] == [
        {"field": "$.a", "compared": 2, "changed": 1, "type": 1},
        {"field": "$.b[*]", "compared": 4, "changed": 1},
        {"field": "$.d", "compared": 1, "added": 1},
    ]
    assert "confusion" not in found


def test_without_a_reference_the_outputs_have_no_names_and_nothing_is_made_up() -> None:
    plan = ComparisonPlan(sort="class")
    rows = class_rows(plan, np.arange(2), ["no", "yes"], ["no", "no"])
    found = document(Tally.empty(plan).with_rows(rows))
    assert found["agreement"]["value"] == 0.5
    assert found.keys().isdisjoint({"confusion", "outputs", "delta", "segments"})


def test_of_no_pairs() -> None:
    found = document(Tally.empty(CLASSES))
    assert found["requests"] == 0
    assert found["agreement"] == {"lower": 0.0, "upper": 1.0}


def worst() -> Tally:
    """Every class confused with every other, every segment's value, every field, in names of four bytes."""
    values = tuple(f"{'𝔙' * 250}{number}" for number in range(MOST_VALUES))
    plan = ComparisonPlan(
        sort="class",
        classes=tuple(f"{'𝔎' * 250}{number}" for number in range(MOST_OUTPUTS)),
        clip=1.0,
        segments=tuple(("𝔖" * 120 + str(number), values) for number in range(8)),
    )
    n = (MOST_OUTPUTS + 1) ** 2
    codes = np.divmod(np.arange(n), MOST_OUTPUTS + 1)
    names = (*plan.classes, "none of them")
    live, candidate = ([names[code] for code in side.tolist()] for side in codes)
    segments = {name: np.arange(n) % (MOST_VALUES + 1) for name, _ in plan.segments}
    rng = np.random.default_rng(0)
    rows = class_rows(plan, np.arange(n), live, candidate, (rng.random(n), rng.random(n)), segments)
    wide = {f"{'𝔉' * 240}{number}": number for number in range(300)}
    fields = Fields.of(json_diff(wide, dict.fromkeys(wide, -1)))
    return replace(Tally.empty(plan).with_rows(rows), fields=fields)


def test_the_document_is_bounded_and_says_what_it_leaves_out() -> None:
    found = comparison(snapshot(worst()))
    whole = msgspec.json.encode(found)
    assert len(whole) > 4 * MOST_BYTES
    text = listed(found)
    assert MOST_BYTES // 2 < len(text.encode()) <= MOST_BYTES
    kept = msgspec.json.decode(text, type=Comparison)
    for name in ("confusion", "segments", "fields"):
        before, after = getattr(found, name), getattr(kept, name)
        assert after == before[: len(after)]
        assert kept.left_out.get(name, 0) == len(before) - len(after)
        assert after
    assert (len(found.confusion), len(found.segments)) == ((MOST_OUTPUTS + 1) ** 2, 8 * (MOST_VALUES + 1))
    assert all(a.rows >= b.rows for a, b in pairwise(kept.confusion))


def test_names_that_look_alike_are_told_apart() -> None:
    plan = ComparisonPlan(sort="class", classes=("x" * 80, "x" * 90, "other"), segments=(("s", ("other",)),))
    names = plan.output_names
    assert names[0] == "x" * 63 + "…"
    assert names[1] == f"{names[0]} (2)"
    assert names[2:] == ("other", "other (2)")
    assert plan.segment_names("s") == ("other", "other (2)")
