"""A part as bytes: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from driftline.errors import DataError
from driftline.shadow.account import Account, Drop, Failure
from driftline.shadow.codec import ENVELOPE, PackedPart, Part, decode_part, encode_part
from driftline.shadow.fields import Fields
from driftline.shadow.json_diff import json_diff
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
    return Part("uid-1", 3, "pod-1", "boot-1", 2, 17, ACCOUNT, tally)


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
