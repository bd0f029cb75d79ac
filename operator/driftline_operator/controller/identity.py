"""What the metadata of an object says of it, for the tuples that hold one as their `body`."""

from __future__ import annotations

from typing import Protocol

from driftline_operator.cluster.resources import Object


class _HasBody(Protocol):
    @property
    def body(self) -> Object: ...


class Identified:
    """Beside a NamedTuple with a `body`."""

    __slots__ = ()

    @property
    def name(self: _HasBody) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self: _HasBody) -> str:
        """Its namespace."""
        return str(self.body["metadata"]["namespace"])

    @property
    def key(self: _HasBody) -> tuple[str, str]:
        """Namespace and name."""
        return str(self.body["metadata"]["namespace"]), str(self.body["metadata"]["name"])

    @property
    def uid(self: _HasBody) -> str:
        """Its identity: one deleted and made anew is another."""
        return str(self.body["metadata"]["uid"])

    @property
    def generation(self: _HasBody) -> int:
        """Of its spec."""
        return int(self.body["metadata"].get("generation") or 0)

    @property
    def age_order(self: _HasBody) -> tuple[str, str]:
        """Sorts the older first."""
        metadata = self.body["metadata"]
        return str(metadata.get("creationTimestamp") or ""), str(metadata["uid"])
