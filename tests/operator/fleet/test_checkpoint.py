"""A book that went through a checkpoint judges as the one that didn't, whatever came before and after."""

from __future__ import annotations

import numpy as np
from driftline_operator.fleet import checkpoint
from driftline_operator.fleet.book import Book, Seen
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support.fleets import DAY_START, SPEC, counted, encoded, plain, reference

PROFILE = reference()
AXES = PROFILE.axes()
PLACE = f"{PROFILE.hash[:16]}"
LIBRARY = {
    shift: [counted(AXES, plain(np.random.default_rng(n), 120, shift)) for n in range(20)]
    for shift in (0.0, 12.0)
}


def minute(book: Book, at: int, pods: int, shift: float, silent: int) -> None:
    """A round after that minute: each pod gave its pane, but for those that are silent just now."""
    start, now = DAY_START + at * 60, DAY_START + at * 60 + 65.0
    book.see([Seen(f"pod-{n}", f"uid-{n}", DAY_START) for n in range(pods)], now)
    for n in range(pods):
        if n != silent:
            pane = encoded(PROFILE, LIBRARY[shift][(at * 7 + n) % 20], start)
            cursor = f"boot{n}:{PLACE}:{at + 1}"
            book.take(Seen(f"pod-{n}", f"uid-{n}", DAY_START), cursor, DAY_START, [pane], now)
    book.step(now)


@given(
    st.integers(1, 90), st.integers(1, 40), st.integers(1, 4), st.sampled_from([0.0, 12.0]),
    st.integers(-1, 4), st.integers(1, 4),
)  # fmt: skip
@settings(max_examples=8, deadline=None, phases=[Phase.generate])
def test_restored_is_as_if_nothing_had_happened(
    before: int, after: int, pods: int, shift: float, silent: int, left: int
) -> None:
    whole, first = (Book(SPEC, PROFILE, DAY_START, 60.0) for _ in range(2))
    for at in range(before):
        for book in (whole, first):
            minute(book, at, pods, shift, silent)
    second = Book(SPEC, PROFILE, DAY_START + before * 60.0 + 30, 60.0)
    checkpoint.restore(second, checkpoint.encode(first))
    assert second.evaluator.verdict() == whole.evaluator.verdict()
    for at in range(before, before + after):
        for book in (whole, second):
            minute(book, at, min(pods, left), shift, silent)
    # Windows of which too little was there are only shown, at other moments.
    due = {seconds: each for seconds, each in whole.windows.items() if not each.report.reason}
    assert {seconds: second.windows.get(seconds) for seconds in due} == due
    assert second.evaluator.verdict() == whole.evaluator.verdict()
    assert second.pods == whole.pods
