"""What can't be decoded is counted by reason and never reaches past its exchange."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from driftline.errors import InvalidSpec
from driftline.spec import Capture
from driftline_sidecar.decoders import Decoder, Failure, discover
from driftline_sidecar.decoders.body import MAX_INFLATED
from driftline_sidecar.decoders.decoder import MOST_ROWS
from driftline_sidecar.redact import REDACTED, Redactor
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.exchanges import categorical, exchange, numeric, spec

AB = numeric("a", "b")
GOOD = {"a": 1, "b": 2}
GZIP = b"Content-Encoding: gzip\r\n"


def failures(request: object, response: object = 1, protocol: Any = "json", **how: Any) -> dict[str, int]:
    return Decoder(spec(AB, protocol), AB).decode([exchange(request, response, **how)]).failures


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (failures(GOOD, status=500), Failure.ERROR_RESPONSE),
        (failures(GOOD, request_bytes=10**9), Failure.REQUEST_TRUNCATED),
        (failures(GOOD, response_bytes=10**9), Failure.RESPONSE_TRUNCATED),
        (failures(b""), Failure.EMPTY_REQUEST),
        (failures(GOOD, b""), Failure.EMPTY_RESPONSE),
        (failures(b"\x01br", request_headers=b"Content-Encoding: br\r\n"), Failure.UNSUPPORTED_ENCODING),
        (failures(b"\x1f\x8bnot", request_headers=GZIP), Failure.DAMAGED_ENCODING),
        (failures(gzip.compress(b"{}", mtime=0)[:-4], request_headers=GZIP), Failure.DAMAGED_ENCODING),
        (
            failures(gzip.compress(b" " * (MAX_INFLATED + 1), mtime=0), request_headers=GZIP),
            Failure.TOO_LARGE,
        ),
        (failures(b"{garbage"), Failure.INVALID_JSON),
        (failures(b"[" * 100_000), Failure.INVALID_JSON),
        (failures(b'{"a": "\xff"}'), Failure.INVALID_JSON),
        (failures(b'{"a": NaN, "b": "\\ud800"}'), Failure.INVALID_JSON),
        (failures(b'{"a": NaN, "b": "\xed\xa0\x80"}'), Failure.INVALID_JSON),
        (
            failures(gzip.compress(b"[" + b"[]," * 2_000_000 + b"1]", mtime=0), request_headers=GZIP),
            Failure.TOO_LARGE,
        ),
        (failures(gzip.compress(b"", mtime=0) * 20_000, request_headers=GZIP), Failure.TOO_LARGE),
        (failures("text"), Failure.UNKNOWN_SHAPE),
        (failures({"unrelated": 1}), Failure.UNKNOWN_SHAPE),
        (failures({"instances": 3}, protocol="kserve-v1"), Failure.UNKNOWN_SHAPE),
        (failures([[1, 2, 3]]), Failure.COLUMN_COUNT),
        (failures([GOOD, GOOD], [1]), Failure.ROW_COUNT),
        (failures(GOOD, {"unrelated": {}}), Failure.NO_PREDICTION),
        (failures(GOOD, b"null"), Failure.NO_PREDICTION),
        (
            failures(
                {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1]}]},
                protocol="oip-v2",
            ),
            Failure.TENSOR_SHAPE,
        ),
        (
            failures(
                {"inputs": [{"name": "a", "shape": [10**18] * 40_000, "datatype": "FP32", "data": [1]}]},
                protocol="oip-v2",
            ),
            Failure.TENSOR_SHAPE,
        ),
        (
            failures({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32"}]}, protocol="oip-v2"),
            Failure.BINARY_TENSORS,
        ),
        (
            failures(
                {"inputs": [{"name": n, "shape": [1], "datatype": "FP32", "data": [1]} for n in "xy"]},
                protocol="oip-v2",
            ),
            Failure.UNKNOWN_TENSOR,
        ),
    ],
)
def test_each_failure_has_its_reason(found: dict[str, int], expected: Failure) -> None:
    assert found == {expected.value: 1}


@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        (b"gzip", gzip.compress(b'{"a": 1, "b": 2}', mtime=0)),
        (b"gzip", gzip.compress(b'{"a": 1,', mtime=0) + gzip.compress(b' "b": 2}', mtime=0)),
        (b"deflate", zlib.compress(b'{"a": 1, "b": 2}')),
        (b"deflate", zlib.compress(b'{"a": 1, "b": 2}', wbits=-15)),
        (b"identity", b'{"a": 1, "b": 2}'),
    ],
)
def test_content_codings_come_off(coding: bytes, encoded: bytes) -> None:
    found = exchange(encoded, 1, request_headers=b"content-encoding: " + coding + b"\r\n")
    decoded = Decoder(spec(AB), AB).decode([found])
    assert (decoded.failures, decoded.batch.rows) == ({}, 1)


def test_many_rows_are_decoded_in_parts() -> None:
    many = exchange([[1, 2]] * (MOST_ROWS // 2), [0] * (MOST_ROWS // 2))
    parts = list(Decoder(spec(AB), AB).parts([many, exchange(b"{garbage"), many, many]))
    assert [part.batch.rows for part in parts] == [MOST_ROWS, MOST_ROWS // 2]
    assert [part.failures for part in parts] == [{"invalid_json": 1}, {}]


def test_rows_whose_answer_fails_are_kept_without_it() -> None:
    decoded = Decoder(spec(AB), AB).decode([exchange(GOOD, b"{garbage"), exchange(GOOD, 1)])
    assert decoded.failures == {"invalid_json": 1}
    assert (decoded.batch.rows, len(decoded.exchanges)) == (2, 2)
    states = decoded.batch.columns["y"].states
    assert states is not None
    assert states.tolist() == [1, 0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["a", "b", "instances", "inputs", "shape", "data", "columns", "predictions", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    request=json_values | st.binary(max_size=60),
    response=json_values | st.binary(max_size=60),
    protocol=st.sampled_from(["auto", "json", "kserve-v1", "oip-v2", "mlflow"]),
    headers=st.sampled_from([b"", GZIP, b"Content-Encoding: deflate\r\n"]),
)
@settings(max_examples=400, deadline=None)
def test_nothing_in_an_exchange_raises_or_breaks_the_decoder(
    request: object, response: object, protocol: str, headers: bytes
) -> None:
    features = (*numeric("a"), *categorical("b"))
    decoder = Decoder(spec(features, protocol), features)
    decoded = decoder.decode(
        [exchange(request, response, request_headers=headers), exchange([[1, "x"]], [0])]
    )
    assert "decoder_error" not in decoded.failures
    assert all(
        len(c.values if hasattr(c, "values") else c.codes) == decoded.batch.rows
        for c in decoded.batch.columns.values()
    )


scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text()


@given(records=st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), scalars), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_the_compiled_parser_and_the_careful_one_agree(records: list[dict[str, object]]) -> None:
    features = (*numeric("a"), *categorical("b"))
    fast = Decoder(spec(features), features)
    careful = Decoder(spec(features), features)
    careful._protocol._typed = None  # type: ignore[attr-defined]
    one = exchange(records, [0] * len(records))
    assert repr(fast.decode([one])) == repr(careful.decode([one]))


def test_features_are_discovered_from_records() -> None:
    found = discover(
        [{"n": 1, "c": "x", "o": {}, "u": None}, {"n": 2.5, "late": True, "m": 1}, {"m": "now text"}, 3]
    )
    assert [(f.name, f.type) for f in found] == [
        ("n", "numeric"),
        ("c", "categorical"),
        ("late", "categorical"),
        ("m", "categorical"),
    ]
    assert [f.name for f in discover([[1, "x"]])] == ["feature_0", "feature_1"]


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("request_", "coding"),
    [
        ({"ssn": SECRET, "a": 1}, b""),
        ({"deep": [{"x": {"ssn": {"all": SECRET}}}]}, b""),
        ([{"ssn": [SECRET]}, {"a": 1}], b""),
        (gzip.compress(b'{"ssn": "s3cr3t"}', mtime=0), GZIP),
        (b'{"ssn": "s3cr3t", broken', b""),
        ({"instances": [{"ssn": SECRET}]}, b""),
        ({"dataframe_split": {"columns": ["a", "ssn"], "data": [[1, SECRET]]}}, b""),
        ({"inputs": [{"name": "ssn", "shape": [1], "datatype": "BYTES", "data": [SECRET]}]}, b""),
        ({"instances": [[1.0, SECRET]]}, b""),
    ],
)
@pytest.mark.parametrize("path", ["$..ssn", "$.ssn"])
def test_a_redacted_value_is_nowhere_in_what_is_left(request_: object, coding: bytes, path: str) -> None:
    capture = Capture(redact=(path,), redact_headers=("authorization", "x-key"))
    redactor = Redactor(capture, features=("a", "ssn"))
    before = exchange(
        request_,
        {"ssn": SECRET, "y": 1},
        request_headers=b"Authorization: s3cr3t\r\nX-KEY: s3cr3t\r\n" + coding,
    )
    after = redactor(before)
    assert SECRET not in repr(after)
    assert after.request_body != before.request_body
    assert b"Host: m" in after.request_head
    assert after.response_body == b'{"ssn":"[redacted]","y":1}'
    assert REDACTED in after.response_body.decode()


def test_a_body_that_is_there_in_part_only_is_left_out() -> None:
    redactor = Redactor(Capture(redact=("$.ssn",)))
    assert redactor(exchange({"ssn": SECRET}, 1, request_bytes=10**6)).request_body == b""


def test_without_redaction_bodies_stay_as_they_are() -> None:
    before = exchange({"a": 1}, b"not json")
    assert Redactor(Capture(redact_headers=()))(before) == before


@pytest.mark.parametrize(
    "records", [{"instances": [{"a": 1, "ssn": 2}]}, {"instances": [[1, 2]]}, [{"a": 1, "ssn": 2}]]
)
@pytest.mark.parametrize("path", ["$.ssn", "$..ssn", "$[*].ssn", "$.instances[*].ssn"])
def test_a_redacted_feature_that_traffic_or_a_profile_brings_is_no_column(records: object, path: str) -> None:
    features = numeric("a", "ssn")
    decoder = Decoder(spec((), "auto", capture=Capture(redact=(path,))), features)
    batch = decoder.decode([exchange(records, [0])]).batch
    assert (batch.rows, set(batch.columns)) == (1, {"a", "y"})


@pytest.mark.parametrize("path", ["$.y", "$.predictions[*].y", "$..y"])
def test_the_prediction_can_not_be_redacted_and_watched(path: str) -> None:
    with pytest.raises(InvalidSpec, match=r"'y' is redacted by capture\.redact"):
        spec(AB, capture=Capture(redact=(path,)))


def test_an_answer_is_not_looked_for_where_it_is_redacted() -> None:
    decoder = Decoder(spec(AB, capture=Capture(redact=("$.class",))), AB)
    decoded = decoder.decode([exchange(GOOD, {"class": SECRET}), exchange(GOOD, {"label": "yes"})])
    assert SECRET not in repr(decoded.batch)
    assert decoded.failures == {"no_prediction": 1}


def test_a_redacted_tensor_is_no_answer() -> None:
    decoder = Decoder(spec(AB, "oip-v2", capture=Capture(redact=("$..token",))), AB)
    asked = {"inputs": [{"name": "a", "shape": [1], "datatype": "FP32", "data": [1]}]}
    told = {"outputs": [{"name": "token", "shape": [1], "datatype": "BYTES", "data": [SECRET]}]}
    decoded = decoder.decode([exchange(asked, told)])
    assert SECRET not in repr(decoded.batch)
    assert decoded.failures == {"no_prediction": 1}
