"""The namespaces that are to be looked at, each at its time: many words about one become one look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

SOON: Final = 0.2
"""Seconds that changes of one namespace are gathered for: a rollout is many."""
_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 120.0


class DirtyNamespaces:
    """For one worker. `clock`: seconds that only go up."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        self._waits: dict[str, float] = {}
        self._changed = asyncio.Event()

    def add(self, namespace: str, after: float = SOON) -> None:
        """Look at it after so many seconds, or sooner if that was already planned."""
        due = self._clock() + after
        if due < self._due.get(namespace, float("inf")):
            self._due[namespace] = due
            self._changed.set()

    def failed(self, namespace: str) -> float:
        """Try it again, later each time. After how many seconds?"""
        wait = self._waits.get(namespace, _FIRST_WAIT)
        self._waits[namespace] = min(wait * 2, _LONGEST_WAIT)
        self.add(namespace, wait)
        return wait

    def succeeded(self, namespace: str) -> None:
        """The next failure waits as the first."""
        self._waits.pop(namespace, None)

    @property
    def urgent(self) -> bool:
        """Is there one whose time has come, or comes soon?"""
        return any(due - self._clock() <= SOON for due in self._due.values())

    async def next(self) -> str:
        """The namespace whose time has come; waits for one."""
        while True:
            self._changed.clear()
            wait: float | None = None
            if self._due:
                namespace, due = min(self._due.items(), key=lambda each: each[1])
                wait = due - self._clock()
                if wait <= 0:
                    del self._due[namespace]
                    return namespace
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue
