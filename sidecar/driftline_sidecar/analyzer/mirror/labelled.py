"""The candidate's answers as rows of the hub, under the live predictions' own ids: labels find both. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
from driftline.shadow.runtime import LIVE_UNANSWERED, MirrorConfig
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
        """Rows of one pair: what the candidate answered; when, and to what, as the live prediction has it.

        All of them, whatever it answered: were rows without an answer left out, a candidate would be judged
        on those only that it likes.
        """
        decoded = self._decoder.decode([exchange])
        live = self._reader.read(decoded, self._decoder, now, unanswered=True).by_boot.get(exchange.boot, [])
        other = self._decoder.decode([answered(exchange, answer)])
        found = Rows()
        if not other.failures and other.batch.rows == decoded.batch.rows:
            predictions, scores = self._reader.answers(other.batch)
            found.by_boot[exchange.boot ^ self._sender] = [
                msgspec.structs.replace(
                    each,
                    prediction=predictions[each.row],
                    score=scores[each.row],
                    variant=self._variant,
                    version=LIVE_UNANSWERED if each.prediction is None else "",
                    segments={},
                    features={},
                )
                for each in live
            ]
        return found
