"""Which of a monitor's profiles is its reference."""

from __future__ import annotations

import base64
from typing import Any

from driftline.profile_codec import encode_profile
from driftline_operator.cluster.api import Api
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.observed import Observed, Reference, observe
from driftline_operator.controller.plan import objects
from driftline_operator.controller.references import References

from tests.operator.test_plan import body
from tests.support.fleets import reference

PROFILE = reference(2000)
Json = dict[str, Any]


def copy_made_of(observed: Observed, reason: ReferenceReason) -> Json:
    found = Reference(reason, "", encode_profile(PROFILE), PROFILE.hash)
    (made,) = objects.profile_copy(observed, found, "2026-11-27T12:00:00.000000Z")
    return dict(made.body)


class Holding(Api):
    """One ConfigMap."""

    def __init__(self, held: Json) -> None:
        self.held = held

    async def get(self, *_: Any) -> Json:
        return self.held


async def loaded(kept: ReferenceReason) -> Reference:
    capturing = observe(body("census", reference={"capture": {"rows": 600}}))
    copy = copy_made_of(capturing, kept)
    assert base64.b64decode(copy["binaryData"]["profile"])
    found = References(Holding(copy), lambda *_: "1", lambda *_: [copy])
    return (await found.load(capturing)).reference


async def test_rows_that_were_captured_are_the_reference() -> None:
    found = await loaded(ReferenceReason.CAPTURED)
    assert (found.reason, found.profile_hash) == (ReferenceReason.CAPTURED, PROFILE.hash)


async def test_a_profile_that_the_spec_named_before_is_no_capture() -> None:
    found = await loaded(ReferenceReason.PROFILE_LOADED)
    assert (found.reason, found.profile) == (ReferenceReason.CAPTURING, b"")
