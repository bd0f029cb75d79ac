"""What is sent by mistake or on purpose to hurt is refused in the form of all refusals, cheaply."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import resource
import time
import zlib
from typing import Any

import pyarrow as pa
import pytest
from driftline_operator.hub import label_files
from driftline_operator.hub.limits import Limits
from driftline_operator.hub.refusal import Refusal
from pyarrow import parquet

from tests.support.hub_api import CENSUS, Api

COLUMNS: dict[str, Any] = {"id-column": "who", "label-column": "what"}
LABEL = b'{"id": "a", "label": "x"}'


def parquet_of(**columns: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def read(body: bytes, time_column: str | None = None, **limits: int) -> list[tuple[str, Any, float | None]]:
    columns = label_files.Columns("who", "what", time_column)
    found = label_files.read(body, label_files.PARQUET, columns, Limits(**limits))
    return [(each.id, each.label, each.at) for each in found]


@pytest.mark.parametrize(
    "header", [b"Bearer \xff\xfe", b"\xff", b"Bearer \xc3\xa4"], ids=["bytes", "no scheme", "text"]
)
async def test_a_token_of_any_bytes_is_unknown(api: Api, header: bytes) -> None:
    headers = {"Authorization": header.decode("utf-8", "surrogateescape")}
    response = await api.client.get("/v1/metrics", params=CENSUS, headers=headers)
    assert response.status == 401


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","label":1e400}',
        b'{"id":"a","label":' + b"9" * 5000 + b"}",
        b'{"id":"a","x":' + b"[" * 40_000 + b"]" * 40_000 + b',"label":1}',
        b"[" * 90_000,
        b'{"id":"\xff","label":1}',
        b'{"id":"a","label":"\\ud800"}',
    ],
)
async def test_documents_that_cant_be_are_refused(api: Api, body: bytes) -> None:
    assert (await api.label(body, "application/json", 400))["error"]
    assert (await api.label(body, "application/x-ndjson", 400))["error"]


async def post(api: Api, body: bytes, encoding: str) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    response = await api.ask("POST", "/v1/labels", params=CENSUS, data=body, headers=headers)
    return response.status, await response.json()


async def test_packed_bodies(api: Api) -> None:
    packed = gzip.compress(LABEL)
    assert (await post(api, packed, "gzip"))[0] == 200
    assert (await post(api, zlib.compress(LABEL), "deflate"))[0] == 200
    assert (await post(api, gzip.compress(LABEL[:9]) + gzip.compress(LABEL[9:]), "GZIP"))[0] == 200
    for end in (-1, -8, -9, 5):  # without all of its trailer, of its data
        status, said = await post(api, packed[:end], "gzip")
        assert (status, said["field"]) == (400, "Content-Encoding")
    for body in (LABEL, packed[:-4] + b"abcd", packed + b"more"):
        assert (await post(api, body, "gzip"))[0] == 400
    for encoding in ("br", "zstd", "gzip, gzip"):
        status, said = await post(api, LABEL, encoding)
        assert (status, said["field"], said["value"]) == (415, "Content-Encoding", encoding)


async def test_a_large_refused_body_is_not_decoded_for_its_value(api: Api) -> None:
    """Its elements would be millions of objects."""
    api.hub.limits = Limits()
    api.hub.room = type(api.hub.room)(64 << 20)
    body = b"[" + b"[]," * 5_000_000 + b"[]]"
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    status, said = await post(api, gzip.compress(body, 1), "gzip")
    assert (status, said["field"], said["value"]) == (400, "labels[0]", None)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 150_000, f"{grown} kB in {time.monotonic() - began:.1f} s"


async def test_all_bodies_together_have_a_limit(api: Api) -> None:
    api.hub.room = type(api.hub.room)(1_000)
    response = await api.ask("POST", "/v1/labels", params=CENSUS, data=b" " * 2_000, headers={})
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert (await api.label(LABEL, "application/json"))["accepted"] == 1
    assert api.hub.room.held == 0


async def test_parameters_that_there_arent_are_refused(api: Api) -> None:
    refused = await api.answer("GET", "/v1/metrics", 400, params=CENSUS | {"segments": "sex"})
    assert (refused["field"], "segment" in refused["error"]) == ("segments", True)
    assert (await api.answer("GET", "/v1/monitors", 400, params={"x": "1"}))["field"] == "x"


def test_a_parquet_file_that_unpacks_to_gigabytes_costs_little() -> None:
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 400_000, pa.int32()), pa.array(["x" * 10_000]))
    file = parquet_of(who=shared, what=pa.array([1] * 400_000))
    assert len(file) < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Refusal, match="at most"):
        read(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_parquet_file_is_measured_unpacked() -> None:
    file = parquet_of(who=[f"{n:0500}" for n in range(2_000)], what=[1] * 2_000, other=["y" * 500] * 2_000)
    with pytest.raises(Refusal, match="unpacked") as refusal:
        read(file, upload=500_000)
    assert refusal.value.status == 413
    assert len(read(file, upload=2_000_000)) == 2_000


@pytest.mark.parametrize(
    "what",
    [
        pa.array([dt.datetime(2025, 1, 1)]),
        pa.array([dt.date(2025, 1, 1)]),
        pa.array([dt.time(1)]),
        pa.array([dt.timedelta(1)]),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([b"x"]),
    ],
)
def test_parquet_columns_of_other_types_are_refused(what: pa.Array) -> None:
    for columns in ({"who": ["a"], "what": what}, {"who": what, "what": [1]}):
        with pytest.raises(Refusal, match="must be a column of"):
            read(parquet_of(**columns))


def test_parquet_ids_are_texts_or_whole_numbers_and_times_are_times() -> None:
    for who in ([1.5], [True]):
        with pytest.raises(Refusal, match="texts or whole numbers"):
            read(parquet_of(who=who, what=[1]))
    with pytest.raises(Refusal, match="must be a column of times"):
        read(parquet_of(who=["a"], what=[1], when=[True]), "when")
    with pytest.raises(Refusal, match=r"between 1970|can be read"):
        read(parquet_of(who=["a"], what=[1], when=pa.array([2**60], pa.timestamp("ms"))), "when")
    day = pa.array([dt.date(1970, 1, 2)])
    assert read(parquet_of(who=["a"], what=["x"], when=day), "when") == [("a", "x", 86_400.0)]
    categories = pa.array(["b", None, "a"]).dictionary_encode()
    file = parquet_of(who=pa.array(["1", "2", "3"], pa.large_string()), what=categories)
    assert read(file) == [("1", "b", None), ("3", "a", None)]  # what isn't known yet is passed over


@pytest.mark.parametrize("when", ["1_000", "١٢٣", "nan", "", "yesterday"])
def test_times_of_a_csv_are_plain(when: str) -> None:
    with pytest.raises(Refusal, match="unix seconds"):
        label_files.read(
            f"who,what,when\na,x,{when}\n".encode(), label_files.CSV,
            label_files.Columns("who", "what", "when"), Limits(),
        )  # fmt: skip


async def test_rows_of_a_csv_without_label_are_passed_over(api: Api) -> None:
    assert await api.label("who,what\n1,\n2,yes\n", "text/csv", **COLUMNS) == {"accepted": 1, "new": 1}


async def test_no_json_in_a_body_may_hold_nul_however_it_is_escaped(api: Api) -> None:
    for text, status in ((r"\u0000", 400), (r"\\\u0000", 400), (r"\\u0000", 200), (r"\\\\u0000", 200)):
        await api.label('{"id":"a' + text + '","label":"x"}', "application/json", status)


async def test_texts_of_a_prediction_have_a_limit(api: Api) -> None:
    one = {"id": "a", "at": 1.0, "prediction": "yes"}
    for field in ("segments", "features"):
        for extra in ({"sex": "x" * 257}, {"y" * 254: "x"}, {"": "x"}):
            query = CENSUS | {"boot": "b"}
            refused = await api.answer(
                "POST", "/v1/predictions", 400, json={**one, field: extra}, params=query
            )
            assert field in refused["field"] or "key" in refused["error"] or "length" in refused["error"]
