"""What the shadows need of the watch caches."""

from __future__ import annotations

from typing import Protocol

from driftline_operator.cluster.resources import Object


class ShadowSource(Protocol):
    """Where ShadowDeployments are read from."""

    def shadows(self, namespace: str) -> tuple[Object, ...]:
        """Those of a namespace."""
