"""Who may do what: tokens by their SHA-256, from files, read again when they change, and the database.

A file, or each `*.yaml` of a directory (mounted Secrets), is YAML or JSON:

    tokens:
      - {sha256: 9f86d0…, namespace: ml, scopes: [label, read]}
      - {sha256: 60303a…, namespace: "*", scopes: [admin, intake, label, read]}
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from driftline_operator.hub.refusal import Refusal

_log = logging.getLogger(__name__)

Scope = Literal["intake", "label", "read", "admin"]
SCOPES: Final[dict[Scope, str]] = {
    "intake": "predictions",
    "label": "labels, feedback and KPI events",
    "read": "what is stored and what it adds up to",
    "admin": "monitors, pane history, erasure",
}
_State = tuple[tuple[int, int, int], ...]
ALL: Final = "*"
"""The namespace of a token that is good for all."""


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the token with that hash may do."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    namespace: Annotated[str, Meta(min_length=1, max_length=253)]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)]

    def check(self, scope: Scope, namespace: str) -> None:
        """Raises Refusal (403) where it isn't enough."""
        if scope not in self.scopes:
            raise Refusal(403, f"the token lacks the scope {scope!r} ({SCOPES[scope]})")
        if self.namespace not in (ALL, namespace):
            raise Refusal(403, "the token is of another namespace", field="namespace", value=namespace)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tokens: tuple[Grant, ...] = ()


def sha256_of(token: str) -> str:
    """How a token is known; a header's bytes that aren't UTF-8 stand for themselves."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def find(authorization: str, grants: Iterable[Grant]) -> Grant:
    """What the request's token may do. Raises Refusal (401).

    Every known hash is compared, each in constant time. An empty token is none, whatever is known.
    """
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Refusal(401, "Authorization must be Bearer and a token of this hub")
    given, found = sha256_of(token), None
    for grant in grants:
        if hmac.compare_digest(given, grant.sha256):
            found = grant
    if found is None:
        raise Refusal(401, "Authorization must be Bearer and a token of this hub")
    return found


def of_sidecars(tokens: Mapping[str, str]) -> list[Grant]:
    """Sidecars may send predictions of their own namespace, no more. `tokens`: hashes by namespace."""
    return [Grant(sha256=sha256, namespace=name, scopes=("intake",)) for name, sha256 in tokens.items()]


class TokenFile:
    """The tokens of a file or directory; while a change can't be read, those that could be read last."""

    def __init__(self, path: Path | None) -> None:
        """Raises ValueError where it can't be read."""
        self._path = path
        self._seen: _State | None = None
        self._grants: tuple[Grant, ...] = ()
        if path is not None:
            self._seen = _state(path)
            self._grants = _read(path)

    def give(self, grant: Grant) -> None:
        """Where there is no file: one more."""
        self._grants += (grant,)

    @property
    def grants(self) -> tuple[Grant, ...]:
        """As the file is now: looking whether it has changed takes microseconds."""
        if self._path is None:
            return self._grants
        try:
            state = _state(self._path)
            if state != self._seen:
                self._seen = state
                self._grants = _read(self._path)
                _log.info("tokens were read again: %d", len(self._grants))
        except (OSError, ValueError) as error:
            _log.error("the changed token file is not used: %s", error)
        return self._grants


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.yaml")) if path.is_dir() else [path]


def _state(path: Path) -> _State:
    found = [each.stat() for each in _files(path)]
    return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)


def _read(path: Path) -> tuple[Grant, ...]:
    grants: list[Grant] = []
    for each in _files(path):
        try:
            grants += msgspec.yaml.decode(each.read_bytes(), type=_File).tokens
        except msgspec.DecodeError as error:
            raise ValueError(f"{each}: {error}") from error
    return tuple(grants)
