"""Generic JSON by path: one record, a list of records, or arrays in schema order.

KServe v1 is a case of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from driftline.jsonpath import ROOT, JsonPath, parse_path

from driftline_sidecar.decoders.answers import Answer, Answers
from driftline_sidecar.decoders.body import parse
from driftline_sidecar.decoders.failure import DecodeError, Failure
from driftline_sidecar.decoders.layout import Layout, Row

INSTANCES = parse_path("$.instances")

_ANSWER_KEYS = ("predictions", "outputs", "results")


class JsonRecords:
    """Records at one path of the request; predictions at one of the response, or where models put them."""

    def __init__(self, layout: Layout, answers: Answers, records: JsonPath, predictions: JsonPath | None):
        self._layout = layout
        self._answers = answers
        self._records = records
        self._predictions = predictions
        self._typed = layout.typed_decoder(records)

    def rows(self, body: bytes) -> list[Row]:
        """As WireProtocol."""
        typed = self.typed_rows(body)
        return self._layout.rows(self.records(body)) if typed is None else typed

    def typed_rows(self, body: bytes) -> list[Row] | None:
        """The rows of a body of exactly the usual form; None otherwise: the careful way tells why."""
        if self._typed is None:
            return None
        try:
            return self._typed(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None

    def answers(self, body: bytes, rows: int) -> list[Answer]:
        """As WireProtocol."""
        return self._answers.each(self.predictions(parse(body)), rows)

    def records(self, body: bytes) -> list[object]:
        """As WireProtocol."""
        return self.located(parse(body))

    def located(self, document: object) -> list[object]:
        """The records of a document. Raises DecodeError."""
        if self._records is ROOT:
            return as_records(document)
        if self._records.single:
            return as_records(next(self._records.select(document), None))
        return list(self._records.select(document))

    def predictions(self, document: object) -> object:
        """What of a response holds the predictions. Raises DecodeError."""
        if self._predictions is None:
            if isinstance(document, dict):
                return next((document[key] for key in _ANSWER_KEYS if key in document), document)
            return document
        found = list(self._predictions.select(document))
        if not found:
            raise DecodeError(Failure.NO_PREDICTION)
        return found[0] if self._predictions.single else found


def as_records(found: object) -> list[object]:
    """A list of records, a matrix, or the one record there is. Raises DecodeError.

    A flat array is a single row in schema order.
    """
    if isinstance(found, list):
        flat = bool(found) and not isinstance(found[0], list | dict)
        return [found] if flat else found
    if isinstance(found, dict):
        return [found]
    raise DecodeError(Failure.UNKNOWN_SHAPE)


def columns_of(found: Mapping[str, object]) -> list[object]:
    """`{"a": [1, 2], "b": [3, 4]}` as records. Raises DecodeError where the columns differ in length."""
    columns = [value for value in found.values() if isinstance(value, list)]
    if len(columns) != len(found) or len(set(map(len, columns))) > 1:
        raise DecodeError(Failure.UNKNOWN_SHAPE)
    return [dict(zip(found, row, strict=True)) for row in zip(*columns, strict=True)]


def kserve(layout: Layout, answers: Answers) -> JsonRecords:
    """KServe v1 (also TF-Serving's row format): `instances` in, `predictions` out."""
    return JsonRecords(layout, answers, INSTANCES, parse_path("$.predictions"))
