"""The rules of the lease over simulated contenders: never two at once, and never none for long."""

from __future__ import annotations

from typing import Any

from driftline_operator.cluster.election import Move, Seen, move, observe
from hypothesis import given
from hypothesis import strategies as st

DURATION = 15.0


def lease(version: int, holder: str) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": DURATION}
    return {"metadata": {"resourceVersion": str(version)}, "spec": spec}


def test_an_unchanged_lease_is_waited_for_from_when_it_was_seen() -> None:
    seen = observe(None, lease(1, "a"), 100.0)
    assert observe(seen, lease(1, "a"), 114.0) == seen
    assert move(seen, "b", 114.9) is Move.WAIT
    assert move(seen, "b", 115.0) is Move.TAKE_OVER
    renewed = observe(seen, lease(2, "a"), 114.0)
    assert move(renewed, "b", 115.0) is Move.WAIT


def test_ones_own_a_free_and_a_missing_lease() -> None:
    assert move(observe(None, lease(1, "a"), 0.0), "a", 1e9) is Move.RENEW
    assert move(observe(None, lease(1, ""), 0.0), "b", 0.0) is Move.TAKE_OVER
    assert move(None, "b", 0.0) is Move.CREATE


class Contender:
    """As `Leadership` does it, with a clock that is ahead or behind, and turns that take time."""

    def __init__(self, name: str, offset: float) -> None:
        self.name, self.offset = name, offset
        self.seen: Seen | None = None
        self.deadline = float("-inf")

    def turn(self, store: list[tuple[int, str]], began: float, read: float, written: float) -> None:
        version, holder = store[-1]
        self.seen = observe(self.seen, lease(version, holder), read + self.offset)
        if move(self.seen, self.name, read + self.offset) is Move.WAIT:
            self.deadline = float("-inf")
            return
        if written - began > DURATION / 2 or store[-1][0] != version:
            return  # timed out, or another was quicker
        store.append((version + 1, self.name))
        self.seen = observe(self.seen, lease(*store[-1]), written + self.offset)
        self.deadline = began + self.offset + DURATION

    def held(self, now: float) -> bool:
        return now + self.offset < self.deadline


TURN = st.tuples(st.integers(0, 2), st.floats(0.0, 20.0), st.floats(0.0, 4.0), st.floats(0.0, 4.0))
"""Who, after which pause, and how long reading and writing take."""


@given(
    st.lists(
        TURN,
        max_size=60,
    ),
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
)
def test_never_two_at_once(turns: list[tuple[int, float, float, float]], offsets: list[float]) -> None:
    contenders = [Contender(name, offset) for name, offset in zip("abc", offsets, strict=True)]
    store = [(1, "")]
    now = 0.0
    for who, pause, reading, writing in turns:
        now += pause
        began = now
        now += reading + writing
        contenders[who].turn(store, began, began + reading, now)
        holders = [each.name for each in contenders if each.held(now)]
        assert len(holders) <= 1
