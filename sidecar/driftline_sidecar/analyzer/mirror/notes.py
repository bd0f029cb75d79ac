"""What was last seen of each way to fail: a status, a decoder's word. Never a part of what was said."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from driftline.shadow.account import Failure

from driftline_sidecar.analyzer.mirror.reading import Outcome
from driftline_sidecar.logs import event


class Notes:
    """Of one mirror: a line a reason, of a closed list. The first of each is logged. `shadow`: its name."""

    def __init__(self, shadow: str) -> None:
        self._shadow = shadow
        self._last: dict[Failure, str] = {}

    def take(self, outcome: Outcome) -> None:
        """What became of one request; a pair, or what explains itself, leaves no note."""
        reason, note = outcome.failure, outcome.note
        if reason is None or not note:
            return
        if reason not in self._last:
            said = f"mirrored requests fail: {note}"
            event(logging.WARNING, "shadow_failure", said, shadow=self._shadow, reason=reason.value)
        self._last[reason] = note

    def read(self) -> Mapping[str, str]:
        """By reason. From any thread."""
        return {reason.value: note for reason, note in self._last.copy().items()}
