"""What a contender writes into the Lease."""

from __future__ import annotations

from typing import Any

import pytest
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.lease import Leadership


class Empty(Api):
    """No Lease yet."""

    def __init__(self) -> None:
        self.created: Any = None

    async def get(self, *_: Any) -> Any:
        raise ApiError(404, "NotFound", "", "GET")

    async def create(self, *given: Any) -> Any:
        self.created = given[2]
        return {**given[2], "metadata": {"resourceVersion": "1"}}


@pytest.mark.parametrize(("duration", "written"), [(15.0, 15), (15.4, 16), (0.5, 1)])
async def test_others_are_never_told_less_than_the_holder_takes(duration: float, written: int) -> None:
    api = Empty()
    lease = Leadership(api, "system", "driftline-controller", "this", lambda: 0.0, duration)
    await lease.turn()
    assert lease.remaining == duration
    assert api.created["spec"]["leaseDurationSeconds"] == written
