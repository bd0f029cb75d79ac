"""Both answers to one request, decoded with the monitor's decoder: a pair, or why there is none. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from http import HTTPStatus

import msgspec
import numpy as np
from driftline.columns import Batch, CategoricalColumn, Column, Floats, NumericColumn
from driftline.shadow.account import Failure
from driftline.shadow.json_diff import JsonDiff, json_diff
from driftline.shadow.runtime import MirrorConfig
from driftline.spec import Feature, MonitorSpec

from driftline_sidecar.analyzer.mirror.sending import Answer, Reply
from driftline_sidecar.decoders import Decoder
from driftline_sidecar.decoders.failure import Failure as DecodeFailure
from driftline_sidecar.exchange import Exchange, header
from driftline_sidecar.redact import redactions_of


@dataclass(frozen=True, slots=True)
class Side:
    """What one side answered, row by row: `names` of a classifier, `values` of a number, `scores`."""

    rows: int
    names: tuple[str, ...] = ()
    values: Floats = field(default_factory=lambda: np.empty(0))
    scores: Floats | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of one request. `segments`: by feature the plan's value codes of its rows."""

    request: str
    live: Side
    candidate: Side
    segments: Mapping[str, Sequence[int]] = field(default_factory=dict)
    diff: JsonDiff | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request's answers when it went twice: the live model's and the candidate's, of each round.

    `alike`, of free form: the live model's two, its first and the candidate's second, the candidate's first
    and its second, the candidate's two.
    """

    first: tuple[Side, Side]
    second: tuple[Side, Side]
    alike: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mirrored request. `pair` and `failure`: exactly one of them."""

    live_failed: bool
    candidate_failed: bool | None
    """None: that can't be said, for the mirror itself gave up."""
    failure: Failure | None = None
    pair: Pair | None = None
    note: str = ""
    """What the failure was, for a person: a status or a decoder's word, never a part of a body."""
    live_seconds: float | None = None
    """Of the live model through the mirror."""
    candidate_seconds: float | None = None
    repeat: Repeat | None = None


@dataclass(frozen=True, slots=True)
class _Unread:
    """Why an answer gives no side."""

    failure: Failure
    why: str


class PairReader:
    """Reads pairs as one monitor and one plan say."""

    def __init__(self, spec: MonitorSpec, features: Sequence[Feature], config: MirrorConfig) -> None:
        self._plan = config.plan
        segments = [name for name, _ in config.plan.segments]
        self._decoder = Decoder(spec, features, segments)  # columns of few rows cost as much as of many
        self._prediction = spec.schema.prediction
        self._bodies = "body" in config.compare.outputs
        paths = spec.endpoint.json
        self._looked_at = f" (looked for at {paths.predictions})" if paths and paths.predictions else ""
        self._redactions = redactions_of(spec.capture, [feature.name for feature in features])
        self._headers = [name.lower().encode("latin-1") for name in spec.capture.redact_headers]

    def outcome(self, exchange: Exchange, reply: Reply) -> Outcome:
        """The pair of the client's answer and the candidate's, or which side failed and how."""
        live_failed = not 200 <= exchange.status < 300
        if not isinstance(reply, Answer):
            failure = Failure.LIVE_FAILED if live_failed else reply.failure
            return Outcome(live_failed, None if reply.failure is Failure.NO_ROOM else True, failure)
        if live_failed:
            note = f"the live model answers {_status(exchange.status)}"
            return Outcome(True, not reply.fine, Failure.LIVE_FAILED, note=note)
        if not reply.fine:
            note = f"the candidate answers {_status(reply.status)}"
            return Outcome(False, True, Failure.ERROR_RESPONSE, note=note)
        return self._pair(exchange, answered(exchange, reply))

    def repeat(self, exchange: Exchange, rounds: Sequence[tuple[Reply, Reply]]) -> Repeat | None:
        """Of (live, candidate) in each of two rounds; None unless all four answered alike many rows."""
        sides = [self._answer(exchange, reply) for both in rounds for reply in both]
        found = [side for side in sides if side is not None]
        if len(found) != 4 or len({side.rows for side in found}) != 1:
            return None
        alike = self._alike(exchange, rounds) if self._plan.sort == "body" else ()
        return None if alike is None else Repeat((found[0], found[1]), (found[2], found[3]), alike)

    def _alike(self, exchange: Exchange, rounds: Sequence[tuple[Reply, Reply]]) -> tuple[bool, ...] | None:
        """None where not all may be told."""
        (a1, b1), (a2, b2) = (
            [answered(exchange, reply) for reply in both if isinstance(reply, Answer)] for both in rounds
        )
        found = [self._diff(*each) for each in ((a1, a2), (a1, b2), (b1, a2), (b1, b2))]
        if any(diff is None or diff.undecided for diff in found):
            return None
        return tuple(diff is not None and diff.equal for diff in found)

    def _answer(self, exchange: Exchange, reply: Reply) -> Side | None:
        if not isinstance(reply, Answer) or not reply.fine:
            return None
        found = self._read(answered(exchange, reply))
        return found[0] if isinstance(found, tuple) else None

    def _pair(self, exchange: Exchange, other: Exchange) -> Outcome:
        live, candidate = self._read(exchange), self._read(other)
        if isinstance(live, _Unread):
            both = isinstance(candidate, _Unread)
            failure = Failure.UNDECODABLE if both else Failure.LIVE_FAILED
            return Outcome(True, both, failure, note=f"of the live model's answer: {live.why}")
        if isinstance(candidate, _Unread):
            note = f"of the candidate's answer: {candidate.why}"
            return Outcome(False, True, candidate.failure, note=note)
        if live[0].rows != candidate[0].rows:
            note = f"{candidate[0].rows} answers where the live model gives {live[0].rows}"
            return Outcome(False, True, Failure.UNALIGNED, note=note)
        diff = self._diff(exchange, other) if self._bodies else None
        if self._plan.sort == "body" and (diff is None or diff.undecided):
            return Outcome(False, False, Failure.UNDECODABLE if diff is None else Failure.TOO_MANY_VALUES)
        pair = Pair(self._shown_id(exchange), live[0], candidate[0], self._segments(live[1]), diff)
        return Outcome(False, False, pair=pair)

    def _read(self, exchange: Exchange) -> tuple[Side, Batch] | _Unread:
        """Never raises: whatever is odd in an answer is its side's."""
        try:
            return self._decoded(exchange)
        except Exception as error:  # noqa: BLE001 - the failure says so
            return _Unread(Failure.UNDECODABLE, type(error).__name__)

    def _decoded(self, exchange: Exchange) -> tuple[Side, Batch] | _Unread:
        if self._plan.sort == "body":
            known = exchange.response_body and self._decoder.answer(exchange) is not None
            return (Side(1), Batch(1, {}, 1)) if known else _Unread(Failure.UNDECODABLE, "no JSON")
        decoded = self._decoder.decode([exchange])
        if decoded.failures or not decoded.batch.rows:
            unaligned = DecodeFailure.ROW_COUNT.value in decoded.failures
            why = ", ".join(decoded.failures) or "no rows"
            return _Unread(Failure.UNALIGNED if unaligned else Failure.UNDECODABLE, why + self._looked_at)
        side = self._side(decoded.batch)
        if side is None:
            return _Unread(Failure.UNDECODABLE, f"no {self._plan.sort} to be read{self._looked_at}")
        return side, decoded.batch

    def _side(self, batch: Batch) -> Side | None:
        """None where no row has a prediction, or predictions are not of the plan's sort."""
        column = batch.columns.get(self._prediction.name)
        if isinstance(column, CategoricalColumn) and self._plan.sort == "class":
            known = (column.codes >= 0).any()
            return Side(batch.rows, tuple(_names(column)), scores=self._scores(batch)) if known else None
        if isinstance(column, NumericColumn) and self._plan.sort == "number":
            missing = column.states is not None and column.states.all()
            return None if missing else Side(batch.rows, values=column.values)
        return None

    def _scores(self, batch: Batch) -> Floats | None:
        if self._prediction.score is None or self._plan.clip is None:
            return None
        column = batch.columns.get(self._prediction.score)
        return column.values if isinstance(column, NumericColumn) else None

    def _segments(self, batch: Batch) -> dict[str, list[int]]:
        return {
            name: segment_codes(batch.columns.get(name), values, batch.rows)
            for name, values in self._plan.segments
        }

    def _shown_id(self, exchange: Exchange) -> str:
        """The request's id; a digest of it where the header that it came in is redacted."""
        raw = exchange.id.encode("utf-8", "replace")
        if any(header(exchange.request_head, name) == raw for name in self._headers):
            return blake2b(raw, digest_size=16).hexdigest()
        return exchange.id

    def _diff(self, exchange: Exchange, other: Exchange) -> JsonDiff | None:
        """None where it fails: that is neither side's fault. Equal bytes are equal, however long."""
        try:
            live, candidate = self._decoder.answer(exchange), self._decoder.answer(other)
            found = json_diff(live, candidate, self._plan.tolerance, self._redactions)
        except Exception:  # noqa: BLE001 - the failure says so
            return None
        if found.undecided and _as_sent(exchange) == _as_sent(other):
            found.truncated = False
        return found


def _as_sent(exchange: Exchange) -> tuple[bytes | None, bytes]:
    return header(exchange.response_head, b"content-encoding"), exchange.response_body


def _status(code: int) -> str:
    with suppress(ValueError):
        return f"{code} {HTTPStatus(code).phrase}"
    return str(code)


def answered(exchange: Exchange, answer: Answer) -> Exchange:
    """The exchange as it would be, had this been the answer."""
    return msgspec.structs.replace(
        exchange,
        response_head=answer.head,
        response_body=answer.body,
        response_bytes=len(answer.body),
        status=answer.status,
    )


def segment_codes(column: Column | None, values: Sequence[str], rows: int) -> list[int]:
    """The plan's codes of a feature's values, row by row; what it doesn't know is `other`."""
    other = len(values)
    if not isinstance(column, CategoricalColumn):
        return [other] * rows
    known = {value: code for code, value in enumerate(values)}
    return [known.get(name, other) for name in _names(column)]


def _names(column: CategoricalColumn) -> list[str]:
    """Categories; empty where there is none."""
    return [column.dictionary[code] if code >= 0 else "" for code in column.codes.tolist()]
