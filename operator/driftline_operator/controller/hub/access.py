"""The admin token between controller and hub: made once, kept in a Secret of the operator's own namespace.

The Secret has the token itself for controllers, and for the hub, which mounts it, a token file with its hash.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import SECRETS, Object

_log = logging.getLogger(__name__)

_BYTES = 32


class HubAccess:
    """For one replica. `may_write`: whether it acts."""

    def __init__(self, api: Api, namespace: str, may_write: Callable[[], bool]) -> None:
        self._api, self._namespace, self._may_write = api, namespace, may_write
        self.token: str | None = None
        """Once it is there."""

    async def ensure(self) -> None:
        """Read it; make it where there is none. Raises ApiError."""
        if self.token is not None:
            return
        try:
            found = await self._api.get(SECRETS, self._namespace, names.HUB_SECRET)
        except ApiError as error:
            if not error.missing:
                raise
            if not self._may_write():
                return
            found = await self._api.create(SECRETS, self._namespace, secret(self._namespace, _made()))
            _log.info("the token between controller and hub was made")
        self.token = token_of(found)

    def forget(self) -> None:
        """Read it again: it may have been made anew."""
        self.token = None


def _made() -> str:
    return secrets.token_urlsafe(_BYTES)


def secret(namespace: str, token: str) -> dict[str, Any]:
    """The Secret with that token."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    grant = {"sha256": digest, "namespace": "*", "scopes": ["admin", "read"]}
    tokens = msgspec.yaml.encode({"tokens": [grant]})
    data = {names.TOKEN_KEY: token.encode(), names.HUB_TOKENS_KEY: tokens}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": names.HUB_SECRET,
            "namespace": namespace,
            "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY},
        },
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def token_of(found: Object) -> str | None:
    """The token in a Secret; None where it has none."""
    text = (found.get("data") or {}).get(names.TOKEN_KEY, "")
    return base64.b64decode(text).decode("ascii", "replace").strip() or None
