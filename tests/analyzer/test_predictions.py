"""What of an exchange goes to the hub, under which id, and what waits for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from driftline.backoff import pause_after
from driftline.events import Prediction as Logged
from driftline.events import Predictions
from driftline.prediction_ids import id_problem, key_of, row_id, text_of
from driftline.spec import Feature, Labels, MonitorSpec, Prediction, Schema, Variant
from driftline_sidecar.analyzer.predictions.packet import Packet, halves, pack
from driftline_sidecar.analyzer.predictions.rows import Drop, RowReader, Rows
from driftline_sidecar.analyzer.predictions.sending import Sent, outcome_of
from driftline_sidecar.analyzer.predictions.spool import Room, Spool, discard
from driftline_sidecar.decoders import Decoder
from driftline_sidecar.exchange import Exchange
from hypothesis import given
from hypothesis import strategies as st

from tests.support.exchanges import exchange, numeric, spec

FEATURES = (*numeric("age"), Feature(name="city", type="categorical"))
ANSWER = {"id": "r-1", "label": "yes", "score": 0.75}


def monitored(labels: Labels, segments: tuple[str, ...] = ("city",), **fields: Any) -> MonitorSpec:
    found = spec(FEATURES, prediction=Prediction(name="label", score="score"), **fields)
    schema = Schema(features=FEATURES, prediction=found.schema.prediction, segments=segments)
    return msgspec.structs.replace(found, schema=schema, labels=labels)


def logged(labels: Labels, *exchanges: Exchange, now: float = 1e9, **fields: Any) -> Rows:
    found = monitored(labels, **fields)
    decoder = Decoder(found, found.schema.features)
    return RowReader(found, labels).read(decoder.decode(exchanges), decoder, now)


def all_rows(rows: Rows) -> list[Logged]:
    return [each for boot in rows.by_boot.values() for each in boot]


def ids(rows: Rows) -> list[str]:
    return [each.id for each in all_rows(rows)]


RECORDS = [{"age": 30, "city": "Rome"}, {"age": 41.5, "city": "Oslo"}]
ANSWERS = [{"label": "yes", "score": 0.75, "id": "a"}, {"label": "no", "score": 0.25, "id": "b"}]


class TestRows:
    def test_a_row_holds_what_the_monitor_names_and_no_more(self) -> None:
        (row,) = all_rows(logged(Labels(features=("age",)), exchange(RECORDS[0], ANSWER, sequence=7)))
        assert row == Logged(
            id="id-7",
            at=row.at,
            sequence=7,
            prediction="yes",
            score=0.75,
            segments={"city": "Rome"},
            features={"age": 30.0},
        )

    def test_rows_of_one_request_are_told_apart(self) -> None:
        rows = all_rows(
            logged(Labels(), exchange(RECORDS, ANSWERS), exchange(RECORDS[0], ANSWER, sequence=2))
        )
        assert [(each.id, each.sequence, each.row) for each in rows] == [
            ("id-1", 1, 0), ("id-1/1", 1, 1), ("id-2", 2, 0),
        ]  # fmt: skip
        assert [(each.prediction, each.score) for each in rows[:2]] == [("yes", 0.75), ("no", 0.25)]
        assert [each.segments["city"] for each in rows] == ["Rome", "Oslo", "Rome"]

    def test_boots_are_kept_apart(self) -> None:
        other = msgspec.structs.replace(exchange(RECORDS[0], ANSWER), boot=2)
        assert sorted(logged(Labels(), exchange(RECORDS[0], ANSWER), other).by_boot) == [1, 2]

    def test_time_and_weight_are_the_exchange_s(self) -> None:
        sampled = msgspec.structs.replace(
            exchange(RECORDS[0], ANSWER), started=100.0, duration=0.5, probability=0.25
        )
        (row,) = all_rows(logged(Labels(), sampled))
        assert (row.at, row.weight) == (100.5, 4.0)
        (row,) = all_rows(logged(Labels(), sampled, now=100.25))  # nothing was answered in the future
        assert row.at == 100.25

    def test_an_answer_that_failed_is_no_prediction_and_counted(self) -> None:
        rows = logged(Labels(), exchange(RECORDS, [ANSWERS[0]]), exchange(RECORDS[0], ANSWER, sequence=2))
        assert ids(rows) == ["id-2"]
        assert rows.dropped == {Drop.NO_PREDICTION: 2}

    def test_values_that_json_cannot_say_are_left_out(self) -> None:
        odd = exchange(b'{"age": NaN, "city": null}', b'{"label": "yes", "score": NaN}')
        (row,) = all_rows(logged(Labels(features=("age", "city")), odd))
        assert (row.score, row.features, row.segments) == (None, {}, {})
        msgspec.json.decode(msgspec.json.encode(row), type=Logged)

    def test_control_characters_and_long_categories_go_no_further(self) -> None:
        (row,) = all_rows(logged(Labels(), exchange({"age": 1, "city": "a\u0000b" + "x" * 999}, ANSWER)))
        assert row.segments["city"] == "a b" + "x" * 253


class TestIds:
    def test_of_the_response(self) -> None:
        rows = logged(Labels(id_path="$.id"), exchange(RECORDS[0], ANSWER), exchange(RECORDS[0], ANSWERS[1]))
        assert ids(rows) == ["r-1", "b"]

    def test_of_the_response_one_for_each_row(self) -> None:
        assert ids(logged(Labels(id_path="$[*].id"), exchange(RECORDS, ANSWERS))) == ["a", "b"]

    def test_of_the_response_one_for_all_rows(self) -> None:
        answer = {"id": 17, "predictions": ANSWERS}
        assert ids(logged(Labels(id_path="$.id"), exchange(RECORDS, answer))) == ["17", "17/1"]

    @pytest.mark.parametrize(
        "found", [{}, {"id": ""}, {"id": None}, {"id": [1]}, {"id": "x" * 513}, {"id": "a\nb"}]
    )
    def test_a_response_without_one_is_counted(self, found: dict[str, object]) -> None:
        rows = logged(Labels(id_path="$.id"), exchange(RECORDS[0], {**ANSWER, "id": None} | found))
        assert ids(rows) == []
        assert rows.dropped == {Drop.NO_ID: 1}

    def test_a_star_never_reaches_the_fields_of_an_object(self) -> None:
        rows = logged(Labels(id_path="$[*]"), exchange(RECORDS[0], {"ssn": "secret", "label": "yes"}))
        assert rows.dropped == {Drop.NO_ID: 1}
        rows = logged(Labels(id_path="$.ids[1]"), exchange(RECORDS[0], {**ANSWER, "ids": ["a", "b"]}))
        assert ids(rows) == ["b"]

    def test_of_features(self) -> None:
        assert ids(logged(Labels(key=("city", "age")), exchange(RECORDS, ANSWERS))) == [
            "Rome/30",
            "Oslo/41.5",
        ]

    def test_of_fields_that_are_no_features(self) -> None:
        records = [{**record, "flight": "UA/15", "day": 3} for record in RECORDS]
        rows = logged(Labels(key=("flight", "day", "city")), exchange(records, ANSWERS))
        assert ids(rows) == ["UA%2F15/3/Rome", "UA%2F15/3/Oslo"]

    def test_a_record_without_one_of_them_is_counted(self) -> None:
        rows = logged(Labels(key=("flight",)), exchange([{**RECORDS[0], "flight": "a"}, RECORDS[1]], ANSWERS))
        assert ids(rows) == ["a"]
        assert rows.dropped == {Drop.NO_ID: 1}

    def test_tensors_by_name_have_fields_too(self) -> None:
        def tensor(name: str, datatype: str, data: Sequence[object]) -> dict[str, object]:
            return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data}

        request = {"inputs": [
            tensor("age", "FP64", [1.0, 2.0]), tensor("city", "BYTES", ["Rome", "Oslo"]),
            tensor("flight", "BYTES", ["f1", "f2"]),
        ]}  # fmt: skip
        answer = {"outputs": [tensor("label", "BYTES", ["yes", "no"])]}
        rows = logged(Labels(key=("flight",)), exchange(request, answer), protocol="oip-v2")
        assert ids(rows) == ["f1", "f2"]

    @pytest.mark.parametrize(
        ("values", "key"),
        [
            (("UA1545", "2013-01-01"), "UA1545/2013-01-01"),
            ((5.0, 5, True, 1.5), "5/5/true/1.5"),
            (("a/b", "c"), "a%2Fb/c"),
            (("a", None), None),
            (("a", ""), None),
            (("a", [1]), None),
            ((float("nan"),), None),
        ],
    )
    def test_a_key_is_one_text(self, values: tuple[object, ...], key: str | None) -> None:
        assert key_of(values) == key

    @given(st.lists(st.tuples(*[st.text(min_size=1)] * 2), min_size=2, max_size=2, unique=True))
    def test_two_keys_are_never_one(self, keys: list[tuple[str, str]]) -> None:
        first, second = map(key_of, keys)
        assert first != second

    def test_parts(self) -> None:
        assert (row_id("x", 0), row_id("x", 2)) == ("x", "x/2")
        assert (text_of(False), text_of(2.0), text_of(1e300), text_of({})) == ("false", "2", "1e+300", None)
        assert id_problem("x" * 512) is None


class TestVariant:
    @pytest.mark.parametrize(
        ("asked", "answered", "found"),
        [
            (b"", b"", ""),
            (b"x-driftline-variant: a\r\n", b"", "a"),
            (b"x-driftline-variant: a\r\n", b"X-Driftline-Variant: b\r\n", "b"),
            (b"x-driftline-variant: anything\r\n", b"", ""),
        ],
    )
    def test_one_of_the_declared_or_none(self, asked: bytes, answered: bytes, found: str) -> None:
        seen = exchange(RECORDS[0], ANSWER, request_headers=asked, response_headers=answered)
        (row,) = all_rows(logged(Labels(variant=Variant(values=("a", "b"))), seen))
        assert row.variant == found
        (row,) = all_rows(logged(Labels(), seen))
        assert row.variant == ""


def packet(rows: int = 4, first: int = 1) -> Packet:
    """Four rows are of one length whichever they are, from 1 to 9."""
    made = [Logged(id=f"id-{first + i}", at=1.0, sequence=first + i) for i in range(rows)]
    return pack("ml", "demo", 255, made)


class TestPackets:
    def test_a_packet_is_the_hub_s_request(self) -> None:
        sent = msgspec.json.decode(packet().body, type=Predictions)
        assert (sent.namespace, sent.monitor, sent.boot) == ("ml", "demo", "00000000000000ff")
        assert [each.id for each in sent.predictions] == ["id-1", "id-2", "id-3", "id-4"]

    def test_halves_hold_the_same(self) -> None:
        parts = halves(packet(5))
        assert parts is not None
        assert [part.rows for part in parts] == [2, 3]
        found = [each["id"] for part in parts for each in json.loads(part.body)["predictions"]]
        assert found == [f"id-{i + 1}" for i in range(5)]
        assert halves(packet(1)) is None
        assert halves(Packet(9, b"no packet")) is None


class TestSending:
    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            (400, Sent.REFUSED), (401, Sent.UNAUTHORIZED), (403, Sent.UNAUTHORIZED),
            (404, Sent.UNKNOWN_MONITOR), (408, Sent.FAILED), (413, Sent.TOO_LARGE), (422, Sent.REFUSED),
            (429, Sent.BUSY), (500, Sent.FAILED), (502, Sent.FAILED), (503, Sent.BUSY), (302, Sent.FAILED),
        ],
    )  # fmt: skip
    def test_what_an_answer_means(self, status: int, outcome: Sent) -> None:
        assert outcome_of(status) is outcome

    def test_pauses_double_up_to_a_minute_and_are_spread(self) -> None:
        longest = [pause_after(n, chance=lambda: 1.0) for n in (1, 2, 3, 8, 1000)]
        assert longest == [0.5, 1.0, 2.0, 60.0, 60.0]
        assert pause_after(3, chance=lambda: 0.0) == 1.0
        assert pause_after(1, asked=7.0) == 7.0
        assert pause_after(1, asked=1e9) == 60.0


class TestSpool:
    def test_the_oldest_goes_where_they_do_not_fit_and_is_counted(self) -> None:
        size = len(packet().body)
        spool = Spool(Room(memory_bytes=3 * size, disk_bytes=0), None)
        for first in (1, 2, 3, 4):
            spool.put(packet(first=first))
        assert (len(spool), spool.evicted, spool.bytes) == (3, 4, 3 * size)
        entry = spool.first()
        assert entry is not None
        assert entry.body == packet(first=2).body

    def test_the_largest_of_several_gives_way(self) -> None:
        size = len(packet().body)
        room = Room(memory_bytes=4 * size, disk_bytes=0)
        large, small = Spool(room, None), Spool(room, None)
        for _ in range(4):
            large.put(packet())
        small.put(packet())
        assert (len(large), len(small)) == (3, 1)
        assert (large.evicted, small.evicted) == (4, 0)

    def test_files_outlive_it_in_order(self, tmp_path: Path) -> None:
        spool = Spool(Room(), tmp_path / "here")
        assert spool.found() == 0
        for first in (1, 10, 20):
            spool.put(packet(first=first))
        while (entry := spool.unstored()) is not None:
            path = spool.name(entry)
            entry.store(path)
            spool.stored(entry, path)
        assert spool.held(on_disk=False) == 0
        (tmp_path / "here" / "half.part").write_bytes(b"{")
        again = Spool(Room(), tmp_path / "here")
        assert (again.found(), again.rows, len(again)) == (12, 12, 3)
        discard(again.collect())
        assert not (tmp_path / "here" / "half.part").exists()
        first_one = again.first()
        assert first_one is not None
        assert first_one.load() == packet(first=1).body
        assert again.remove(first_one)
        discard(again.collect())
        assert len(list((tmp_path / "here").iterdir())) == 2

    def test_a_file_that_was_cut_is_no_packet(self, tmp_path: Path) -> None:
        spool = Spool(Room(), tmp_path)
        spool.put(packet())
        entry = spool.unstored()
        assert entry is not None
        path = spool.name(entry)
        entry.store(path)
        spool.stored(entry, path)
        path.write_bytes(packet().body[:-1])
        with pytest.raises(OSError, match="bytes where"):
            entry.load()

    def test_one_that_had_to_go_while_it_was_written_leaves_no_file(self, tmp_path: Path) -> None:
        size = len(packet().body)
        spool = Spool(Room(memory_bytes=size), tmp_path)
        spool.put(packet())
        entry = spool.unstored()
        assert entry is not None
        path = spool.name(entry)
        spool.put(packet(first=5))
        assert entry.gone
        entry.store(path)
        spool.stored(entry, path)
        assert not spool.remove(entry)
        discard(spool.collect())
        assert list(tmp_path.iterdir()) == []
        assert spool.bytes == size


def test_a_spools_file_name_isnt_believed(tmp_path: Path) -> None:
    names = [f"{4:020d}-{rows}-2.json" for rows in (0, 501, 999_999_999_999)]
    for name in (*names, f"{5:020d}-500-2.json"):
        (tmp_path / name).write_bytes(b"{}")
    spool = Spool(Room(), tmp_path)
    assert (spool.found(), sorted(each.name for each in spool.collect())) == (500, sorted(names))
