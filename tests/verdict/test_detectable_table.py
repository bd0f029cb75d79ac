from __future__ import annotations

import numpy as np
from driftline.spec import Drift
from driftline_cli.detectable import detectable_lines

from tests.support.reference import draw, profile


def table(rows_per_day: float) -> str:
    against = profile(draw(np.random.default_rng(1), 20_000))
    return "\n".join(detectable_lines(against, Drift(), (3600, 86400), rows_per_day, {"kind=c": 0.1}))


def test_it_says_what_is_found_and_when() -> None:
    text = table(30_000)
    assert "all      24h     30,000" in text
    assert "3.0 days" in text


def test_it_says_what_is_missing_where_nothing_can_be_found() -> None:
    text = table(30_000)
    assert "nothing: InsufficientData" in text
    assert "kind=c, 1h: needs 1,000 rows a window, 24,000 a day." in text
