"""The candidate's answers as rows of the hub, under the live predictions' own ids: labels find both. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
from driftline.events import Prediction
from driftline.shadow.runtime import MirrorConfig
from driftline.spec import Feature, Labels, MonitorSpec

from driftline_sidecar.analyzer.mirror.reading import answered
from driftline_sidecar.analyzer.mirror.sending import Answer
from driftline_sidecar.analyzer.predictions.rows import RowReader, Rows
from driftline_sidecar.decoders import Decoder
from driftline_sidecar.exchange import Exchange


class CandidateRows:
    """Of one monitor whose spec has `labels`, and one shadow."""

    def __init__(
        self, spec: MonitorSpec, labels: Labels, features: Sequence[Feature], config: MirrorConfig
    ) -> None:
        self._decoder, self._reader = Decoder(spec, features), RowReader(spec, labels)
        self._variant = config.shadow.variant
        digest = blake2b(self._variant.encode(), digest_size=8).digest()
        self._sender = int.from_bytes(digest)
        """Makes another sender of each worker: what it sent itself has the same sequence."""

    def read(self, exchange: Exchange, answer: Answer, now: float) -> Rows:
        """Rows of one pair: what the candidate answered; when, and to what, as the live prediction has it."""
        live = self._rows(exchange, now)
        candidate = {each.row: each for each in self._rows(answered(exchange, answer), now)}
        found = Rows()
        found.by_boot[exchange.boot ^ self._sender] = [
            msgspec.structs.replace(
                each,
                prediction=candidate[each.row].prediction,
                score=candidate[each.row].score,
                variant=self._variant,
                version="",
                segments={},
                features={},
            )
            for each in live
            if each.row in candidate
        ]
        return found

    def _rows(self, exchange: Exchange, now: float) -> list[Prediction]:
        decoded = self._decoder.decode([exchange])
        found = self._reader.read(decoded, self._decoder, now)
        return found.by_boot.get(exchange.boot, [])
