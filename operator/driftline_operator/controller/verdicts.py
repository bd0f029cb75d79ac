"""`/v1/shadows/NAMESPACE/NAME` beside the series, for pipelines.

GET for an Argo Rollouts web metric, POST for a Flagger webhook. Every replica answers, from its watch. No
token, as for the series on the same port, which say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web

from driftline_operator.cluster.resources import Object
from driftline_operator.shadow.verdicts import answer


def routes(
    shadows: Callable[[str], Iterable[Object]], synced: Callable[[], bool]
) -> tuple[web.RouteDef, ...]:
    """`shadows`: those of a namespace; `synced`: whether they are all known by now."""

    async def tell(request: web.Request) -> web.Response:
        if not synced():
            return web.json_response({"error": "not ready"}, status=503, headers={"Retry-After": "1"})
        place = request.match_info
        every = shadows(place["namespace"])
        found = next((each for each in every if each["metadata"]["name"] == place["name"]), None)
        said = answer(found, as_gate=request.method == "POST")
        return web.json_response(said.body, status=said.status)

    path = "/v1/shadows/{namespace}/{name}"
    return web.get(path, tell), web.post(path, tell)
