"""The list of cases in README.md names every golden file, and no test that there isn't."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
TABLE = (HERE / "README.md").read_text().partition("|---|---|")[2]
NAMED = re.findall(r"`([^`]+)`", TABLE)


def test_every_golden_file_is_named_and_is_there() -> None:
    files = {path.stem for path in (HERE / "golden").glob("*.yaml")}
    assert {each for each in NAMED if "/" not in each and "::" not in each} == files


def test_every_named_test_is_there() -> None:
    path = ""
    for each in NAMED:
        if "/" not in each and "::" not in each:
            continue
        place, _, name = each.partition("::")
        path = place or path
        text = (TESTS / path).read_text()
        assert not name or f"def {name}(" in text, each
