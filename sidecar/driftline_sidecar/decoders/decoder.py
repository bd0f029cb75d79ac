"""Exchanges of one monitor in, one batch of columns out, and what could not be decoded by reason."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import numpy as np
from driftline.columns import Batch, Codes, Column
from driftline.errors import InvalidSpec
from driftline.jsonpath import parse_path
from driftline.spec import Feature, MonitorSpec

from driftline_sidecar.courtesy import courteously, give_way
from driftline_sidecar.decoders.answers import NOTHING, USUAL_KEYS, Answer, Answers
from driftline_sidecar.decoders.auto import Auto
from driftline_sidecar.decoders.body import content, parse
from driftline_sidecar.decoders.columnise import column
from driftline_sidecar.decoders.failure import DecodeError, Failure
from driftline_sidecar.decoders.json_records import JsonRecords, kserve
from driftline_sidecar.decoders.layout import Layout, Row
from driftline_sidecar.decoders.mlflow import MlflowInvocations
from driftline_sidecar.decoders.oip import OpenInference
from driftline_sidecar.decoders.protocol import WireProtocol
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.logs import event

MOST_ROWS = 50_000
"""Rows decoded into one batch: bodies of many rows would else fill the memory together."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What some exchanges held."""

    batch: Batch
    exchanges: tuple[Exchange, ...]
    """Those that gave rows: the batch's `request` i is `exchanges[i]`."""
    failures: dict[str, int] = field(default_factory=dict)
    """Exchanges by `Failure`. One whose answer alone failed is in `exchanges` too, its prediction missing."""


class Decoder:
    """Decodes the exchanges of one monitor. `features`: those of its schema, or of its profile."""

    def __init__(
        self, spec: MonitorSpec, features: Sequence[Feature], only: Collection[str] | None = None
    ) -> None:
        """`only`: names of features that are wanted as columns; None: all."""
        self._layout = Layout(features)
        self._prediction = spec.schema.prediction
        self._classifies = spec.model.type == "classification"
        self._protocol = _protocol(spec, self._layout)
        self._left_out = frozenset(
            feature.name
            for feature in features
            if spec.is_redacted(feature) or (only is not None and feature.name not in only)
        )
        """Redacted and unwanted features: rows have a place for them, batches no column."""
        self._logged = False

    def parts(self, exchanges: Sequence[Exchange]) -> Iterator[Decoded]:
        """As `decode`, in batches that end with the exchange that brings them to MOST_ROWS."""
        waiting = iter(exchanges)
        for first in waiting:
            yield self.decode(chain((first,), waiting), MOST_ROWS)

    def decode(self, exchanges: Iterable[Exchange], most: float = math.inf) -> Decoded:
        """All rows of the exchanges, in their order, up to that with the row `most`. Never raises."""
        rows: list[Row] = []
        answers: list[Answer] = []
        counts: list[int] = []
        kept: list[Exchange] = []
        failures: dict[str, int] = {}
        for exchange in courteously(exchanges):
            try:
                found = self._rows(exchange)
            except DecodeError as error:
                _count(failures, error.failure)
                continue
            except Exception as error:  # noqa: BLE001 - an exchange must not reach past itself
                self._log_once(error)
                _count(failures, Failure.DECODER_ERROR)
                continue
            if not found:
                continue
            rows += found
            answers += self._answers(exchange, len(found), failures)
            counts.append(len(found))
            kept.append(exchange)
            if len(rows) >= most:
                break
        give_way()
        return Decoded(self._batch(rows, answers, counts), tuple(kept), failures)

    def records(self, exchange: Exchange) -> list[object]:
        """The request's records as they came, for discovery; empty where they can't be read."""
        try:
            return self._protocol.records(_request(exchange))
        except Exception:  # noqa: BLE001 - `decode` counts what is wrong with it
            return []

    def answer(self, exchange: Exchange) -> object:
        """The response's document, for what lies beside the predictions; None where it can't be read."""
        try:
            return parse(_response(exchange))
        except Exception:  # noqa: BLE001 - as above
            return None

    def _rows(self, exchange: Exchange) -> list[Row]:
        if not 200 <= exchange.status < 300:
            raise DecodeError(Failure.ERROR_RESPONSE)
        return self._protocol.rows(_request(exchange))

    def _answers(self, exchange: Exchange, rows: int, failures: dict[str, int]) -> list[Answer]:
        try:
            return self._protocol.answers(_response(exchange), rows)
        except DecodeError as error:
            _count(failures, error.failure)
        except Exception as error:  # noqa: BLE001 - as above
            self._log_once(error)
            _count(failures, Failure.DECODER_ERROR)
        return [NOTHING] * rows

    def _batch(self, rows: list[Row], answers: list[Answer], counts: list[int]) -> Batch:
        columns: dict[str, Column] = {}
        if rows:
            for feature, values in zip(self._layout.features, zip(*rows, strict=True), strict=True):
                if feature.name not in self._left_out:
                    give_way()
                    columns[feature.name] = column(values, feature.type)
            predictions, scores = zip(*answers, strict=True)
            kind = "categorical" if self._classifies else "numeric"
            columns[self._prediction.name] = column(predictions, kind)
            if self._prediction.score is not None:
                columns[self._prediction.score] = column(scores, "numeric")
        single = len(counts) == len(rows)
        return Batch(len(rows), columns, len(counts), None if single else _requests(counts))

    def _log_once(self, error: Exception) -> None:
        """Name the error's type only: its message may quote the body."""
        if not self._logged:
            self._logged = True
            event(logging.ERROR, "decoder_error", f"the decoder failed: {type(error).__name__}")


def _requests(counts: list[int]) -> Codes:
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts)


def _request(exchange: Exchange) -> bytes:
    body = exchange.request_body
    if len(body) < exchange.request_bytes:
        raise DecodeError(Failure.REQUEST_TRUNCATED)
    if not body:
        raise DecodeError(Failure.EMPTY_REQUEST)
    return content(exchange.request_head, body)


def _response(exchange: Exchange) -> bytes:
    body = exchange.response_body
    if len(body) < exchange.response_bytes:
        raise DecodeError(Failure.RESPONSE_TRUNCATED)
    if not body:
        raise DecodeError(Failure.EMPTY_RESPONSE)
    return content(exchange.response_head, body)


def _count(failures: dict[str, int], failure: Failure) -> None:
    failures[failure.value] = failures.get(failure.value, 0) + 1


def _is_hidden(spec: MonitorSpec, name: str) -> bool:
    if not spec.capture.redact:
        return False
    try:
        return spec.is_redacted(Feature(name=name, type="numeric"))
    except InvalidSpec:  # a name that no feature could have
        return True


def _protocol(spec: MonitorSpec, layout: Layout) -> WireProtocol:
    prediction, endpoint = spec.schema.prediction, spec.endpoint
    hidden = frozenset(key for key in USUAL_KEYS if _is_hidden(spec, key))
    answers = Answers(spec.model, prediction, hidden)
    if endpoint.protocol == "kserve-v1":
        return kserve(layout, answers)
    if endpoint.protocol == "mlflow":
        return MlflowInvocations(layout, answers)
    if endpoint.protocol == "json" or endpoint.json is not None:
        paths = endpoint.json
        records = parse_path(paths.records if paths else "$")
        predictions = parse_path(paths.predictions) if paths and paths.predictions else None
        return JsonRecords(layout, answers, records, predictions)
    oip = OpenInference(layout, answers, prediction.name, prediction.score, partial(_is_hidden, spec))
    return oip if endpoint.protocol == "oip-v2" else Auto(layout, answers, oip)
