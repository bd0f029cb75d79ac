"""The table of the hub's reasons in the documentation holds every reason, and none that there isn't."""

from __future__ import annotations

import re
from pathlib import Path

from driftline_operator.conditions import HubReason

PAGE = Path(__file__).parents[3] / "docs" / "kubernetes.md"


def test_the_table_has_every_reason_and_no_other() -> None:
    _, _, after = PAGE.read_text().partition("### What the hub's conditions say")
    table = after.partition("\n\nIf injected")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [each.value for each in HubReason]
