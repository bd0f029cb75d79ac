"""The shadows' turn: asks the live pods for their pairs, judges them, keeps them."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from driftline.errors import DataError
from driftline.shadow.codec import Part, decode_part
from driftline.shadow.gate import DAY

from driftline_operator.controller.plan.namespace import MonitorPlan
from driftline_operator.controller.plan.pods import Watched
from driftline_operator.controller.running import Running
from driftline_operator.controller.shadows import Key, Shadows
from driftline_operator.controller.tokens import Tokens
from driftline_operator.fleet.intake import PushedPairs, Taken
from driftline_operator.fleet.pull import Missed, Puller
from driftline_operator.shadow.book import GONE_SECONDS, MOST_LIVES, days_of
from driftline_operator.shadow.hearing import HEARD_SECONDS

_GARBLED = (Missed.UNREADABLE, Missed.TOO_LARGE, Missed.TOO_MANY)

_log = logging.getLogger(__name__)


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
                known.live = 0 if plan is None else plan.survey.expected
                if known.book is not None:
                    known.book.pods(self._live.alive(known.observed.namespace), self._now().timestamp())
                self._shadows.judge(known)
                await self._shadows.keep(known)
            if known.course.ended is None:
                self._dirty(known.observed.namespace)  # time passes too: warm-up, days, the end

    async def _ask(self, known: Running, monitor: str, pods: tuple[Watched, ...]) -> None:
        now = self._now().timestamp()
        known.seen = {pod: at for pod, at in known.seen.items() if now - at < GONE_SECONDS}
        known.seen |= dict.fromkeys((pod.uid for pod in pods), now)
        missed = Counter(await asyncio.gather(*(self._ask_pod(known, monitor, pod) for pod in pods)))
        answered = missed.pop("", 0)
        known.pods, known.answered, known.missed = len(pods), answered, dict(missed)
        known.cursors = {pod.uid: known.cursors.get(pod.uid, "") for pod in pods}
        known.mirroring &= known.cursors.keys()
        lately = now - HEARD_SECONDS
        known.heard = {uid: at for uid, at in known.heard.items() if uid in known.cursors and at >= lately}
        known.warming &= known.cursors.keys()
        known.refusals = {uid: name for uid, name in known.refusals.items() if uid in known.cursors}

    async def _ask_pod(self, known: Running, monitor: str, pod: Watched) -> str:
        """Why its pairs couldn't be had; empty: they are taken, one pod's before another's are read."""
        token = self._tokens.of(known.observed.namespace)
        whole, asked_at = f"{known.observed.namespace}/{monitor}", self._now().timestamp()
        cursor = known.cursors.get(pod.uid, "")
        answer = await self._puller.pairs(pod.ip, whole, cursor, token)
        if isinstance(answer, Missed):
            if answer in _GARBLED:
                self._refuse(known, pod.uid, pod.name, [f"its answer is {answer.value}"])
            return answer.value
        if not self._take(known, pod.uid, pod.name, answer.parts):
            return "refused_parts"  # asked for again in the next round
        if not answer.parts and answer.cursor != cursor:
            return ""  # its analyzer is another one, which has not read what its forerunner left
        known.cursors[pod.uid], known.heard[pod.uid] = answer.cursor, asked_at
        if known.book is not None:
            known.book.heard(pod.uid, _whole_days(known, asked_at))
        return ""

    async def accept(self, push: PushedPairs) -> Taken:
        """A leaving pod's last parts, taken once kept. Sent twice, or pulled before, they count once."""
        key = push.namespace, push.monitor
        if self._shadows.is_unread(*key):
            return Taken.NOT_YET
        of = [
            known
            for known in self._shadows.running()
            if known.observed.spec is not None
            and (known.observed.namespace, known.observed.spec.monitor_ref.name) == key
        ]
        plan = self._live.planned().get(key)
        watched = {pod.uid for pod in (() if plan is None else plan.survey.watched)}
        found = {await self._accept(known, push, watched) for known in of}
        order = (Taken.REFUSED, Taken.NOT_KEPT, Taken.TAKEN, Taken.NOT_YET, Taken.UNKNOWN_POD)
        return next((taken for taken in order if taken in found), Taken.UNKNOWN_MONITOR)

    async def _accept(self, known: Running, push: PushedPairs, watched: set[str]) -> Taken:
        book = known.book
        if book is None or not known.course.is_mirroring():
            return Taken.TAKEN  # and not counted: it is over
        if push.uid not in watched and push.uid not in known.seen and push.uid not in book.told:
            return Taken.UNKNOWN_POD if known.pods else Taken.NOT_YET
        whole = self._take(known, push.uid, push.uid, push.parts)
        book.leaves(push.uid)
        kept = await self._shadows.kept(known)
        if not whole:
            return Taken.REFUSED
        return Taken.TAKEN if kept else Taken.NOT_KEPT

    def _take(self, known: Running, uid: str, name: str, encoded: Iterable[bytes]) -> bool:
        """Take what can be true, one part at a time: unpacked they are large. Whether all of it was."""
        refused = [*_refused(known, uid, encoded, self._now().timestamp())]
        if not refused:
            known.refusals.pop(uid, None)
            return True
        self._refuse(known, uid, name, refused)
        return False

    def _refuse(self, known: Running, uid: str, name: str, why: Sequence[str]) -> None:
        known.refused_parts += len(why)
        if uid not in known.refusals:
            known.refusals[uid] = name
            _log.warning("shadow %s/%s: pod %s: %s", *known.observed.key, name, why[0][:500])


def _whole_days(known: Running, asked_at: float) -> int:
    """Of which a pod that was asked then had counted all."""
    spec = known.observed.spec
    return 0 if spec is None else days_of(known.course.elapsed(asked_at), spec)


def _refused(known: Running, uid: str, encoded: Iterable[bytes], now: float) -> Iterator[str]:
    for data in encoded:
        try:
            part = decode_part(data)
        except DataError as error:
            yield str(error)
            continue
        doubt = _doubt(known, uid, part, now) if known.is_ours(part) else ""
        if doubt:
            yield doubt
        else:
            known.take(part)


def _doubt(known: Running, uid: str, part: Part, now: float) -> str:
    """Why a part, which is of one piece, can't be that pod's now; empty: it can."""
    if part.pod != uid:
        return "a shadow part is of another pod"
    today = int(known.course.elapsed(now) // DAY)
    if part.day > today + 1:  # its node's clock may be ahead
        return f"a shadow part is of day {part.day}, and this is day {today}"
    if known.book is not None and not known.book.has_room(part):
        return f"there are more than {MOST_LIVES} shadow parts of one pod"
    return ""
