"""Counters of one monitor since the analyzer began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from driftline_sidecar.exchange import Exchange


@dataclass(slots=True)
class Tally:
    """What was taken in. Keys are of closed sets: decoders' reasons, features, kinds, classes."""

    exchanges: int = 0
    weight: float = 0.0
    """Exchanges by the inverse of their inclusion probability (Horvitz and Thompson 1952)."""
    rows: int = 0
    decode_errors: dict[str, int] = field(default_factory=dict)
    violations: dict[tuple[str, str], int] = field(default_factory=dict)
    """By feature and kind."""
    classes: dict[str, int] = field(default_factory=dict)
    """Predictions by class, those unknown to the reference as `other`."""

    def exchanged(self, exchanges: Sequence[Exchange]) -> None:
        """Count exchanges as they come in."""
        self.exchanges += len(exchanges)
        self.weight += sum([1.0 / exchange.probability for exchange in exchanges])

    def failed(self, reasons: Mapping[str, int]) -> None:
        """Count exchanges that gave no rows."""
        for reason, count in reasons.items():
            self.decode_errors[reason] = self.decode_errors.get(reason, 0) + count

    def violated(self, feature: str, kind: str, count: int) -> None:
        """Count values that the schema doesn't allow."""
        if count:
            key = (feature, kind)
            self.violations[key] = self.violations.get(key, 0) + count

    def predicted(self, label: str, count: int) -> None:
        """Count predictions of a class."""
        self.classes[label] = self.classes.get(label, 0) + count
