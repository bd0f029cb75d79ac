"""What a wire protocol's module offers."""

from __future__ import annotations

from typing import Protocol

from driftline_sidecar.decoders.answers import Answer
from driftline_sidecar.decoders.layout import Row


class WireProtocol(Protocol):
    """Turns bodies, free of content codings, into rows and answers. All methods raise DecodeError."""

    def rows(self, body: bytes) -> list[Row]:
        """The request's rows, in the layout's order of features."""

    def answers(self, body: bytes, rows: int) -> list[Answer]:
        """The response's answers, one per row."""

    def records(self, body: bytes) -> list[object]:
        """The request's records as they came: what features are discovered from."""
