"""Kubernetes' quantities as numbers, and what a pod asks for in all. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Final, Literal

from driftline_operator.injection import pod as pods

Kind = Literal["requests", "limits"]

_SUFFIXES: Final = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9),
    "T": Fraction(10**12), "P": Fraction(10**15), "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30),
    "Ti": Fraction(2**40), "Pi": Fraction(2**50), "Ei": Fraction(2**60),
}  # fmt: skip
_FORM: Final = re.compile(
    r"([+-]?(?:\d{1,20}\.?\d{0,20}|\.\d{1,20}))(?:[eE]([+-]?\d{1,2})|([numkKMGTPE]?i?))"
)


def amount(text: object) -> Fraction:
    """`250m` is 1/4, `1Gi` 2**30. Raises ValueError for what is no quantity."""
    found = _FORM.fullmatch(str(text))
    if found is None or (found[3] or "") not in _SUFFIXES:
        raise ValueError(f"no quantity: {text!r}")
    factor = Fraction(10) ** int(found[2]) if found[2] else _SUFFIXES[found[3] or ""]
    return Fraction(found[1].rstrip(".")) * factor


def total(pod: Mapping[str, Any], kind: Kind, resource: str) -> Fraction:
    """What the scheduler and quotas count for a pod.

    Native sidecars add up with the app's containers. Other init containers end one after the other: the
    largest counts, with the sidecars before it, where that is more.
    """
    sidecars = largest = Fraction(0)
    for each in pods.init_containers(pod):
        own = of(each, kind, resource)
        if each.get("restartPolicy") == "Always":
            sidecars += own
        largest = max(largest, sidecars if each.get("restartPolicy") == "Always" else sidecars + own)
    together = sidecars + sum((of(each, kind, resource) for each in pods.containers(pod)), Fraction(0))
    return max(together, largest)


def of(container: Mapping[str, Any], kind: Kind, resource: str) -> Fraction:
    """Zero where the container says nothing."""
    given = ((container.get("resources") or {}).get(kind) or {}).get(resource)
    return Fraction(0) if given is None else amount(given)


def says(container: Mapping[str, Any], kind: Kind, resource: str) -> bool:
    """Does the container say anything of it?"""
    return resource in ((container.get("resources") or {}).get(kind) or {})


def every(pod: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """All containers of a pod that quotas look at."""
    return [*pods.init_containers(pod), *pods.containers(pod)]
