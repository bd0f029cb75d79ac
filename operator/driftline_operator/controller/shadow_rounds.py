"""The shadows' turn: asks the live pods for their pairs, judges them, keeps them."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from driftline_operator.controller.plan.namespace import MonitorPlan
from driftline_operator.controller.plan.pods import Watched
from driftline_operator.controller.shadows import Key, Running, Shadows
from driftline_operator.controller.tokens import Tokens
from driftline_operator.fleet.intake import PushedPairs, Taken
from driftline_operator.fleet.pull import Missed, Puller


class LivePods(NamedTuple):
    """What is known of the live pods."""

    planned: Callable[[], Mapping[Key, MonitorPlan]]
    alive: Callable[[str], set[str]]
    """UIDs of all pods of a namespace."""


class ShadowRounds:
    """For one replica, while it acts. `dirty`: have a namespace looked at."""

    def __init__(
        self,
        shadows: Shadows,
        puller: Puller,
        tokens: Tokens,
        live: LivePods,
        dirty: Callable[[str], None],
        now: Callable[[], dt.datetime],
    ) -> None:
        self._shadows, self._puller, self._tokens = shadows, puller, tokens
        self._live, self._dirty, self._now = live, dirty, now

    async def turn(self) -> None:
        """One round. Raises ApiError and NotLeading; what was taken is kept."""
        planned = self._live.planned()
        for known in self._shadows.running():
            spec = known.observed.spec
            if spec is None:
                continue
            if known.course.is_mirroring():
                plan = planned.get((known.observed.namespace, spec.monitor_ref.name))
                await self._ask(known, spec.monitor_ref.name, () if plan is None else plan.survey.watched)
                if known.book is not None:
                    known.book.pods(self._live.alive(known.observed.namespace), self._now().timestamp())
                self._shadows.judge(known)
                await self._shadows.keep(known)
            if known.course.ended is None:
                self._dirty(known.observed.namespace)  # time passes too: warm-up, days, the end

    async def _ask(self, known: Running, monitor: str, pods: tuple[Watched, ...]) -> None:
        token = self._tokens.of(known.observed.namespace)
        whole = f"{known.observed.namespace}/{monitor}"
        asked = [self._puller.pairs(pod.ip, whole, known.cursors.get(pod.uid, ""), token) for pod in pods]
        answers = await asyncio.gather(*asked)
        missed: Counter[str] = Counter()
        for pod, answer in zip(pods, answers, strict=True):
            if isinstance(answer, Missed):
                missed[answer.value] += 1
                continue
            known.cursors[pod.uid] = answer.cursor
            for part in answer.parts:
                if part.pod == pod.uid:
                    known.take(part)
        known.pods, known.answered, known.missed = len(pods), len(pods) - missed.total(), dict(missed)
        known.cursors = {pod.uid: known.cursors.get(pod.uid, "") for pod in pods}
        known.mirroring &= known.cursors.keys()
        known.warming &= known.cursors.keys()

    def accept(self, push: PushedPairs) -> Taken:
        """A leaving pod's last parts. Sent twice, or pulled before, they count once."""
        found = Taken.UNKNOWN_MONITOR
        for known in self._shadows.running():
            spec = known.observed.spec
            if spec is None or (known.observed.namespace, spec.monitor_ref.name) != (
                push.namespace,
                push.monitor,
            ):
                continue
            found = Taken.TAKEN
            for part in push.parts:
                if part.pod == push.uid:
                    known.take(part)
        return found
