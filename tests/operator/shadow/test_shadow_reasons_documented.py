"""Every word that a shadow's status can say is in docs/shadow.md or docs/shadow-verdicts.md."""

from __future__ import annotations

import pytest
from driftline.shadow.rules import Reason, RuleReason
from driftline_operator.shadow.reasons import Ending, Health, Mirroring, Promotion, Refusal

from tests.support.children import REPO

WORDS = sorted({str(word) for kind in (Reason, RuleReason, Ending, Health, Mirroring, Promotion, Refusal)
                for word in kind} | {"Running", "BegunAnew"})  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_it_is_documented(word: str) -> None:
    files = (REPO / "docs" / name for name in ("shadow.md", "shadow-verdicts.md"))
    assert any(f"`{word}`" in file.read_text(encoding="utf-8") for file in files)
