"""Captured rows: what goes over the wire comes back, damage is refused, several pods make one profile."""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
import pytest
from driftline import captured
from driftline.captured import Captured
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn, State
from driftline.errors import DataError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.specs import categorical, monitor, numeric

FEATURES = (numeric("age", 0, 120), categorical("job"))
SPEC = monitor(features=FEATURES).spec


def rows(count: int, seed: int = 0, start: float = 0.0, per_request: int = 1) -> Captured:
    generator = np.random.default_rng(seed)
    states = np.where(generator.random(count) < 0.1, State.MISSING, State.VALUE).astype(np.uint8)
    age = np.where(states == State.VALUE, generator.normal(40, 10, count), np.nan)
    request = None if per_request == 1 else (np.arange(count) // per_request).astype(np.int32)
    columns: dict[str, Column] = {
        "age": NumericColumn(age, states),
        "job": CategoricalColumn(generator.integers(0, 3, count).astype(np.int32), ("a", "b", "c")),
        "employed": CategoricalColumn(generator.integers(0, 2, count).astype(np.int32), ("no", "yes")),
    }
    requests = count if request is None else int(request[-1]) + 1
    times = start + np.repeat(np.arange(requests, dtype=np.float64), per_request)[:count]
    return Captured(FEATURES, Batch(count, columns, requests, request), times)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(0, 1000), st.integers(1, 4))
def test_what_goes_over_the_wire_comes_back(count: int, seed: int, per_request: int) -> None:
    sent = rows(count, seed, per_request=per_request)
    got = captured.decode(captured.encode(sent))
    assert got.features == sent.features
    assert (got.rows, got.batch.requests) == (sent.rows, sent.batch.requests)
    np.testing.assert_array_equal(got.times, sent.times)
    for name, column in sent.batch.columns.items():
        there = got.batch.columns[name]
        assert type(there) is type(column)
        for part in ("values", "codes", "states"):
            if getattr(column, part, None) is not None:
                np.testing.assert_array_equal(getattr(there, part), getattr(column, part))
    if sent.batch.request is not None:
        assert got.batch.request is not None
        np.testing.assert_array_equal(got.batch.request, sent.batch.request)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_with_one_error(data: st.DataObject) -> None:
    raw = bytearray(zlib.decompress(captured.encode(rows(20))))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        got = captured.decode(zlib.compress(bytes(raw)))
    except DataError:
        return
    assert got.rows == len(got.times)  # what was changed was a value


@pytest.mark.parametrize("data", [b"", b"x", zlib.compress(b"x"), captured.encode(rows(50))[:-9]])
def test_what_is_no_capture_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        captured.decode(data)


def test_a_code_beyond_the_dictionary_is_refused() -> None:
    wire = msgspec.msgpack.decode(zlib.decompress(captured.encode(rows(20))))
    wire[5][1][3] = ["a"]
    with pytest.raises(DataError, match="beyond its dictionary"):
        captured.decode(zlib.compress(msgspec.msgpack.encode(wire)))


def test_pods_make_the_profile_that_one_pod_would_have_made() -> None:
    whole = rows(900, per_request=3)
    request = whole.batch.request
    assert request is not None
    parts = []
    for pod in range(3):
        chosen = (request % 3) == pod
        columns: dict[str, Column] = {}
        for name, column in whole.batch.columns.items():
            states = None if column.states is None else column.states[chosen]
            if isinstance(column, NumericColumn):
                columns[name] = NumericColumn(column.values[chosen], states)
            else:
                columns[name] = CategoricalColumn(column.codes[chosen], column.dictionary, states)
        own = (request[chosen] // 3).astype(np.int32)
        batch = Batch(int(chosen.sum()), columns, int(own[-1]) + 1, own)
        parts.append(Captured(FEATURES, batch, whole.times[chosen]))
    one, three = captured.build(SPEC, [whole], 1.0), captured.build(SPEC, parts, 1.0)
    assert three.hash == one.hash


def test_a_column_that_only_one_pod_saw_and_one_of_another_type() -> None:
    first, second = rows(200), rows(200, 1)
    columns: dict[str, Column] = dict(second.batch.columns)
    columns["age"] = CategoricalColumn(np.zeros(200, dtype=np.int32), ("old",))
    del columns["job"]
    odd = Captured(FEATURES, Batch(200, columns, 200), second.times)
    profile = captured.build(SPEC, [first, odd], 1.0)
    assert profile.rows == 400
    assert {each.name for each in profile.features} == {"age", "job", "employed"}


def test_no_rows_make_no_profile() -> None:
    with pytest.raises(DataError):
        captured.build(SPEC, [], 1.0)
