"""A part as bytes: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from driftline.errors import DataError
from driftline.pane_codec import pack_cells
from driftline.shadow.account import Account, Drop, Failure
from driftline.shadow.codec import (
    ENVELOPE,
    PackedPart,
    PackedValues,
    Part,
    decode_part,
    encode_part,
    read_part,
)
from driftline.shadow.fields import Fields
from driftline.shadow.json_diff import json_diff
from driftline.shadow.sample import Disagreement
from driftline.shadow.tally import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import shadows
from tests.support.shadows import CLASSES, same

ACCOUNT = Account(
    eligible=212, mirrored=202, paired=200, lost=4, waiting=1,
    dropped={Drop.QUEUE_FULL: 5}, failed={Failure.TIMEOUT: 2},
)  # fmt: skip


def part(tally: Tally) -> Part:
    return Part("uid-1", 3, 1_795_780_740.123, "pod-1", "boot-1", 2, 17, ACCOUNT, tally)


def full(seed: int = 0) -> Tally:
    rng = np.random.default_rng(seed)
    tally = shadows.with_latency(shadows.with_errors(shadows.classes(rng, 200, 0.1), 190, 8, 2), rng, 200)
    fields = Fields.of(json_diff({"a": 1, "b": [1, 2]}, {"a": 2, "b": [1]}))
    return replace(tally, fields=fields).with_sample([shadows.disagreement(1)])


def refused(change: dict[str, object]) -> str:
    wire = msgspec.msgpack.decode(ENVELOPE.open(encode_part(part(full()))), type=PackedPart)
    with pytest.raises(DataError) as error:
        decode_part(ENVELOPE.seal(msgspec.msgpack.encode(msgspec.structs.replace(wire, **change))))
    return str(error.value)


def test_a_part_comes_back_whole() -> None:
    found = decode_part(encode_part(part(full())))
    assert (found.shadow, found.generation, found.key, found.sequence) == (
        "uid-1", 3, ("pod-1", "boot-1", 2), 17,
    )  # fmt: skip
    assert found.account == ACCOUNT
    assert found.tally.sample == full().sample
    assert found.tally.fields == full().fields
    assert (found.tally.confusion == full().confusion).all()
    assert (found.tally.errors == full().errors).all()
    assert (found.tally.live_latency == full().live_latency).all()
    delta = found.tally.all.delta
    assert delta is not None
    assert delta.sums == pytest.approx(full().all.delta.sums)  # type: ignore[union-attr]
    assert encode_part(found) == encode_part(part(full()))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000))
def test_merging_what_was_sent_is_merging_what_was_seen(seed: int) -> None:
    a, b = full(seed), full(seed + 1)
    assert same(a + b, decode_part(encode_part(part(a))).tally + decode_part(encode_part(part(b))).tally)


def test_an_empty_part_is_small_and_a_day_s_is_not_large() -> None:
    assert len(encode_part(part(Tally.empty(CLASSES)))) < 1_000
    assert len(encode_part(part(full()))) < 20_000


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(DataError, match="no shadow part"):
        decode_part(b"DLPANE" + encode_part(part(full()))[6:])
    data = bytearray(encode_part(part(full())))
    data[6] = 9
    with pytest.raises(DataError, match="version 9"):
        decode_part(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_is_an_error_and_never_another(data: st.DataObject) -> None:
    good = encode_part(part(full()))
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    for broken in (bytes(bad), good[:place]):
        with pytest.raises(DataError):
            decode_part(broken)


def test_what_does_not_fit_the_plan_is_refused() -> None:
    wire = msgspec.msgpack.decode(ENVELOPE.open(encode_part(part(full()))), type=PackedPart)
    assert "more than its plan" in refused({"shifts": wire.shifts[:1]})
    assert "segment" in refused({"segments": [("age", 0, wire.all)]})
    assert "segment" in refused({"segments": [("sex", 3, wire.all)]})
    assert "cells" in refused({"errors": wire.confusion})
    assert "another limit" in refused(
        {"shifts": [msgspec.structs.replace(v, limit=2.0) for v in wire.shifts]}
    )
    assert "deltas" in refused({"all": msgspec.structs.replace(wire.all, delta=None)})
    nan = msgspec.structs.replace(wire.all.differ, sums=np.full(2, np.nan).tobytes())
    assert "no numbers" in refused({"all": msgspec.structs.replace(wire.all, differ=nan)})
    assert refused({"sample": [shadows.disagreement(i) for i in range(51)]})


def test_ballast_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(DataError, match="inflates to more"):
        decode_part(ENVELOPE.seal(bytes(17 << 20)))


def values_of(wire: PackedValues, **changes: object) -> PackedValues:
    return msgspec.structs.replace(wire, **changes)


WIRE = msgspec.msgpack.decode(ENVELOPE.open(encode_part(part(full()))), type=PackedPart)
NONE = {"cells": pack_cells(np.zeros(WIRE.shifts[2].cells.size, np.int64)), "sums": b""}
LARGE = np.array([1 << 53, 1 << 53], np.int64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"account": Account(eligible=1, mirrored=1, paired=1)}, "1 pairs, and 200 that were compared"),
        ({"account": Account(eligible=-390, mirrored=-390, paired=-390)}, "eligible is negative"),
        (
            {
                "account": Account(
                    eligible=200 - 5000, mirrored=200, paired=200, dropped={Drop.QUEUE_FULL: -5000}
                )
            },
            "negative",
        ),
        (
            {"account": msgspec.structs.replace(ACCOUNT, eligible=2**63 + 5, lost=2**63 - 203)},
            "beyond 9007199254740992",
        ),
        (
            {"account": msgspec.structs.replace(ACCOUNT, first=60.5, last=60.0)},
            "the first of them came at 60.5, the last at 60.0",
        ),
        (
            {"account": msgspec.structs.replace(ACCOUNT, failures={1: 10**6})},
            "failures by time {1: 1000000} of",
        ),
        ({"account": msgspec.structs.replace(ACCOUNT, failures={1: -1})}, "failures by time {1: -1} of"),
        ({"account": msgspec.structs.replace(ACCOUNT, first=60.5)}, "came at 60.5, the last at None"),
        ({"day": -5}, ">= -1"),
        ({"day": 10**6}, "<= 3660"),
        ({"sequence": 2**60}, "<= 9007199254740992"),
        ({"generation": -1}, ">= 0"),
        ({"pod": "p" * 300}, "<= 253"),
        ({"errors": pack_cells(np.array([300, 0, 0, 0]))}, "300 outcomes of 202"),
        ({"errors": pack_cells(np.array([100, 0, 0, 0]))}, "100 outcomes of 202"),
        ({"errors": pack_cells(np.array([*LARGE, 0, 0]))}, "outcomes of 202"),
        ({"all": msgspec.structs.replace(WIRE.all, requests=150)}, "200 pairs, and 150"),
        ({"all": msgspec.structs.replace(WIRE.all, several=-1)}, ">= 0"),
        ({"all": msgspec.structs.replace(WIRE.all, several=201)}, "all pairs"),
        (
            {"all": msgspec.structs.replace(WIRE.all, differ=values_of(WIRE.all.differ, clipped=201))},
            "201 clipped of 200",
        ),
        ({"live_latency": pack_cells(np.full(WIRE.live_latency.size, 9))}, "live_latency"),
        ({"confusion": pack_cells(np.zeros(9, np.int64))}, "outputs of 0 rows"),
        ({"confusion": pack_cells(np.array([*LARGE, *[0] * 7]))}, "outputs of"),
        ({"shifts": [*WIRE.shifts[:2], values_of(WIRE.shifts[2], **NONE)]}, "outputs of"),
        ({"fields": {"$.a": (1, 1, 1, 0, 0)}}, "compared 1 times and differs 2"),
        ({"fields": {"$.a": (5, 2, -1, 0, 0)}}, "differs 1"),
        ({"other_fields": (-1, 0, 0, 0, 0)}, "compared -1"),
        ({"fields": {f"$.{'a' * 300}": (1, 0, 0, 0, 0)}}, "<= 256"),
        ({"fields": {f"$.a{n}": (1, 0, 0, 0, 0) for n in range(300)}}, "<= 256"),
        ({"sample": [Disagreement(1.0, "r" * 201, "a", "b")]}, "<= 200"),
        ({"sample": [Disagreement(1.0, "r", "a" * 501, "b")]}, "<= 500"),
        ({"sample": [Disagreement(float("nan"), "r", "a", "b")]}, "0"),
        ({"sample": [Disagreement(-1.0, "r", "a", "b")]}, ">= 0"),
        ({"segments": [("sex", 0, WIRE.all)] * 4}, "more than its plan"),
    ],
)
def test_what_can_not_be_true_is_refused(change: dict[str, object], said: str) -> None:
    assert said in refused(change)


def test_an_account_that_does_not_add_up_is_heard() -> None:
    """It forbids every verdict: left out, nobody would know of the fault."""
    odd = replace(part(full()), account=msgspec.structs.replace(ACCOUNT, lost=3))
    assert decode_part(encode_part(odd)).account == odd.account


def test_this_program_s_own_parts_are_read_as_they_are() -> None:
    odd = replace(part(full()), account=Account(eligible=1, mirrored=1, paired=1))
    assert read_part(encode_part(odd)).account == odd.account


def test_a_segment_has_no_more_requests_than_all_pairs() -> None:
    some, many = (shadows.classes(np.random.default_rng(0), n, 0.1) for n in (20, 200))
    account = Account(eligible=20, mirrored=20, paired=20)
    odd = shadows.with_errors(replace(some, segments=many.segments), 20)
    with pytest.raises(DataError, match="more requests than all pairs"):
        decode_part(encode_part(replace(part(odd), account=account)))
