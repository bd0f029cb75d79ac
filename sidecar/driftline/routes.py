"""Which monitor a request belongs to, and which monitors claim the same ones.

A pod may serve several models: its monitors are told apart by port and path. Two that claim the same
requests of the same pods conflict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from driftline.errors import Problem
from driftline.spec import LabelSelector, ModelMonitor


def route(monitors: Sequence[ModelMonitor], path: str) -> ModelMonitor | None:
    """The monitor whose paths match best: exact before prefix, longer before shorter, else the first.

    `path` is the URL path without its query. None where no monitor claims it.
    """
    claims = [
        (_specificity(monitor, path), monitor) for monitor in monitors if monitor.spec.endpoint.matches(path)
    ]
    return max(claims, key=lambda claim: claim[0])[1] if claims else None


def _specificity(monitor: ModelMonitor, path: str) -> tuple[bool, int]:
    patterns = monitor.spec.endpoint.paths
    if path in patterns:
        return True, len(path)  # another pattern of the same monitor makes the claim no stronger
    lengths = [len(p) for p in patterns if p.endswith("*") and path.startswith(p[:-1])]
    return False, max(lengths, default=0)


def conflicts(monitors: Sequence[ModelMonitor]) -> Iterator[Problem]:
    """Monitors of one file with one name, or that claim the same requests of the same pods."""
    for index, later in enumerate(monitors):
        for before, earlier in enumerate(monitors[:index]):
            if later.key == earlier.key:
                yield Problem(
                    f"documents[{index}].metadata.name",
                    f"is the name of documents[{before}] too ({later.key})",
                )
            elif _same_pods(earlier, later) and (claim := _same_requests(earlier, later)):
                yield Problem(
                    f"documents[{index}].spec.endpoint.paths",
                    f"claims {claim} on port {later.spec.endpoint.port}, "
                    f"which {earlier.key} (documents[{before}]) does too",
                )


def _same_pods(one: ModelMonitor, other: ModelMonitor) -> bool:
    """Could one pod be selected by both? Expressions are not solved: they might."""
    if (
        one.metadata.namespace != other.metadata.namespace
        or one.spec.endpoint.port != other.spec.endpoint.port
    ):
        return False
    return not _disagree(one.spec.selector, other.spec.selector)


def _disagree(one: LabelSelector, other: LabelSelector) -> bool:
    return any(other.match_labels.get(key, value) != value for key, value in one.match_labels.items())


def _same_requests(one: ModelMonitor, other: ModelMonitor) -> str:
    """What both claim with equal right: a path, a prefix, every path; empty where one is more specific."""
    mine, theirs = one.spec.endpoint.paths, other.spec.endpoint.paths
    if not mine and not theirs:
        return "every path"
    shared = sorted(set(mine) & set(theirs))
    return ", ".join(shared)
