"""`driftline hub`: the hub on this machine; the same program that runs in a cluster.

The command line doesn't import the operator's packages: it becomes `driftline-operator hub`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from driftline.errors import DriftlineError

from driftline_cli.exits import EX_UNAVAILABLE

DATABASE: Final = "sqlite:///driftline-hub.db"
"""In the folder where it is started, where nothing else is said."""
_NEEDED: Final = ("driftline_operator", "sqlalchemy", "alembic")


class MissingHub(DriftlineError):
    """The hub's libraries are not installed."""

    exit_code = EX_UNAVAILABLE


def forward(arguments: Sequence[str]) -> NoReturn:
    """Become the hub, with these arguments. Raises MissingHub."""
    lacking = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        names = ", ".join(lacking)
        raise MissingHub(
            f"`driftline hub` needs {names}, which is not installed: in Driftline's folder,\n"
            f"  {sys.executable} -m pip install -c constraints.txt -e '.[cli,operator]'"
        )
    program = command(arguments, os.environ.get("DRIFTLINE_DATABASE", ""))
    # So that its help has the name that was called, and doesn't ask for a database.
    environment = {"DRIFTLINE_DATABASE": DATABASE, **os.environ, "DRIFTLINE_PROGRAM": "driftline"}
    os.execve(sys.executable, program, environment)  # noqa: S606 - there is no shell, and needs none


def command(arguments: Sequence[str], database: str) -> list[str]:
    """What is run; `database`: the environment's, if any."""
    named = database or any(each.split("=")[0] == "--database" for each in arguments)
    default = [] if named else ["--database", DATABASE]
    return [sys.executable, "-m", "driftline_operator.main", "hub", *default, *arguments]
