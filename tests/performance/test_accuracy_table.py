"""docs/performance.md says what is measured now."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.performance_accuracy import accuracy

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.mark.slow
def test_the_pages_tables_are_what_is_measured() -> None:
    assert accuracy() in PAGE.read_text()
