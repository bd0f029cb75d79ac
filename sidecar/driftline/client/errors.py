"""What a hub's client raises.

DriftlineError
└── HubError          the hub doesn't have it; `status`, `error`, `field` and `value` are its own words
    ├── Refused       and won't have it: a wrong value, a wrong token, an unknown monitor
    └── Unreachable   it could not be asked, or failed itself, for as long as it was tried
"""

from __future__ import annotations

from driftline.errors import DriftlineError


class HubError(DriftlineError):
    """The hub has not taken it, or not answered."""

    def __init__(
        self, said: str, *, status: int = 0, error: str = "", field: str = "", value: object = None
    ) -> None:
        super().__init__(said)
        self.status = status
        """Of the last answer; 0: there was none."""
        self.error = error
        self.field = field
        """Where in the request, such as `labels[3].label`."""
        self.value = value
        self.first = 0
        """Of several events: how many came before those of the request that `field` is about."""
        self.taken = 0
        """Of several events: how many the hub has taken before this."""


class Refused(HubError):
    """The hub won't have it, however often it is sent."""


class Unreachable(HubError):
    """It was tried until patience ended; sending it again later is safe."""
