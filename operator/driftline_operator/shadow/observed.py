"""ShadowDeployments as the API server has them, decoded."""

from __future__ import annotations

from typing import NamedTuple

from driftline.decoding import build_shadow
from driftline.errors import InvalidSpec
from driftline.spec.shadow import ShadowSpec

from driftline_operator import names
from driftline_operator.cluster.resources import SHADOW_DEPLOYMENTS, Object, Resource


class ObservedShadow(NamedTuple):
    """One of them."""

    body: Object
    spec: ShadowSpec | None
    """None: it is no good; `problem` says why."""
    problem: str = ""

    @property
    def resource(self) -> Resource:
        """Its kind."""
        return SHADOW_DEPLOYMENTS

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.body["metadata"]["namespace"])

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def uid(self) -> str:
        """Its identity: one deleted and made anew is another."""
        return str(self.body["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Of its spec."""
        return int(self.body["metadata"].get("generation") or 0)

    @property
    def age_order(self) -> tuple[str, str]:
        """Sorts the older first."""
        return str(self.body["metadata"].get("creationTimestamp") or ""), self.uid

    @property
    def asked(self) -> str:
        """The generation whose promotion somebody asks for; empty: nobody does."""
        return str((self.body["metadata"].get("annotations") or {}).get(names.PROMOTE_ANNOTATION, ""))


def observe_shadow(body: Object) -> ObservedShadow:
    """Decode one; what Python refuses and the API server took is kept with its problem."""
    try:
        return ObservedShadow(body, build_shadow(body).spec)
    except InvalidSpec as error:
        return ObservedShadow(body, None, str(error))
