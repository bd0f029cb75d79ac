"""Decoded batches as the rows that the hub is sent: no more of each than `spec.labels` names. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import numpy as np
from driftline.categories import clip
from driftline.columns import Batch, CategoricalColumn, Column
from driftline.events import MOST_WEIGHT, Prediction
from driftline.jsonpath import Segment, parse_path
from driftline.prediction_ids import id_problem, key_of, row_id, text_of
from driftline.spec import Labels, MonitorSpec

from driftline_sidecar.decoders import Decoded, Decoder
from driftline_sidecar.exchange import Exchange, header

Value = str | float | None


class Drop(StrEnum):
    """Why a row isn't in the hub: the word in `prediction_log_dropped_total{reason}`."""

    NO_ID = "no_id"
    """The request or the response has no id where `spec.labels` says, or one that can't be an id."""
    NO_PREDICTION = "no_prediction"
    """The model's answer couldn't be decoded; `decode_errors_total` says why."""
    FAULT = "fault"
    """An error of the log itself; the log has it once."""
    SPOOL_FULL = "spool_full"
    """The hub has been away for longer than the spool holds; the oldest went first."""
    REFUSED = "refused"
    """The hub won't have it, whenever it is sent."""
    NOT_TAKEN = "not_taken"
    """A candidate answered faster than the log could take: of 10,000 requests that waited the oldest went."""
    ENDED = "ended"
    """Not delivered when the analyzer ended, and no directory to keep it in."""


_BLANK: Final = str.maketrans(dict.fromkeys((*range(32), 127), " "))


class Rows:
    """Rows of the hub by the boot of the worker that saw them, and what of the batch gave none."""

    __slots__ = ("by_boot", "dropped")

    def __init__(self) -> None:
        self.by_boot: dict[int, list[Prediction]] = {}
        self.dropped: Counter[Drop] = Counter()


class RowReader:
    """Reads the batches of one monitor whose spec has `labels`."""

    def __init__(self, spec: MonitorSpec, labels: Labels) -> None:
        self._key = labels.key
        self._path = None if labels.id_path is None else parse_path(labels.id_path)
        self._variant = labels.variant
        self._header = b"" if labels.variant is None else labels.variant.header.lower().encode("latin-1")
        self._features = labels.features
        self._segments = spec.schema.segments
        self._prediction = spec.schema.prediction
        self._version = spec.model.version

    def read(
        self,
        decoded: Decoded,
        decoder: Decoder,
        now: float,
        behind: float = 0.0,
        *,
        unanswered: bool = False,
    ) -> Rows:
        """The rows of a batch. `behind`: seconds by which the clock of the exchanges is behind `now`'s.

        `unanswered`: rows without a prediction too.
        """
        found, batch = Rows(), decoded.batch
        if not batch.rows:
            return found
        predictions, scores = self.answers(batch)
        segments = self._dicts(batch, self._segments)
        features = self._dicts(batch, self._features)
        keys = self._keys(batch)
        first = 0
        for exchange, rows in zip(decoded.exchanges, _rows_of_requests(batch), strict=True):
            ids = self._ids(exchange, decoder, rows, None if keys is None else keys[first : first + rows])
            kept = found.by_boot.setdefault(exchange.boot, [])
            at = min(now, exchange.started + exchange.duration + behind)
            variant = self._variant_of(exchange) if self._variant is not None else ""
            for row, identity in enumerate(ids):
                index = first + row
                if predictions[index] is None and not unanswered:
                    found.dropped[Drop.NO_PREDICTION] += 1
                elif identity is None or id_problem(identity) is not None:
                    found.dropped[Drop.NO_ID] += 1
                else:
                    kept.append(
                        Prediction(
                            id=identity,
                            at=at if at > 0 else 0.0,
                            sequence=exchange.sequence,
                            row=row,
                            prediction=predictions[index],
                            score=scores[index],  # type: ignore[arg-type]  # a numeric column's
                            weight=min(1.0 / exchange.probability, MOST_WEIGHT),
                            version=self._version,
                            variant=variant,
                            segments=segments[index],  # type: ignore[arg-type]  # categorical columns'
                            features=features[index],
                        )
                    )
            first += rows
        return found

    def answers(self, batch: Batch) -> tuple[Sequence[Value], Sequence[Value]]:
        """Each row's prediction and score; None where there is none."""
        prediction = self._prediction
        return _values(batch, prediction.name), _values(batch, prediction.score or "")

    # ---- ids ----

    def _ids(
        self, exchange: Exchange, decoder: Decoder, rows: int, keys: Sequence[str | None] | None
    ) -> Sequence[str | None]:
        if keys is not None:
            return keys
        if self._key:
            return self._record_keys(exchange, decoder, rows)
        if self._path is None:
            if rows == 1:  # the usual case, three times as fast
                return (exchange.id,)
            return [row_id(exchange.id, row) for row in range(rows)]
        found = [text_of(value) for value in _named(decoder.answer(exchange), self._path.segments)]
        if len(found) == rows:
            return found
        if len(found) == 1 and found[0]:
            return [row_id(found[0], row) for row in range(rows)]
        return [None] * rows

    def _keys(self, batch: Batch) -> Sequence[str | None] | None:
        """Each row's key, where all its fields are features of the batch; None where they aren't."""
        if not self._key or not all(name in batch.columns for name in self._key):
            return None
        columns = [_values(batch, name) for name in self._key]
        return [key_of(values) for values in zip(*columns, strict=True)]

    def _record_keys(self, exchange: Exchange, decoder: Decoder, rows: int) -> Sequence[str | None]:
        """Each row's key from the records as they came: a field that is no feature is in no column."""
        records = decoder.records(exchange)
        if len(records) != rows:
            return [None] * rows
        return [
            key_of(record.get(name) for name in self._key) if isinstance(record, dict) else None
            for record in records
        ]

    # ---- what stands beside ----

    def _variant_of(self, exchange: Exchange) -> str:
        """One of those that the monitor names, or none: what a client sends becomes no label unchecked."""
        if self._variant is None:
            return ""
        given = header(exchange.response_head, self._header) or header(exchange.request_head, self._header)
        text = (given or b"").decode("latin-1")
        return text if text in self._variant.values else ""

    def _dicts(self, batch: Batch, names: Sequence[str]) -> Sequence[dict[str, str | float]]:
        """Each row's values of those columns, by name; equal rows share one."""
        columns = [(name, _values(batch, name)) for name in names if name in batch.columns]
        if not columns:
            return [{}] * batch.rows
        known: dict[tuple[Value, ...], dict[str, str | float]] = {}
        made = []
        for values in zip(*(values for _, values in columns), strict=True):
            found = known.get(values)
            if found is None:
                pairs = zip((name for name, _ in columns), values, strict=True)
                found = known[values] = {name: value for name, value in pairs if value is not None}
            made.append(found)
        return made


def _named(value: object, segments: Sequence[Segment]) -> Iterator[object]:
    """What a path names in a document; `[*]` means elements of arrays, never all fields."""
    if not segments:
        yield value
        return
    key, rest = segments[0].key, segments[1:]
    if isinstance(value, dict) and isinstance(key, str) and key in value:
        yield from _named(value[key], rest)
    elif isinstance(value, list) and not isinstance(key, str):
        elements = value if key is None else value[key : key + 1]
        for element in elements:
            yield from _named(element, rest)


def _rows_of_requests(batch: Batch) -> Iterator[int]:
    if batch.request is None:
        yield from [1] * batch.requests
    else:
        yield from np.bincount(batch.request, minlength=batch.requests).tolist()


def _values(batch: Batch, name: str) -> Sequence[Value]:
    """A column's values: text without control characters, finite numbers; None where there is none."""
    column: Column | None = batch.columns.get(name)
    if column is None:
        return [None] * batch.rows
    if isinstance(column, CategoricalColumn):
        names: list[str | None] = [clip(text.translate(_BLANK)) for text in column.dictionary]
        names.append(None)  # a code of -1: no category
        return [names[code] for code in column.codes.tolist()]
    values: list[float | None] = column.values.tolist()
    finite = np.isfinite(column.values)
    return values if finite.all() else [value if f else None for value, f in zip(values, finite, strict=True)]
