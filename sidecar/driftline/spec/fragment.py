"""A piece of another kind's document: kept as it is written, for Kubernetes itself to judge."""

from __future__ import annotations

from typing import Any


class Fragment(dict[str, Any]):
    """A mapping of JSON's types that Driftline passes on: part of a pod template, say."""
