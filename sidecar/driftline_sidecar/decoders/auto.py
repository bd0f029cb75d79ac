"""Recognises the protocol from the request, body by body: a wrong guess can't stick.

A plain record is tried first, for the compiled parser tells at once whether a body is one.
"""

from __future__ import annotations

from collections.abc import Mapping

from driftline.jsonpath import ROOT, of_key

from driftline_sidecar.decoders.answers import Answer, Answers
from driftline_sidecar.decoders.body import parse
from driftline_sidecar.decoders.failure import DecodeError, Failure
from driftline_sidecar.decoders.json_records import JsonRecords, kserve
from driftline_sidecar.decoders.layout import Layout, Row
from driftline_sidecar.decoders.mlflow import MlflowInvocations
from driftline_sidecar.decoders.oip import OpenInference
from driftline_sidecar.decoders.protocol import WireProtocol

_WRAPPERS = ("records", "rows", "data", "features", "input")
_KNOWN = (b'"inputs"', b'"dataframe_', b'"instances"')


class Auto:
    """As WireProtocol, handing on to the protocol that the body is written in."""

    def __init__(self, layout: Layout, answers: Answers, oip: OpenInference) -> None:
        self._oip = oip
        self._mlflow = MlflowInvocations(layout, answers)
        self._kserve = kserve(layout, answers)
        self._plain = JsonRecords(layout, answers, ROOT, None)
        self._wrapped = [
            (key, b'"%s"' % key.encode(), JsonRecords(layout, answers, of_key(key), None))
            for key in _WRAPPERS
        ]

    def rows(self, body: bytes) -> list[Row]:
        """As WireProtocol."""
        plain = self._plain.typed_rows(body)
        if plain is not None:
            return plain
        return self._of_request(body).rows(body)

    def records(self, body: bytes) -> list[object]:
        """As WireProtocol."""
        return self._of_request(body).records(body)

    def answers(self, body: bytes, rows: int) -> list[Answer]:
        """As WireProtocol. Responses of the other protocols are all cases of generic JSON."""
        if b'"outputs"' in body and b'"datatype"' in body:
            try:
                return self._oip.answers(body, rows)
            except DecodeError as error:
                if error.failure is not Failure.UNKNOWN_SHAPE:
                    raise
        return self._plain.answers(body, rows)

    def _of_request(self, body: bytes) -> WireProtocol:
        if any(mark in body for mark in _KNOWN):
            document = parse(body)
            if isinstance(document, dict):
                return self._of_object(document)
        for key, mark, protocol in self._wrapped:
            if mark in body:
                document = parse(body)
                if isinstance(document, dict) and isinstance(document.get(key), list | dict):
                    return protocol
        return self._plain

    def _of_object(self, document: Mapping[str, object]) -> WireProtocol:
        inputs = document.get("inputs")
        if isinstance(inputs, list) and inputs and isinstance(inputs[0], dict) and "shape" in inputs[0]:
            return self._oip
        if "dataframe_split" in document or "dataframe_records" in document:
            return self._mlflow
        if "instances" in document:
            return self._kserve
        return self._mlflow if "inputs" in document else self._plain
