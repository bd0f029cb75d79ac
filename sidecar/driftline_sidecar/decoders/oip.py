"""Open Inference Protocol v2, JSON: one tensor per feature, or one tensor that holds them all.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from driftline_sidecar.decoders.answers import Answer, Answers
from driftline_sidecar.decoders.body import parse
from driftline_sidecar.decoders.failure import DecodeError, Failure
from driftline_sidecar.decoders.layout import Layout, Row


class Tensor(msgspec.Struct, gc=False):
    """A named tensor; `data` is flat or nested, in row-major order."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | msgspec.UnsetType = UNSET


class Inputs(msgspec.Struct, gc=False):
    """An inference request."""

    inputs: list[Tensor]


class Outputs(msgspec.Struct, gc=False):
    """An inference response."""

    outputs: list[Tensor]


_MOST_DIMENSIONS = 8
"""Of a tensor; an array of more is no record's, and multiplying thousands of lengths takes seconds."""

_inputs = msgspec.json.Decoder(Inputs)
_outputs = msgspec.json.Decoder(Outputs)


class OpenInference:
    """As WireProtocol."""

    def __init__(
        self,
        layout: Layout,
        answers: Answers,
        prediction: str,
        score: str | None,
        hidden: Callable[[str], bool],
    ) -> None:
        """`hidden`: whether a tensor of that name is redacted."""
        self._hidden = hidden
        self._layout = layout
        self._answers = answers
        self._prediction = prediction
        self._score = score

    def rows(self, body: bytes) -> list[Row]:
        """As WireProtocol."""
        tensors = _parse(body, _inputs).inputs
        if not tensors:
            raise DecodeError(Failure.UNKNOWN_SHAPE)
        names = self._layout.names
        by_name = {tensor.name: tensor for tensor in tensors}
        if any(name in by_name for name in names):
            return _from_columns([by_name.get(name) for name in names])
        if len(tensors) > 1:
            raise DecodeError(Failure.UNKNOWN_TENSOR)
        return _from_matrix(tensors[0], len(names))

    def answers(self, body: bytes, rows: int) -> list[Answer]:
        """As WireProtocol."""
        tensors = _parse(body, _outputs).outputs
        if not tensors:
            raise DecodeError(Failure.NO_PREDICTION)
        by_name = {tensor.name: tensor for tensor in tensors}
        scores = by_name.get(self._score or "")
        chosen = by_name.get(self._prediction)
        if chosen is None:
            chosen = self._likely(tensors, scores)
        answers = self._answers.each(_per_row(chosen, rows), rows)
        if scores is None or scores is chosen:
            return answers
        given = [self._answers.score(value) for value in _per_row(scores, rows)]
        return [(value, score) for (value, _), score in zip(answers, given, strict=True)]

    def _likely(self, tensors: Sequence[Tensor], scores: Tensor | None) -> Tensor:
        """Where no tensor has the prediction's name. Raises DecodeError where all are redacted."""
        seen = [tensor for tensor in tensors if tensor is scores or not self._hidden(tensor.name)]
        if not seen:
            raise DecodeError(Failure.NO_PREDICTION)
        return next((tensor for tensor in seen if tensor is not scores), seen[0])

    def records(self, body: bytes) -> list[object]:
        """As WireProtocol."""
        tensors = _parse(body, _inputs).inputs
        if len(tensors) == 1 and len(tensors[0].shape) > 1 and tensors[0].shape[-1] != 1:
            return list(_from_matrix(tensors[0], tensors[0].shape[-1]))
        names = [tensor.name for tensor in tensors]
        rows = _from_columns(tensors)
        return [dict(zip(names, row, strict=True)) for row in rows]


def _parse(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    document = parse(body)  # not JSON at all is said there; NaN, which some servers write, is taken
    try:
        return msgspec.convert(document, decoder.type)
    except msgspec.ValidationError:
        raise DecodeError(Failure.UNKNOWN_SHAPE) from None


def _flat(tensor: Tensor) -> list[Any]:
    """The data in row-major order. Raises DecodeError where it doesn't fill the shape."""
    data = tensor.data
    if not isinstance(data, list):
        raise DecodeError(Failure.BINARY_TENSORS)
    if len(tensor.shape) > _MOST_DIMENSIONS:
        raise DecodeError(Failure.TENSOR_SHAPE)
    for _ in tensor.shape[1:]:
        if not data or not isinstance(data[0], list):
            break
        if not all(isinstance(part, list) for part in data):
            raise DecodeError(Failure.TENSOR_SHAPE)
        data = [value for part in data for value in part]
    size = 1
    for length in tensor.shape:
        size *= length
    if len(data) != size:
        raise DecodeError(Failure.TENSOR_SHAPE)
    return data


def _from_columns(tensors: Sequence[Tensor | None]) -> list[Row]:
    """One tensor per feature, of shape [rows] or [rows, 1]; features without one are missing."""
    flat = [None if tensor is None else _flat(tensor) for tensor in tensors]
    lengths = {len(column) for column in flat if column is not None}
    if len(lengths) != 1:
        raise DecodeError(Failure.TENSOR_SHAPE)
    rows = lengths.pop()
    return list(zip(*([UNSET] * rows if column is None else column for column in flat), strict=True))


def _from_matrix(tensor: Tensor, features: int) -> list[Row]:
    """One tensor for all features, of shape [rows, features], or [features] for a single row."""
    data = _flat(tensor)
    if not tensor.shape or tensor.shape[-1] != features or len(tensor.shape) > 2:
        raise DecodeError(Failure.COLUMN_COUNT)
    if len(data) == features:
        return [data]
    return [data[start : start + features] for start in range(0, len(data), features)]


def _per_row(tensor: Tensor, rows: int) -> list[object]:
    """What a tensor says of each row: a value, or its vector."""
    data = _flat(tensor)
    if len(data) == rows:
        return data
    if rows == 0 or len(data) % rows or tensor.shape[0] != rows:
        raise DecodeError(Failure.ROW_COUNT)
    width = len(data) // rows
    return [data[start : start + width] for start in range(0, len(data), width)]
