"""Change detectors on a stream of error buckets: which there are, and what they read.

The three are those of river, read bucket by bucket: a bucket of n requests enters as n of them at once, and
where every bucket is one request the alarms are river's, at the same place (tests hold it). River itself
takes single values, which a hub that only has sums hasn't.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from driftline.performance.detectors.adwin import Adwin
from driftline.performance.detectors.hddm import HddmA
from driftline.performance.detectors.page_hinkley import PageHinkley
from driftline.performance.detectors.unit import Units

__all__ = ["DETECTORS", "Adwin", "Alarm", "Detector", "HddmA", "PageHinkley", "Units"]


class Alarm(NamedTuple):
    """The mean error changed: what it was thought to be before, and of late."""

    before: float
    after: float


class Detector(Protocol):
    """Gives the means before and after when the stream's mean has changed, and begins anew after that."""

    def update(self, units: Units) -> tuple[float, float] | None:
        """Take in one bucket; buckets come in the order of time."""
        ...


DETECTORS: dict[str, Callable[[], Detector]] = {"adwin": Adwin, "hddm-a": HddmA, "page-hinkley": PageHinkley}
"""By the name that a monitor gives, with defaults for errors in [0, 1]."""
