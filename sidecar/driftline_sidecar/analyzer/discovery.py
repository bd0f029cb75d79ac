"""Exchanges kept until it can be told which features the model takes: the schema names none."""

from __future__ import annotations

from collections.abc import Sequence

from driftline.spec import Feature

from driftline_sidecar.decoders import Decoder, discover
from driftline_sidecar.exchange import Exchange

RECORDS = 200
"""Records to look at: a field that is null in all of them is no feature."""

_MOST_EXCHANGES = 500
_MOST_BYTES = 8 << 20


class Discovery:
    """Collects the first exchanges; they are decoded once the features are known."""

    def __init__(self, wanted: int) -> None:
        """`wanted`: rows of the reference to capture; no more records than that are waited for."""
        self._wanted = min(RECORDS, wanted)
        self._exchanges: list[Exchange] = []
        self._records: list[object] = []
        self._bytes = 0

    def add(self, exchanges: Sequence[Exchange], decoder: Decoder) -> tuple[Feature, ...] | None:
        """The features, once there are records enough to tell; None until then, or where none is found."""
        for exchange in exchanges:
            self._exchanges.append(exchange)
            self._bytes += len(exchange.request_body) + len(exchange.response_body)
            self._records += decoder.records(exchange)
        full = len(self._exchanges) >= _MOST_EXCHANGES or self._bytes >= _MOST_BYTES
        if len(self._records) < self._wanted and not full:
            return None
        return discover(self._records)

    def take(self) -> list[Exchange]:
        """What was kept, oldest first; nothing is kept after that."""
        kept, self._exchanges, self._records, self._bytes = self._exchanges, [], [], 0
        return kept
