"""A client of a hub that is served from a test."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.tokens import Grant, Scope, sha256_of
from prometheus_client import CollectorRegistry

ALL: tuple[Scope, ...] = ("admin", "intake", "label", "read")
GRANTS = [
    Grant(sha256=sha256_of("all"), namespace="*", scopes=ALL),
    Grant(sha256=sha256_of("ml"), namespace="ml", scopes=ALL),
    Grant(sha256=sha256_of("other"), namespace="other", scopes=ALL),
    Grant(sha256=sha256_of("nothing-but-labels"), namespace="ml", scopes=("label",)),
]


class Api:
    """A client of a hub that is served from here."""

    def __init__(self, hub: Hub, client: TestClient[Any, Any], series: CollectorRegistry) -> None:
        self.hub, self.client, self.series = hub, client, series

    async def ask(self, method: str, path: str, token: str = "all", **fields: Any) -> ClientResponse:
        headers = {"Authorization": f"Bearer {token}", **fields.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **fields)

    async def answer(self, method: str, path: str, status: int = 200, **fields: Any) -> Any:
        response = await self.ask(method, path, **fields)
        assert response.status == status, await response.text()
        return await response.json()

    async def label(self, body: bytes | str, kind: str, status: int = 200, **query: Any) -> Any:
        fields = {"data": body, "headers": {"Content-Type": kind}}
        return await self.answer("POST", "/v1/labels", status, params=CENSUS | query, **fields)


CENSUS = {"namespace": "ml", "monitor": "census"}
