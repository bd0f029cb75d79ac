"""The table of reasons in the documentation holds every reason, and none that there isn't."""

from __future__ import annotations

import re
from pathlib import Path

from driftline_operator.reasons import SkipReason

PAGE = Path(__file__).parents[3] / "docs" / "kubernetes.md"


def test_the_table_has_every_reason_and_no_other() -> None:
    _, _, after = PAGE.read_text().partition("### Why a pod, or a monitor, gets no sidecar")
    table = after.partition("\n\n**")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [each.value for each in SkipReason]
