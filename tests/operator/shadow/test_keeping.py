"""A shadow's ConfigMap: what is in it, and that the largest is one that the API server takes."""

from __future__ import annotations

import base64
import json

from driftline.shadow import comparison, sample
from driftline.shadow.sample import Disagreement
from driftline_operator import names
from driftline_operator.shadow import book
from driftline_operator.shadow.course import Course
from driftline_operator.shadow.keeping import kept
from driftline_operator.shadow.observed import observe_shadow

from tests.operator.shadow.test_plan import shadow
from tests.shadow.test_comparison import census, worst
from tests.support.shadows import snapshot

COURSE = Course(uid="uid-v4", generation=1)
OBSERVED = observe_shadow(shadow())


def test_what_pairs_say_is_kept_for_people() -> None:
    text = comparison.listed(comparison.comparison(snapshot(census())))
    body = kept(OBSERVED, COURSE, b"", {names.COMPARISON_KEY: text, names.PATCH_KEY: ""}).body
    assert body["data"].keys() == {names.COURSE_KEY, "comparison.json"}
    assert json.loads(body["data"]["comparison.json"])["requests"] == 10


def test_the_largest_leaves_a_hundred_kilobytes_for_the_live_workloads_template() -> None:
    shown = "𝔛" * sample.MAX_TEXT
    entries = [Disagreement(1.0, f"{shown[:200]}{n}", shown, shown) for n in range(sample.KEPT)]
    texts = {
        names.DISAGREEMENTS_KEY: sample.listed(entries),
        names.COMPARISON_KEY: comparison.listed(comparison.comparison(snapshot(worst()))),
    }
    body = kept(OBSERVED, COURSE, b"\xff" * book.MOST_BYTES, texts).body
    text = sum(len(key) + len(value.encode()) for key, value in body["data"].items())
    assert text > 100 << 10, "both are nearly as large as they may be"
    # As the API server counts it the values are decoded; etcd's limit is on what is sent.
    sent = sum(len(value) for value in body["binaryData"].values())
    assert len(base64.b64decode(body["binaryData"][names.PAIRS_KEY])) == book.MOST_BYTES
    assert sent + text < (1 << 20) - 100_000
