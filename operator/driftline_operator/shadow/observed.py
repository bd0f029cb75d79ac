"""ShadowDeployments as the API server has them, decoded."""

from __future__ import annotations

from typing import NamedTuple

from driftline.decoding import build_shadow
from driftline.errors import InvalidSpec
from driftline.spec.shadow import ShadowSpec

from driftline_operator import names
from driftline_operator.cluster.resources import SHADOW_DEPLOYMENTS, Object, Resource
from driftline_operator.controller.identity import Identified
from driftline_operator.shadow.course import Course


class _Observed(NamedTuple):
    body: Object
    spec: ShadowSpec | None
    """None: it is no good; `problem` says why."""
    problem: str = ""


class ObservedShadow(_Observed, Identified):
    """One of them."""

    __slots__ = ()

    @property
    def resource(self) -> Resource:
        """Its kind."""
        return SHADOW_DEPLOYMENTS

    @property
    def asked(self) -> str:
        """The annotation by which somebody asks for a promotion; empty: nobody does.

        The generation of the spec; a slash and anything may follow, to ask once more.
        """
        return str((self.body["metadata"].get("annotations") or {}).get(names.PROMOTE_ANNOTATION, ""))


def observe_shadow(body: Object) -> ObservedShadow:
    """Decode one; what Python refuses and the API server took is kept with its problem."""
    try:
        return ObservedShadow(body, build_shadow(body).spec)
    except InvalidSpec as error:
        return ObservedShadow(body, None, str(error))


def as_promoted(observed: ObservedShadow, course: Course) -> ObservedShadow:
    """Of the generation whose promotion is under way; that comes to its end before a newer one begins."""
    if course.rollout is None or not course.rolls() or course.generation == observed.generation:
        return observed
    metadata = {**observed.body["metadata"], "generation": course.generation}
    return observe_shadow({**observed.body, "metadata": metadata, "spec": course.rollout.spec})
