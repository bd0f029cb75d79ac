"""MLflow's scoring protocol (`/invocations`): split, records, instances and inputs.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally
"""

from __future__ import annotations

from driftline_sidecar.decoders.answers import Answer, Answers
from driftline_sidecar.decoders.body import parse
from driftline_sidecar.decoders.failure import DecodeError, Failure
from driftline_sidecar.decoders.json_records import as_records, columns_of
from driftline_sidecar.decoders.layout import Layout, Row


class MlflowInvocations:
    """As WireProtocol."""

    def __init__(self, layout: Layout, answers: Answers) -> None:
        self._layout = layout
        self._answers = answers

    def rows(self, body: bytes) -> list[Row]:
        """As WireProtocol."""
        return self._layout.rows(self.records(body))

    def answers(self, body: bytes, rows: int) -> list[Answer]:
        """As WireProtocol."""
        document = parse(body)
        found = document.get("predictions", document) if isinstance(document, dict) else document
        return self._answers.each(found, rows)

    def records(self, body: bytes) -> list[object]:
        """As WireProtocol."""
        document = parse(body)
        if not isinstance(document, dict):
            raise DecodeError(Failure.UNKNOWN_SHAPE)
        if "dataframe_split" in document:
            return _split(document["dataframe_split"])
        for key in ("dataframe_records", "instances"):
            if key in document:
                return as_records(document[key])
        found = document.get("inputs")
        if isinstance(found, dict) and all(isinstance(value, list) for value in found.values()):
            return columns_of(found)
        return as_records(found)


def _split(frame: object) -> list[object]:
    if not isinstance(frame, dict):
        raise DecodeError(Failure.UNKNOWN_SHAPE)
    columns, data = frame.get("columns"), frame.get("data")
    if not isinstance(data, list):
        raise DecodeError(Failure.UNKNOWN_SHAPE)
    if columns is None:  # the rows are in the order of the model's signature
        return data
    if not isinstance(columns, list) or not all(isinstance(row, list) for row in data):
        raise DecodeError(Failure.UNKNOWN_SHAPE)
    if any(len(row) != len(columns) for row in data):
        raise DecodeError(Failure.COLUMN_COUNT)
    return [dict(zip(columns, row, strict=True)) for row in data]
