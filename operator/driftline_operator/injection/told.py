"""What the controller has decided before, told to the injector in the path of a webhook entry. Pure.

The injector answers without asking the API server; what only the controller can know goes this way. The API
server takes DNS names as a path's steps: it is `limit/500m` and `without/ONE/OTHER`, behind the generation.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from driftline.spec import ModelMonitor

from driftline_operator.injection.sidecars import Settings


class Told(NamedTuple):
    """What is so in the namespace of the pod that is asked about."""

    cpu_limit: str = ""
    """A quota demands CPU limits of all containers: the sidecars get this one. Empty: none does."""
    held: tuple[str, ...] = ()
    """Monitors that have no entry of their own for some reason; another's entry must not bring them in."""

    @property
    def path(self) -> str:
        """To be put behind the entry's own path; empty where there is nothing to tell."""
        limit = f"/limit/{self.cpu_limit}" if self.cpu_limit else ""
        return limit + ("/without/" + "/".join(self.held) if self.held else "")

    def among(self, monitors: list[ModelMonitor]) -> list[ModelMonitor]:
        """Those that aren't held back."""
        return [each for each in monitors if each.metadata.name not in self.held]

    def settings(self, sidecar: Settings) -> Settings:
        """The installation's, as they are in that namespace."""
        return msgspec.structs.replace(sidecar, cpu_limit=self.cpu_limit) if self.cpu_limit else sidecar


def read(path: str) -> Told:
    """Of `Told.path`, without its first slash. What isn't understood is left out: a newer controller's."""
    steps = [each for each in path.split("/") if each]
    limit = ""
    if steps[:1] == ["limit"]:
        limit, steps = "".join(steps[1:2]), steps[2:]
    return Told(limit, tuple(steps[1:]) if steps[:1] == ["without"] else ())
