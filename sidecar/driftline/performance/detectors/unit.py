"""What a detector reads of a bucket."""

from __future__ import annotations

from dataclasses import dataclass

from driftline.performance.aggregates import MeanSums
from driftline.performance.intervals import ratio_variance


@dataclass(frozen=True, slots=True)
class Units:
    """`n` independent units with that `mean`; `squares`: their summed squared deviations from it."""

    n: float
    mean: float
    squares: float = 0.0

    @classmethod
    def of(cls, sums: MeanSums, scale: float = 1.0) -> Units | None:
        """A bucket's requests, errors divided by `scale`; None without rows.

        The unit is the request. Its squares come from the variance of the mean between requests, times
        R (R - 1), which for one-row requests is exactly the sum of (x - mean)^2.
        """
        if not sums.rows:
            return None
        r = sums.requests
        variance = ratio_variance(sums) or 0.0
        return cls(r, sums.total / sums.rows / scale, variance * r * (r - 1) / scale**2)
