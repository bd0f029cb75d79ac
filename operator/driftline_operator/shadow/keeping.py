"""The ConfigMap in which a shadow's course and pairs outlive the controller. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from driftline_operator import names
from driftline_operator.cluster.resources import CONFIG_MAPS
from driftline_operator.controller.plan.objects import Desired
from driftline_operator.shadow.candidate import metadata
from driftline_operator.shadow.course import Course, encode
from driftline_operator.shadow.observed import ObservedShadow


def kept(observed: ObservedShadow, course: Course, pairs: bytes, texts: Mapping[str, str]) -> Desired:
    """It as it should be. `texts`: by key, what is kept for people; empty ones are left out."""
    kind = {"apiVersion": CONFIG_MAPS.api_version, "kind": CONFIG_MAPS.kind}
    content = {
        "data": {names.COURSE_KEY: encode(course)} | {key: text for key, text in texts.items() if text},
        "binaryData": {names.PAIRS_KEY: base64.b64encode(pairs).decode()} if pairs else {},
    }
    body = {**kind, "metadata": metadata(observed, names.shadow_config_map(observed.name)), **content}
    return Desired(CONFIG_MAPS, observed.namespace, body)
