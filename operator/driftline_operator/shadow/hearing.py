"""Which live pods' pairs are here: what the others saw is in no account. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

HEARD_SECONDS: Final = 300.0
"""For so long a pod that was asked in vain counts as one that answers."""


class Heard(NamedTuple):
    """Of one shadow's live pods."""

    live: int
    """All that there are, with a sidecar or without."""
    at: Mapping[str, float]
    """Those that mirror, by UID: seconds after the beginning at which each was last asked, and all that it
    told was taken.
    """

    def share(self, since: float) -> float:
        """That were heard since then. 0 without live pods: they may have gone without a word."""
        told = sum(at >= since for at in self.at.values())
        return told / self.live if self.live else 0.0
