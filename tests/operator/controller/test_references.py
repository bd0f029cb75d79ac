"""Which of a monitor's profiles is its reference."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import pytest
from driftline.profile_codec import encode_profile
from driftline_operator import names
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


async def loaded(kept: ReferenceReason, made: str = "") -> Reference:
    capturing = observe(body("census", reference={"capture": {"rows": 600}}))
    copy = copy_made_of(capturing, kept)
    assert base64.b64decode(copy["binaryData"]["profile"])
    if made:
        copy["metadata"]["annotations"][names.MADE_ANNOTATION] = made
        copy["metadata"]["creationTimestamp"] = "2026-11-20T00:00:00Z"
    found = References(Holding(copy), lambda *_: "1", lambda *_: [copy])
    return (await found.load(capturing)).reference


async def test_rows_that_were_captured_are_the_reference() -> None:
    found = await loaded(ReferenceReason.CAPTURED)
    assert (found.reason, found.profile_hash) == (ReferenceReason.CAPTURED, PROFILE.hash)


@pytest.mark.parametrize("made", ["yesterday", "2026-13-45", "2026-11-27T12:00:00", "\n"])
async def test_a_date_of_somebody_elses_making_is_when_the_copy_was_created(made: str) -> None:
    found = await loaded(ReferenceReason.CAPTURED, made)
    assert found.reason is ReferenceReason.CAPTURED
    assert found.made == dt.datetime(2026, 11, 20, tzinfo=dt.UTC).timestamp()


async def test_a_profile_that_the_spec_named_before_is_no_capture() -> None:
    found = await loaded(ReferenceReason.PROFILE_LOADED)
    assert (found.reason, found.profile) == (ReferenceReason.CAPTURING, b"")
