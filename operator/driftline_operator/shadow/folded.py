"""Which parts of which pods have been added up, so that none counts twice. Pure; times are given.

A part is known by 8 bytes of its pod, 8 of its life and its day. Two of a pod's 300 lives share them once in
10^14 times, which would miss pairs, and never count them twice. A pod that has gone for a day tells nothing
any more and is forgotten: it is the lives of the pods that are there, and of those that went within a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from driftline.errors import DataError

FORGET_SECONDS: Final = 24 * 3600.0
_SIZE: Final = 8

Key = tuple[str, str, int]


class Group(msgspec.Struct, array_like=True, frozen=True):
    """Lives that are added up on the same days."""

    days: list[int]
    lives: bytes
    """Of each the pod's 8 bytes, and its own."""


class Folded:
    """The keys (`Part.key`) that are added up."""

    def __init__(self, groups: Iterable[Group] = ()) -> None:
        """`groups`: what `groups()` gave. Raises DataError where they are damaged."""
        self._pods: dict[bytes, dict[bytes, set[int]]] = {}
        self._gone: dict[bytes, float] = {}
        for group in groups:
            if len(group.lives) % (2 * _SIZE):
                raise DataError("pairs that can't be read: a life is cut off")
            for at in range(0, len(group.lives), 2 * _SIZE):
                pod, life = group.lives[at : at + _SIZE], group.lives[at + _SIZE : at + 2 * _SIZE]
                self._pods.setdefault(pod, {})[life] = set(group.days)

    def add(self, keys: Iterable[Key]) -> None:
        """These are added up."""
        for pod, boot, day in keys:
            self._pods.setdefault(_short(pod), {}).setdefault(_short(boot), set()).add(day)

    def __contains__(self, key: Key) -> bool:
        pod, boot, day = key
        return day in self._pods.get(_short(pod), {}).get(_short(boot), ())

    def pods(self, alive: Iterable[str], now: float) -> None:
        """These pods, by UID, are there; others are forgotten once they have gone for a day."""
        gone = self._pods.keys() - {_short(pod) for pod in alive}
        self._gone = {pod: self._gone.get(pod, now) for pod in gone}
        for pod in [pod for pod, since in self._gone.items() if now - since >= FORGET_SECONDS]:
            del self._pods[pod], self._gone[pod]

    def groups(self) -> list[Group]:
        """To store them: lives by the days that they have in common, for most have the same."""
        found: dict[tuple[int, ...], list[bytes]] = {}
        for days, life in self._lives():
            found.setdefault(days, []).append(life)
        return [Group(list(days), b"".join(sorted(lives))) for days, lives in sorted(found.items())]

    def _lives(self) -> Iterator[tuple[tuple[int, ...], bytes]]:
        for pod, lives in self._pods.items():
            for life, days in lives.items():
                yield tuple(sorted(days)), pod + life


def _short(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=_SIZE).digest()
