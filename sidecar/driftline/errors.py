"""The one error tree.

    DriftlineError              what a user can act on; the message names what, where and what to do
    ├── InvalidSpec             a monitor that can't be built; carries every problem with its path
    ├── DataError               rows, files and bodies that don't hold what they should
    │   └── ProfileError        a profile of unknown version, or damaged
    └── IncompatiblePanes       panes that count on different grids never merge

A decoder's failure is not here: it never leaves its exchange (`driftline_sidecar.decoders`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing wrong in a document: where, and what to do about it."""

    path: str
    message: str

    def __str__(self) -> str:
        """`spec.windows[0]: must be ...`; the path is left out for the document as a whole."""
        return f"{self.path}: {self.message}" if self.path else self.message


class DriftlineError(Exception):
    """The base of everything Driftline raises on purpose."""


class InvalidSpec(DriftlineError, ValueError):
    """A spec value that can't be built. `problems` holds all of them, not just the first.

    It is a ValueError too, so that msgspec translates it where it builds a struct itself.
    """

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        """The file the document came from; empty where it came from none."""
        prefix = f"{source}: " if source else ""
        super().__init__("\n".join(f"{prefix}{problem}" for problem in self.problems))


class DataError(DriftlineError):
    """Data that can't be used. The message names the file, the column or field, and the value."""


class ProfileError(DataError):
    """A reference profile that can't be read: unknown version, wrong hash, damaged bytes."""


class IncompatiblePanes(DriftlineError):
    """Panes of unlike profile hash, format or length were asked to merge."""
