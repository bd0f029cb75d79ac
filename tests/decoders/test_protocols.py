"""Real payloads of each protocol, and what they become."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from driftline.columns import Batch, CategoricalColumn, NumericColumn, State
from driftline.spec import JsonPaths, Prediction
from driftline_sidecar.decoders import Decoder

from tests.support.exchanges import categorical, exchange, numeric, spec

AB = numeric("a", "b")
TWO_ROWS = {"a": [1.0, 2.0], "b": [10.0, 20.0]}


def decode(protocol: str, request: object, response: object, **schema: Any) -> Batch:
    features = schema.pop("features", AB)
    decoder = Decoder(spec(features, protocol, **schema), features)
    decoded = decoder.decode([exchange(request, response)])
    assert decoded.failures == {}
    return decoded.batch


def values(batch: Batch, name: str) -> list[Any]:
    """A column's values; what is not a value as the state's name."""
    column = batch.columns[name]
    states = column.states if column.states is not None else np.zeros(batch.rows, np.uint8)
    if isinstance(column, NumericColumn):
        plain: list[Any] = column.values.tolist()
    else:
        plain = [column.dictionary[code] if code >= 0 else None for code in column.codes]
    return [
        value if state == 0 else State(state).name
        for value, state in zip(plain, states.tolist(), strict=True)
    ]


RECORDS = [{"a": 1, "b": 10.0}, {"a": 2, "b": 20.0}]
ROWS = [[1, 10.0], [2, 20.0]]


@pytest.mark.parametrize(
    ("protocol", "request_"),
    [
        ("json", RECORDS),
        ("json", ROWS),
        ("kserve-v1", {"instances": RECORDS}),
        ("kserve-v1", {"instances": ROWS}),
        ("mlflow", {"dataframe_split": {"columns": ["b", "a"], "data": [[10.0, 1], [20.0, 2]]}}),
        ("mlflow", {"dataframe_split": {"index": [0, 1], "columns": ["a", "b"], "data": ROWS}}),
        ("mlflow", {"dataframe_split": {"data": ROWS}}),
        ("mlflow", {"dataframe_records": RECORDS}),
        ("mlflow", {"instances": ROWS}),
        ("mlflow", {"inputs": {"a": [1, 2], "b": [10.0, 20.0]}}),
        ("mlflow", {"inputs": ROWS}),
        (
            "oip-v2",
            {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, 10.0, 2, 20.0]}]},
        ),
        ("oip-v2", {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "data": ROWS}]}),
        (
            "oip-v2",
            {
                "id": "42",
                "inputs": [
                    {"name": "b", "shape": [2, 1], "datatype": "FP32", "data": [10, 20]},
                    {"name": "a", "shape": [2], "datatype": "INT64", "data": [1, 2]},
                    {"name": "unwatched", "shape": [2], "datatype": "INT64", "data": [0, 0]},
                ],
                "outputs": [{"name": "predict"}],
            },
        ),
    ],
)
@pytest.mark.parametrize("auto", [False, True])
def test_every_form_of_a_request_gives_the_same_rows(protocol: str, request_: object, auto: bool) -> None:
    batch = decode("auto" if auto else protocol, request_, _response(protocol, auto))
    assert (batch.rows, batch.requests) == (2, 1)
    assert {name: values(batch, name) for name in TWO_ROWS} == TWO_ROWS
    assert values(batch, "y") == ["0", "1"]


def _response(protocol: str, auto: bool) -> object:
    if protocol == "oip-v2":
        return {"outputs": [{"name": "predict", "shape": [2], "datatype": "INT64", "data": [0, 1]}]}
    return {"predictions": [0, 1]}


@pytest.mark.parametrize("wrapper", ["records", "rows", "data", "features"])
def test_auto_finds_records_under_the_usual_keys(wrapper: str) -> None:
    batch = decode("auto", {wrapper: RECORDS}, [0, 1])
    assert {name: values(batch, name) for name in TWO_ROWS} == TWO_ROWS


@pytest.mark.parametrize("protocol", ["json", "auto"])
@pytest.mark.parametrize("request_", [{"a": 1, "b": 10.0}, [1, 10.0], [[1, 10.0]]])
def test_a_single_record_is_one_row(protocol: str, request_: object) -> None:
    batch = decode(protocol, request_, {"y": "yes"})
    assert (batch.rows, batch.requests, batch.request) == (1, 1, None)
    assert (values(batch, "a"), values(batch, "b"), values(batch, "y")) == ([1.0], [10.0], ["yes"])


def test_records_and_predictions_lie_where_the_paths_say() -> None:
    batch = decode(
        "json",
        {"payload": {"items": [{"row": {"a": 1, "b": 2}}, {"row": {"a": 3, "b": 4}}]}},
        {"result": {"answers": [{"c": "x"}, {"c": "y"}]}},
        paths=JsonPaths(records="$.payload.items[*].row", predictions="$.result.answers"),
        prediction=Prediction(name="y", path="$.c"),
    )
    assert (values(batch, "a"), values(batch, "y")) == ([1.0, 3.0], ["x", "y"])


SCORED = Prediction(name="y", score="p", positive="yes", classes=("no", "yes"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("yes", ("yes", "MISSING")),
        (1, ("1", "MISSING")),
        (0.75, ("yes", 0.75)),
        (0.25, ("no", 0.25)),
        ([0.25, 0.75], ("yes", 0.75)),
        ([[0.75, 0.25]], ("no", 0.25)),
        ({"y": "no", "p": 0.125}, ("no", 0.125)),
        ({"label": "no", "score": 0.125}, ("no", 0.125)),
        ({"probabilities": [0.125, 0.875]}, ("yes", 0.875)),
        ({"label": "no", "probability": [0.75, 0.25]}, ("no", 0.25)),
        ({"score": 0.875}, ("yes", 0.875)),
        ({"predictions": [{"y": True, "p": 1}]}, ("true", 1.0)),
        ({"y": ["no"], "p": [0.25]}, ("no", 0.25)),
        ({"y": ["no"], "p": [[0.75, 0.25]]}, ("no", 0.25)),
    ],
)
def test_what_a_classifier_answers(answer: object, expected: tuple[str, object]) -> None:
    batch = decode("json", {"a": 1, "b": 2}, answer, prediction=SCORED)
    assert (values(batch, "y")[0], values(batch, "p")[0]) == expected


@pytest.mark.parametrize("answer", [2.5, [2.5], [[2.5]], {"predictions": [2.5]}, {"y": 2.5}, {"value": 2.5}])
def test_what_a_regressor_answers(answer: object) -> None:
    batch = decode("json", {"a": 1, "b": 2}, answer, model="regression")
    assert values(batch, "y") == [2.5]


def test_tensors_named_as_prediction_and_score_are_used() -> None:
    outputs = [
        {"name": "p", "shape": [2, 2], "datatype": "FP32", "data": [0.25, 0.75, 0.5, 0.5]},
        {"name": "label", "shape": [2], "datatype": "BYTES", "data": ["yes", "no"]},
    ]
    request = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    batch = decode("oip-v2", request, {"outputs": outputs}, prediction=SCORED)
    assert (values(batch, "y"), values(batch, "p")) == (["yes", "no"], [0.75, 0.5])


def test_cells_say_what_they_are() -> None:
    features = (*numeric("n"), *categorical("c"))
    rows: list[dict[str, object]] = [
        {"n": 1, "c": "x"},
        {"n": None, "c": None},
        {"c": 2.0},
        {"n": "7", "c": {"deep": 1}},
        {"n": True, "c": False},
        {"n": 2**60, "c": 1.5},
        {"n": [1], "c": "x"},
    ]
    batch = decode("json", rows, [0] * len(rows), features=features)
    assert values(batch, "n") == [1.0, "NULL", "MISSING", "WRONG_TYPE", 1.0, 2.0**60, "WRONG_TYPE"]
    assert values(batch, "c") == ["x", "NULL", "2", "WRONG_TYPE", "false", "1.5", "x"]


def test_nan_and_infinity_are_values_where_servers_write_them() -> None:
    batch = decode("json", b'[{"a": NaN, "b": -Infinity}]', b"[0]")
    assert math.isnan(values(batch, "a")[0])
    assert values(batch, "b") == [-math.inf]


def test_an_integer_beyond_any_float_is_of_wrong_type() -> None:
    batch = decode("json", b'{"a": 1' + b"0" * 400 + b', "b": 1}', b"0")
    assert values(batch, "a") == ["WRONG_TYPE"]


def test_rows_know_their_request() -> None:
    decoder = Decoder(spec(AB), AB)
    decoded = decoder.decode([exchange(RECORDS, [0, 1]), exchange(RECORDS[:1], [0]), exchange([], [])])
    assert decoded.batch.request is not None
    assert decoded.batch.request.tolist() == [0, 0, 1]
    assert (decoded.batch.requests, len(decoded.exchanges)) == (2, 2)


def test_features_by_path() -> None:
    from driftline.spec import Feature

    features = (
        Feature(name="age", type="numeric", path="$.user.age"),
        Feature(name="tag", type="categorical", path="$.tags[0]"),
    )
    batch = decode("json", {"user": {"age": 7}, "tags": ["x", "y"]}, "1", features=features)
    assert (values(batch, "age"), values(batch, "tag")) == ([7.0], ["x"])


def test_columns_are_of_their_types() -> None:
    batch = decode("json", {"a": 1, "b": 2}, "x")
    assert isinstance(batch.columns["a"], NumericColumn)
    assert isinstance(batch.columns["y"], CategoricalColumn)
