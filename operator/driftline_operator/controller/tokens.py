"""One token a namespace, between the controller and the sidecars there; kept in a Secret, never logged."""

from __future__ import annotations

import base64
import logging
import re
import secrets
from collections.abc import Sequence

from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import SECRETS
from driftline_operator.controller.apply import Applier
from driftline_operator.controller.observed import Observed
from driftline_operator.controller.plan.objects import token_secret

_BYTES = 32
_TOKEN = re.compile(r"[!-~]{1,4096}")
"""What a header can carry."""

_log = logging.getLogger(__name__)


class Tokens:
    """The tokens of the namespaces that have monitors."""

    def __init__(self, api: Api, applier: Applier) -> None:
        self._api, self._applier = api, applier
        self._known: dict[str, str] = {}
        self._owners: dict[str, frozenset[str]] = {}

    def of(self, namespace: str) -> str | None:
        """A namespace's token, once it is there."""
        return self._known.get(namespace)

    async def look(self, namespace: str) -> str | None:
        """The same, read where it isn't known yet; nothing is made. Raises ApiError."""
        if namespace not in self._known:
            token = await self._present(namespace)
            if token is not None:
                self._known[namespace] = token
        return self.of(namespace)

    def forget(self) -> None:
        """Read them anew: another controller may have made others."""
        self._known.clear()
        self._owners.clear()

    def doubt(self, namespace: str) -> None:
        """Sidecars there refuse it: its Secret may have changed or gone. `ensure` then looks again."""
        self._owners.pop(namespace, None)

    async def ensure(self, namespace: str, monitors: Sequence[Observed]) -> None:
        """See that the Secret is there and belongs to these monitors. Raises ApiError, NotLeading.

        One that is there is kept as it is: its token may have been set by hand. One that no header can carry
        is made anew.
        """
        owners = frozenset(each.uid for each in monitors)
        if not monitors or self._owners.get(namespace) == owners:
            return
        token = await self._present(namespace)
        made = token or secrets.token_urlsafe(_BYTES)
        desired = token_secret(monitors, made)
        await self._applier.write(lambda: self._api.apply(SECRETS, namespace, desired.body))
        self._known[namespace], self._owners[namespace] = made, owners

    async def _present(self, namespace: str) -> str | None:
        try:
            found = await self._api.get(SECRETS, namespace, names.TOKEN_SECRET)
        except ApiError as error:
            if error.missing:
                return None
            raise
        text = (found.get("data") or {}).get(names.TOKEN_KEY, "")
        token = base64.b64decode(text).decode("ascii", "replace").strip()
        if _TOKEN.fullmatch(token):
            return token
        _log.warning("Secret %s/%s holds no token that can be sent: made anew", namespace, names.TOKEN_SECRET)
        return None
