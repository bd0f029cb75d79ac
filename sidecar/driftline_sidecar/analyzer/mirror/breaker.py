"""Lets a candidate rest that keeps failing: asked now and then, mirrored to again once it answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

FAILURES: Final = 10
"""In a row. One that errs in 5 % of requests does not come near: .05^10 is 1e-13."""
FIRST_REST: Final = 5.0
"""Seconds, doubled with each probe that fails."""
LONGEST_REST: Final = 60.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row; `until`: rests till then (0: closed); `probing`: one request is under way."""

    failures: int = 0
    until: float = 0.0
    rest: float = FIRST_REST
    probing: bool = False

    @property
    def is_open(self) -> bool:
        """Whether requests are held back."""
        return self.until > 0

    def allows(self, now: float) -> bool:
        """May a request be sent at that time? Of an open one a single probe, once it has rested."""
        return not self.is_open or (now >= self.until and not self.probing)

    def sent(self) -> Breaker:
        """After a request was sent."""
        return replace(self, probing=True) if self.is_open else self

    def abandoned(self) -> Breaker:
        """After a request that was not sent after all, or that nothing was learnt from."""
        return replace(self, probing=False)

    def succeeded(self) -> Breaker:
        """After an answer."""
        return Breaker()

    def failed(self, now: float) -> Breaker:
        """After none. A late failure from before it opened doesn't lengthen its rest."""
        if self.is_open:
            rest = min(LONGEST_REST, 2 * self.rest) if self.probing else self.rest
            return Breaker(self.failures, now + rest, rest) if self.probing else self
        failures = self.failures + 1
        return Breaker(failures, now + self.rest if failures >= FAILURES else 0.0, self.rest)
