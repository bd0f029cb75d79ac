"""The form that the controller writes for mirrors, and the ledger of parts."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from driftline.errors import DataError
from driftline.quantity import Duration
from driftline.shadow.account import Account, Drop
from driftline.shadow.codec import Part
from driftline.shadow.ledger import Ledger, ended
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.runtime import MirrorConfig, ShadowId, decode_mirror, encode_mirror
from driftline.shadow.tally import Tally
from driftline.spec.shadow import Aa, Traffic

from tests.support.shadows import CLASSES, classes

CONFIG = MirrorConfig(
    shadow=ShadowId(uid="u", name="next", generation=3),
    began=1000.0,
    url="http://next.ml.svc:8080",
    live="http://127.0.0.1:8080",
    until=5000.0,
    warming=True,
    key=bytes(range(32)),
    traffic=Traffic(sample=0.5, timeout=Duration(90), budget=12.5, paths=("/v1/*",)),
    aa=Aa(share=0.05),
    plan=CLASSES,
)


def test_what_is_written_is_read_back() -> None:
    assert decode_mirror(encode_mirror(CONFIG).encode()) == CONFIG


def test_another_reading_is_another_life() -> None:
    other = msgspec.structs.replace(CONFIG, plan=msgspec.structs.replace(CLASSES, reading="other"))
    assert decode_mirror(encode_mirror(other).encode()) == other
    assert other.life != CONFIG.life


def test_it_may_be_yaml() -> None:
    text = b"""
version: 1
shadow: {uid: u, name: n}
began: 5
url: http://c:80
traffic: {timeout: 1m30s, maxConcurrent: 3}
plan: {sort: class, classes: ["no", "yes"], segments: {sex: [f, m]}}
"""
    found = decode_mirror(text)
    assert found.traffic.timeout == 90
    assert found.traffic.max_concurrent == 3
    assert found.plan.segments == (("sex", ("f", "m")),)
    assert found.ready
    assert found.until == math.inf


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"version":1', '"version":2', "version 2"),
        ("http://next.ml.svc:8080", "ftp://next", "url must be"),
        ("http://next.ml.svc:8080", "http://next/path", "without a path"),
        ('"live":"http://127.0.0.1:8080",', "", "aa.share needs `live`"),
        ('"sample":0.5', '"sample":5', "sample"),
        ('"sample":0.5', '"sampel":0.5', "sampel"),
        (bytes(range(32)).hex(), "aabb", "32 bytes"),
        (bytes(range(32)).hex(), "xyz", r"shadow\.yaml"),
        ("1m30s", "90 parsecs", "duration"),
    ],
)
def test_what_is_wrong_is_named(before: str, after: str, message: str) -> None:
    text = encode_mirror(CONFIG)
    assert before in text
    with pytest.raises(DataError, match=message):
        decode_mirror(text.replace(before, after).encode())


@pytest.mark.parametrize("raw", [b"", b"- 1", b"\xff\xfe\x00", b"{", b"!!python/object:os.x {}"])
def test_garbage_is_refused(raw: bytes) -> None:
    with pytest.raises(DataError):
        decode_mirror(raw)


def test_days_count_from_its_beginning() -> None:
    assert [CONFIG.day(t) for t in (0.0, 1000.0, 87399.0, 87400.0)] == [0, 0, 0, 1]


def _part(pod: str, day: int, sequence: int, pairs: int) -> Part:
    account = Account(eligible=pairs + 3, mirrored=pairs, paired=pairs, waiting=2, dropped={Drop.BUDGET: 1})
    tally = classes(np.random.default_rng(pairs), pairs, 0.1)
    return Part("u", 3, 0.0, pod, "boot", day, sequence, account, tally)


def test_a_ledger_takes_each_part_once_and_the_later_in_its_place() -> None:
    ledger = Ledger("u", 3, CLASSES)
    parts = [_part("a", 0, 1, 10), _part("a", 0, 2, 20), _part("a", 1, 1, 5), _part("b", 0, 1, 7)]
    assert all(ledger.take(part) for part in parts)
    assert not any(ledger.take(part) for part in parts)
    everything = ledger.snapshot()
    assert everything.account.paired == everything.tally.all.requests == 20 + 5 + 7
    assert ledger.snapshot(before=1).account.paired == 27
    assert ledger.snapshot(before=0).account == Account()
    assert not [*everything.account.problems()]


def test_a_ledger_is_of_one_shadow_generation_and_plan() -> None:
    ledger = Ledger("u", 3, CLASSES)
    part = _part("a", 0, 1, 10)
    assert not ledger.take(replace(part, shadow="other"))
    assert not ledger.take(replace(part, generation=2))
    other = ComparisonPlan(sort="class", classes=("no",), clip=1.0)
    assert not ledger.take(replace(part, tally=Tally.empty(other)))
    assert ledger.parts == ()


def test_what_a_pod_that_has_gone_still_held_is_lost() -> None:
    ledger = Ledger("u", 3, CLASSES)
    for part in (_part("a", 0, 1, 10), _part("b", 0, 1, 7)):
        ledger.take(part)
    ledger.end("a")
    account = ledger.snapshot().account
    assert (account.lost, account.waiting) == (2, 2)
    assert not [*account.problems()]


def test_a_life_that_is_over_lost_what_was_never_accounted_for() -> None:
    account = Account(eligible=10, mirrored=6, paired=6, waiting=4)
    assert ended(account, 15) == Account(eligible=15, mirrored=6, paired=6, lost=9)
    assert ended(account, 3) == Account(eligible=10, mirrored=6, paired=6, lost=4)
