"""Which captured exchanges are eligible, and what keeps an eligible one from being mirrored. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from driftline.shadow.account import Drop
from driftline.shadow.runtime import MirrorConfig

from driftline_sidecar.analyzer.mirror.requests import path_of
from driftline_sidecar.exchange import Exchange

_SAMPLE: Final = b"sample"
_TWICE: Final = b"twice"


def is_eligible(config: MirrorConfig, exchange: Exchange) -> bool:
    """By path and, the same in every pod, by id."""
    paths = config.traffic.paths
    if paths and not any(_matches(pattern, exchange.path) for pattern in paths):
        return False
    return _chosen(config, exchange.id, _SAMPLE, config.traffic.sample)


def goes_twice(config: MirrorConfig, exchange: Exchange) -> bool:
    """Whether a mirrored exchange is one of those that go twice to both sides."""
    return _chosen(config, exchange.id, _TWICE, config.aa.share)


def flaw(exchange: Exchange, max_body_bytes: int) -> Drop | None:
    """Why there would be nothing to send, or nothing to compare with.

    Without a path there is nowhere to send it. A body that is cut at the limit was too large; one that is cut
    before it has lost a part.
    """
    if path_of(exchange) is None:
        return Drop.NO_PATH
    for body, whole in (
        (exchange.request_body, exchange.request_bytes),
        (exchange.response_body, exchange.response_bytes),
    ):
        if len(body) < whole:
            return Drop.BODY_TOO_LARGE if whole > max_body_bytes else Drop.INCOMPLETE
    return None


def _matches(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _chosen(config: MirrorConfig, identity: str, purpose: bytes, share: float) -> bool:
    if share >= 1:
        return True
    key = config.shadow.uid.encode()[:64]
    found = blake2b(identity.encode(), digest_size=8, key=key, person=purpose).digest()
    return int.from_bytes(found, "big") < share * 2.0**64
