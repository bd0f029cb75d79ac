"""Requests to the API server on plain JSON objects, each with a deadline.

Configuration, TLS and credentials (in-cluster, kubeconfig, exec plug-ins, token rotation) are the
official asynchronous client's; its models are not used: they cost memory, and lose fields they don't know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio import client, config

from driftline_operator import names
from driftline_operator.cluster.resources import Object, Resource

REQUEST_SECONDS: Final = 10.0
"""A request that takes longer has failed; a lease's renewal must fit several times into its duration."""
WATCH_SECONDS: Final = 290
"""How long the API server holds a watch; below the usual five minutes of proxies between."""
_QUIET_SECONDS: Final = 60.0
"""Added to WATCH_SECONDS: the client's own limit for a connection that died without a word."""
_PAGE: Final = 500
_MOST_EVENT: Final = 32 << 20
"""Bytes of one watched change. An object has 1.5 MiB in etcd, and JSON writes `<` in six bytes."""

_JSON: Final = "application/json"
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"


class ApiError(Exception):
    """The API server refused, or wasn't reached (`status` 0). `reason`: such as Conflict."""

    def __init__(self, status: int, reason: str, message: str, request: str) -> None:
        """`request`: method and path, for the log."""
        super().__init__(f"{request}: {status or 'no answer'} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def missing(self) -> bool:
        """There is no such object, or no such kind."""
        return self.status == 404

    @property
    def expired(self) -> bool:
        """The resource version is too old to watch from: list again."""
        return self.status == 410


class Api:
    """One connection pool to one API server. Use it with `async with`."""

    def __init__(self, configuration: client.Configuration) -> None:
        """`configuration`: as `load` returns it."""
        self._client = client.ApiClient(configuration)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """One object; raises ApiError (`missing` where there is none)."""
        return await self._object("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> tuple[list[Object], str]:
        """All objects, and the resource version to watch from. `metadata_only`: nothing else of each."""
        query = {"limit": str(_PAGE), "labelSelector": labels, "fieldSelector": fields}
        found: list[Object] = []
        while True:
            accept = _METADATA_LIST if metadata_only else _JSON
            page = await self._object("GET", resource.path(namespace), query, accept=accept)
            found += page.get("items") or []
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return found, str(metadata.get("resourceVersion", ""))
            query["continue"] = metadata["continue"]

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """A new object; ApiError 409 where there is one already."""
        return await self._object("POST", resource.path(namespace), body=body)

    async def replace(self, resource: Resource, namespace: str | None, name: str, body: Object) -> Object:
        """The whole object; ApiError 409 where its `resourceVersion` isn't the newest."""
        return await self._object("PUT", resource.path(namespace, name), body=body)

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        body: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply as `driftline`; conflicts are taken over: what it applies is its own."""
        query = {"fieldManager": names.FIELD_MANAGER, "force": "true"}
        if dry_run:
            query["dryRun"] = "All"
        path = resource.path(namespace, body["metadata"]["name"], subresource)
        return await self._object("PATCH", path, query, body, _APPLY)

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: object,
        *,
        kind: str = MERGE,
        subresource: str = "",
    ) -> Object:
        """A merge patch, or with `kind` JSON_PATCH a list of operations."""
        query = {"fieldManager": names.FIELD_MANAGER}
        return await self._object("PATCH", resource.path(namespace, name, subresource), query, body, kind)

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, resource_version: str = ""
    ) -> None:
        """Delete an object in the background; one that has gone already is fine.

        With `resource_version` only that very version is deleted: ApiError 409 where it has changed.
        """
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if resource_version:
            body["preconditions"] = {"resourceVersion": resource_version}
        try:
            await self._object("DELETE", resource.path(namespace, name), body=body)
        except ApiError as error:
            if not error.missing:
                raise

    async def serves(self, resource: Resource) -> bool:
        """Does the API server know that kind at all?"""
        try:
            known = await self._object("GET", f"/apis/{resource.group}/{resource.version}")
        except ApiError as error:
            if error.missing:
                return False
            raise
        return any(each.get("name") == resource.plural for each in known.get("resources") or [])

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        since: str,
        *,
        labels: str = "",
        fields: str = "",
        seconds: int = WATCH_SECONDS,
        metadata_only: bool = False,
    ) -> AsyncIterator[tuple[str, Object]]:
        """Changes after the version `since`, until the server ends it: (ADDED | MODIFIED | …, object).

        Raises ApiError; `expired` where that version is too old.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(seconds),
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        path = resource.path(namespace)
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=REQUEST_SECONDS, sock_read=seconds + _QUIET_SECONDS
        )
        accept = _METADATA if metadata_only else _JSON
        response = await self._request("GET", path, query, None, _JSON, limits, accept)
        try:
            async for line in _lines(response.content, _MOST_EVENT):
                event = msgspec.json.decode(line)
                if event["type"] == "ERROR":
                    raise _refusal(event["object"], int(event["object"].get("code", 500)), f"WATCH {path}")
                yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # no JSON is a ValueError, too
            raise ApiError(0, type(error).__name__, str(error), f"WATCH {path}") from error
        finally:
            response.close()

    async def _object(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> Object:
        limits = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        response = await self._request(method, path, query or {}, body, content_type, limits, accept)
        try:
            decoded: Object = msgspec.json.decode(await response.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            raise ApiError(0, type(error).__name__, str(error), f"{method} {path}") from error
        return decoded

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: object,
        content_type: str,
        limits: aiohttp.ClientTimeout,
        accept: str,
    ) -> aiohttp.ClientResponse:
        given = urlencode({key: value for key, value in query.items() if value})
        headers = {"Accept": accept, "Content-Type": content_type}
        url = self._client.configuration.host + path + (f"?{given}" if given else "")
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            answer = await self._client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=limits
            )
            response: aiohttp.ClientResponse = answer.response
            if response.status < 300:
                return response
            raise _refusal(await response.read(), response.status, f"{method} {path}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, type(error).__name__, str(error), f"{method} {path}") from error


async def _lines(content: aiohttp.StreamReader, most: int) -> AsyncIterator[bytes]:
    """Line by line. Raises ValueError where one has more than `most` bytes.

    aiohttp's own reading of lines ends at twice its buffer: below what an object may have.
    """
    kept = bytearray()
    async for part in content.iter_any():
        kept += part
        if b"\n" in part:
            *whole, rest = kept.split(b"\n")
            kept = rest
            for line in whole:
                yield bytes(line)
        if len(kept) > most:
            raise ValueError(f"a change of more than {most} bytes")
    if kept:
        yield bytes(kept)


def _refusal(answer: bytes | Object, status: int, request: str) -> ApiError:
    try:
        said = msgspec.json.decode(answer) if isinstance(answer, bytes) else answer
    except msgspec.DecodeError:
        said = {"message": answer[:500].decode(errors="replace") if isinstance(answer, bytes) else ""}
    if not isinstance(said, Mapping):
        said = {"message": str(said)}
    return ApiError(status, str(said.get("reason", "")), str(said.get("message", "")), request)


async def load(kubeconfig: str | None = None) -> client.Configuration:
    """The cluster's address and credentials: from a file, else from within the pod.

    Raises ApiError where there are none.
    """
    configuration = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
    except config.ConfigException as error:
        raise ApiError(
            0, "NoConfiguration", str(error), kubeconfig or "this pod's service account"
        ) from error
    return configuration
