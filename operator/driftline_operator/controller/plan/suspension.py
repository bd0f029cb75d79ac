"""Injected sidecars that don't start: new pods start without, until what failed has changed.

What failed is remembered by a key of everything that could mend it: the installation's sidecar settings and
the monitor's own injection. Another image, other resources or another spec are tried again; the evidence,
pods that fail, may be long gone by then.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec
from driftline.spec import ModelMonitor

from driftline_operator.controller.plan.pods import Survey
from driftline_operator.injection.sidecars import Settings


class Suspension(NamedTuple):
    """Is the injection suspended, and what is said about it?"""

    key: str
    """To be remembered; empty: not suspended."""
    message: str = ""


def injection_key(monitor: ModelMonitor, settings: Settings) -> str:
    """Of what decides whether injected sidecars start."""
    content = msgspec.json.encode([settings, monitor.spec.injection], order="sorted")
    return hashlib.sha256(content).hexdigest()[:16]


def suspension(monitor: ModelMonitor, settings: Settings, survey: Survey, remembered: str) -> Suspension:
    """Suspended where at least as many pods fail as start, or where pods are refused for their sidecar.

    And from then on until the key changes.
    """
    key = injection_key(monitor, settings)
    if survey.refused:
        said = f"pods were refused with it: {survey.refused}"
    elif survey.failing and len({each.pod for each in survey.failing}) >= survey.started:
        first = survey.failing[0]
        said = f"{first.container} of pod {first.pod}: {first.word}" + (
            f" ({first.message})" if first.message else ""
        )
    elif remembered == key:
        return Suspension(
            key,
            "new pods start without sidecar: sidecars of this form failed to start. Delete the annotation "
            "driftline.io/suspended of the monitor's ConfigMap to try again",
        )
    else:
        return Suspension("")
    return Suspension(
        key,
        f"new pods start without sidecar: {said}. Mend it, then delete the annotation "
        "driftline.io/suspended of the monitor's ConfigMap, or change spec.injection; pods that hang "
        "start again when they are deleted",
    )
