"""A request that is refused as a whole, with what a person needs to set it right."""

from __future__ import annotations

from driftline.errors import DriftlineError

_MOST_SHOWN = 200


class Refusal(DriftlineError):
    """The answer's status, and the field and value that it is about, where there is one."""

    def __init__(
        self, status: int, error: str, *, field: str = "", value: object = None, retry: float | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.field = field
        """Where in the request, such as `predictions[3].score`."""
        self.value = value
        self.retry = retry
        """Seconds after which the same may be taken."""

    def body(self) -> dict[str, object]:
        """The answer: `{error, field, value}`."""
        said: dict[str, object] = {"error": self.error}
        if self.field:
            said |= {"field": self.field, "value": shown(self.value)}
        return said


def shown(value: object) -> object:
    """A value as it may be repeated in an answer: texts are cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
