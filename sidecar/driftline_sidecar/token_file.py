"""The token that /v1/* asks for, from a file that may change: a Secret as the kubelet mounts it."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 4096


class Token:
    """Read for each request, which are few: another token is in force at once."""

    def __init__(self, path: Path | None) -> None:
        """None: no token is asked for."""
        self._path = path

    def read(self) -> str:
        """The token; empty where there is none."""
        if self._path is None:
            return ""
        try:
            with self._path.open("rb") as file:
                return file.read(_MOST_BYTES).decode("ascii", "replace").strip()
        except OSError:
            return ""

    def refuses(self, authorization: str) -> str:
        """Why a request with that header isn't answered; empty: it is. No token is never right."""
        if self._path is None:
            return ""
        token = self.read()
        if not token:
            return "there is no token yet: the operator makes it"
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
            return "Authorization must be Bearer and the namespace's token"
        return ""
