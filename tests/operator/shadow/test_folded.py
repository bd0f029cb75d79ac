"""What is added up is known again, by few bytes, as long as its pod can tell it."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from driftline.errors import DataError
from driftline_operator.shadow.folded import FORGET_SECONDS, Folded, Group


def test_each_key_and_no_other() -> None:
    keys = [(f"pod-{n}", f"boot-{boot}", day) for n in range(20) for boot in range(3) for day in range(n)]
    made = Folded()
    made.add(keys)
    for each in (made, Folded(made.groups())):
        assert all(key in each for key in keys)
        assert not any((pod, boot, 20) in each for pod, boot, _ in keys)
        assert ("pod-19", "boot-3", 0) not in each
        assert ("pod-20", "boot-0", 0) not in each
        assert each.groups() == made.groups()


def test_a_pod_is_forgotten_once_it_has_gone_for_a_day() -> None:
    made = Folded()
    made.add([("a", "boot", 0), ("b", "boot", 0)])
    made.pods(["a"], 0.0)
    made.pods(["a", "b"], FORGET_SECONDS - 1)  # it was only not seen
    made.pods(["a"], FORGET_SECONDS)
    made.pods(["a"], 2 * FORGET_SECONDS - 1)
    assert ("b", "boot", 0) in made
    made.pods(["a"], 2 * FORGET_SECONDS)
    assert ("b", "boot", 0) not in made
    assert ("a", "boot", 0) in made


def test_days_take_no_room() -> None:
    """1,500 pods for two weeks: 16 bytes each, not each day."""
    made = Folded()
    made.add((f"pod-{n}", f"boot-{n}", day) for n in range(1_500) for day in range(14))
    assert len(zlib.compress(msgspec.msgpack.encode(made.groups()), 1)) < 1_500 * 17


def test_what_is_cut_off_is_said() -> None:
    with pytest.raises(DataError):
        Folded([Group([0], b"x" * 15)])
