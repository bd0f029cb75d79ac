"""The shadows of the cluster: gather, plan, apply, and say in their status what became of it."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from driftline.errors import DataError
from driftline.shadow.comparison import listed as document
from driftline.shadow.gate import period_days
from driftline.shadow.rules import asks_for_labels
from driftline.shadow.sample import listed as largest

from driftline_operator import names
from driftline_operator.cluster.api import JSON_PATCH, Api, ApiError
from driftline_operator.cluster.resources import (
    CONFIG_MAPS,
    EVENTS,
    MODEL_MONITORS,
    SHADOW_BINDINGS,
    SHADOW_DEPLOYMENTS,
    WORKLOADS,
)
from driftline_operator.controller.apply import Applier, NotLeading
from driftline_operator.controller.observed import NamespaceState
from driftline_operator.controller.plan import status as statuses
from driftline_operator.controller.references import Loaded
from driftline_operator.controller.running import Running
from driftline_operator.controller.tokens import Tokens
from driftline_operator.controller.watched import ShadowSource
from driftline_operator.shadow.book import ShadowBook, days_of, judged, recalled
from driftline_operator.shadow.course import Course
from driftline_operator.shadow.findings import Asked, refused
from driftline_operator.shadow.keeping import kept, key_of_token, restored
from driftline_operator.shadow.observed import ObservedShadow, as_promoted, observe_shadow
from driftline_operator.shadow.plan import Facts, ShadowPlan, Told, plan_shadows
from driftline_operator.shadow.reasons import Refusal
from driftline_operator.shadow.status import events_of, said, status, taken_back, worth

_log = logging.getLogger(__name__)

KEEP_SECONDS: Final = 60.0
_REFUSALS: Final = (400, 403, 422)
_GUARDED_SECONDS: Final = 60.0
_TAKEOVER_SECONDS: Final = 120.0
"""For which the live pods and the hub are waited for, after a takeover: some rounds."""

Key = tuple[str, str]


class Shadows:
    """For one replica. `now`: the wall clock."""

    def __init__(
        self,
        api: Api,
        applier: Applier,
        source: ShadowSource,
        tokens: Tokens,
        *,
        allowed: bool,
        needs_policy: bool,
        identity: str,
        status_interval: float,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._api, self._applier, self._source, self._tokens = api, applier, source, tokens
        self._allowed, self._needs_policy = allowed, needs_policy
        self._identity, self._status_interval, self._now = identity, status_interval, now
        self._running: dict[Key, Running] = {}
        self._guarded: tuple[bool, float] = (False, 0.0)

    def forget(self) -> None:
        """Another controller has acted meanwhile: begin with what it kept."""
        self._running.clear()
        self._guarded = (False, 0.0)

    def running(self) -> Iterator[Running]:
        """Those that are known, by namespace and name."""
        yield from [each for _, each in sorted(self._running.items())]

    def is_unread(self, namespace: str, monitor: str) -> bool:
        """Has that monitor a shadow of which it is not read yet what was kept: by who has just taken over?"""
        for shadow in self._present(namespace):
            if shadow.spec is not None and shadow.spec.monitor_ref.name == monitor:
                known = self._running.get(shadow.key)
                if known is None or known.observed.uid != shadow.uid:
                    return True
        return False

    def _present(self, namespace: str) -> list[ObservedShadow]:
        """A namespace's shadows that are not being deleted."""
        found = [observe_shadow(each) for each in self._source.shadows(namespace)]
        return [each for each in found if not each.body["metadata"].get("deletionTimestamp")]

    async def settle(self, state: NamespaceState, loaded: Mapping[str, Loaded]) -> dict[str, str]:
        """Bring a namespace's shadows to what they should be; what its mirrors are told, by monitor.

        Raises ApiError, NotLeading; what was applied by then is right, and the rest is tried again.
        """
        shadows = self._present(state.name)
        self._drop(state.name, shadows)
        if shadows:
            await self._tokens.look(state.name)
        known = {each.uid: await self._known(each) for each in shadows}
        told = {uid: self._told(each) for uid, each in known.items()}
        facts = Facts(allowed=self._allowed, guarded=bool(shadows) and await self._is_guarded())
        mirrors = {}
        settled = [each.observed for each in known.values()]
        for made in plan_shadows(settled, told, state, loaded, facts, self._now()):
            done = await self._applied(known[made.observed.uid], made)
            if done and made.mirror is not None:
                mirrors[made.mirror[0]] = made.mirror[1]
        return mirrors

    async def _applied(self, known: Running, made: ShadowPlan) -> bool:
        """Apply it, or say that a write was refused, which may be for good: others are not held up by it."""
        try:
            await self._apply(known, made)
        except ApiError as error:
            if error.status not in _REFUSALS:
                raise
            said = refused(known.course, Refusal.API_REFUSED, str(error)[:500], known.judgement)
            await self._say(known, made._replace(findings=said))
            return False
        return True

    def _drop(self, namespace: str, present: Sequence[ObservedShadow]) -> None:
        alive = {each.uid for each in present}
        for key, known in list(self._running.items()):
            if key[0] == namespace and known.observed.uid not in alive:
                del self._running[key]

    def _told(self, known: Running) -> Told:
        garbled = tuple(sorted(known.refusals.values()))
        mirroring, warming = len(known.hearing().at), len(known.warming)
        asked = Asked(known.pods, known.answered, mirroring, warming, garbled, known.full, known.live)
        return Told(known.course, known.judgement, known.refused, asked, known.recalled is not None)

    async def _known(self, observed: ObservedShadow) -> Running:
        known = self._running.get(observed.key)
        if known is None or known.observed.uid != observed.uid:
            known = await self._load(observed)
        elif known.course.generation != observed.generation and not known.course.rolls():
            known = Running(observed, Course(uid=observed.uid, generation=observed.generation))
        known.observed = as_promoted(observed, known.course)
        self._running[observed.key] = known
        return known

    def _key(self, observed: ObservedShadow) -> bytes:
        """Empty while there is no token."""
        token = self._tokens.of(observed.namespace)
        return b"" if token is None else key_of_token(token)

    async def _load(self, observed: ObservedShadow) -> Running:
        name = names.shadow_config_map(observed.name)
        try:
            found = await self._api.get(CONFIG_MAPS, observed.namespace, name)
        except ApiError as error:
            if not error.missing:
                raise
            found = None
        key = self._key(observed)
        course, data = restored(observed, found, key or None)
        known = Running(as_promoted(observed, course), course, signed=None if found is None else key)
        if course.anew:
            known.signed = b""
            why = "kept nothing, or what isn't signed with the namespace's token"
            word = "begins anew" if course.ended is None else "stays ended"
            _log.error("shadow %s/%s: ConfigMap %s %s: %s", *observed.key, name, why, word)
        if course.began is None or course.plan is None:
            return known
        known.book = ShadowBook(course.uid, course.generation, course.plan)
        try:
            if data:
                known.book.restore(data)
                known.pairs = data
        except DataError as error:
            _log.error("%s/%s: its pairs begin anew: %s", *observed.key, error)
        self._recall(known)
        return known

    def _recall(self, known: Running) -> None:
        """What was said last stands until the pods were asked: they have told more since than was kept."""
        spec, course, now = known.observed.spec, known.course, self._now().timestamp()
        if course.is_mirroring():
            known.recalled = now
        if known.book is not None and spec is not None and course.said is not None:
            known.judgement = recalled(known.book, spec, course.elapsed(now), course.said)
        known.compare()

    def judge(self, known: Running) -> None:
        """What the gate says after a round; of one that isn't compared any more, what it said."""
        spec, course, now = known.observed.spec, known.course, self._now().timestamp()
        if known.book is None or spec is None or not course.is_mirroring():
            return
        if known.recalled is not None and now - known.recalled < _TAKEOVER_SECONDS:
            unlabelled = asks_for_labels(spec.gate) and not known.labels.at
            if unlabelled or known.hearing().share(0.0) < spec.gate.coverage:
                return
        elapsed = course.elapsed(now)
        known.book.fold(days_of(elapsed, spec), period_days(spec.gate), now)
        known.judgement = judged(known.book, spec, elapsed, known.labels, known.hearing())
        known.recalled = None

    async def _is_guarded(self) -> bool:
        """Is the admission policy in force? Asked once a minute."""
        now = self._now().timestamp()
        if not self._needs_policy:
            return True
        if now - self._guarded[1] >= _GUARDED_SECONDS:
            try:
                await self._api.get(SHADOW_BINDINGS, None, names.SHADOW_POLICY)
                self._guarded = True, now
            except ApiError as error:
                if error.status not in (403, 404):
                    raise
                self._guarded = False, now - _GUARDED_SECONDS + 5
        return self._guarded[0]

    async def _apply(self, known: Running, made: ShadowPlan) -> None:
        known.text = made.text or known.text
        if made.course != known.course:
            await self._step(known, made.course)
        elif known.signed is not None and known.signed != self._key(known.observed):
            await self._keep(known)  # the token is another one
        for each in made.removed:
            await self._applier.remove(each.resource, each.namespace, each.body["metadata"]["name"])
        complaint = ""
        try:
            for each in made.objects:
                await self._applier.ensure(each)
        except ApiError as error:
            if error.status not in _REFUSALS:
                raise
            complaint = error.message[:500]
        known.refused = complaint
        await self._promote(made)
        await self._say(known, made)

    async def _promote(self, made: ShadowPlan) -> None:
        """Change the live workload, or change it back. Refused, it is tried until its deadline."""
        spec = made.observed.spec
        if made.version and spec is not None:
            patch = {"spec": {"model": {"version": made.version}}}
            await self._applier.patch(MODEL_MONITORS, made.observed.namespace, spec.monitor_ref.name, patch)
        if not made.patch or made.wanted is None:
            return
        live = made.wanted.live
        resource, name = WORKLOADS[live["kind"]], live["metadata"]["name"]
        _log.info("shadow %s/%s: changing %s %s", *made.observed.key, live["kind"], name)
        try:
            await self._applier.patch(
                resource, made.observed.namespace, name, list(made.patch), kind=JSON_PATCH
            )
        except ApiError as error:
            if error.status not in (*_REFUSALS, 409):
                raise
            _log.warning("shadow %s/%s: not changed: %s", *made.observed.key, error)

    async def _step(self, known: Running, course: Course) -> None:
        """Kept first: whoever takes over goes on from there."""
        if course.ready_since != known.course.ready_since:
            known.warming = set()
        if known.book is None and course.began is not None and course.plan is not None:
            known.book = ShadowBook(course.uid, course.generation, course.plan)
        spec, now = known.observed.spec, self._now().timestamp()
        if known.book is not None and spec is not None and known.course.is_mirroring():
            over = not course.is_mirroring()
            days = days_of(course.elapsed(now), spec)
            known.book.fold(days, period_days(spec.gate), now, over=over)
        await self._keep(known, course)

    async def _keep(self, known: Running, course: Course | None = None) -> None:
        """Keep the course, from now on `course` if there is one, the pairs and what they say."""
        async with known.writing:
            known.compare()
            await self._write(known, course or known.course)
            known.course = course or known.course

    async def _write(self, known: Running, course: Course) -> None:
        self._encode(known, over=not course.is_mirroring())
        changes = 0 if known.book is None else known.book.changes
        texts = {
            names.PATCH_KEY: known.text,
            names.DISAGREEMENTS_KEY: ""
            if known.book is None
            else largest(known.book.snapshot().tally.sample),
            names.COMPARISON_KEY: "" if known.comparison is None else document(known.comparison),
        }
        key = self._key(known.observed)
        await self._applier.ensure(kept(known.observed, course, known.pairs, texts, key or None))
        known.signed = key
        known.saved = changes, self._now().timestamp()

    def _encode(self, known: Running, *, over: bool) -> None:
        """What doesn't fit changes nothing of what is kept: sums without their keys would count twice."""
        pairs = b"" if known.book is None else known.book.encode(over=over)
        if pairs is not None:
            known.pairs = pairs
        elif not known.full:
            _log.error("shadow %s/%s: its pairs fit their ConfigMap no longer", *known.observed.key)
        known.full = pairs is None

    async def keep(self, known: Running) -> None:
        """Keep the pairs, if need be. Refused, it is tried again in the next round."""
        changes, at = known.saved
        due = self._now().timestamp() - at >= KEEP_SECONDS
        if known.book is None or known.book.changes == changes or not due:
            return
        try:
            await self._keep(known)
        except ApiError as error:
            if error.status not in _REFUSALS:
                raise
            _log.error("shadow %s/%s: its pairs are not kept: %s", *known.observed.key, error)

    async def kept(self, known: Running) -> bool:
        """Keep the pairs that have come by now; whether they are. Many that ask at once share one write."""
        news = 0 if known.book is None else known.book.changes
        try:
            async with known.writing:
                if known.saved[0] < news and self._running.get(known.observed.key) is known:
                    await self._write(known, known.course)
        except (ApiError, NotLeading) as error:
            _log.warning(
                "shadow %s/%s: pairs of a leaving pod are not kept yet: %s", *known.observed.key, error
            )
            return False
        return not known.full

    async def _say(self, known: Running, made: ShadowPlan) -> None:
        """Write the status where it changed, and Events on transitions."""
        now = self._now()
        back = taken_back(made.findings)
        known.back = "" if back is None else back.reason
        if known.said is None or known.said[0] is not known.judgement:
            known.said = known.judgement, said(known.observed, known.judgement)
        wanted = status(known.observed, known.course, known.said[1], made.findings, now)
        found = worth(known.observed, wanted)
        rested = now.timestamp() - known.written >= self._status_interval
        if not found.changed or not (found.urgent or rested):
            return
        changed = events_of(known.observed, made.findings)
        try:
            written = await self._applier.status(SHADOW_DEPLOYMENTS, statuses.body(known.observed, wanted))
        except ApiError as error:
            if error.missing or error.status == 409:
                return  # deleted meanwhile, or another of the same name: its own event comes
            if error.status not in _REFUSALS:
                raise
            # Tried again at each look, told once; the namespace's monitors are not held up by it.
            if known.complaint != str(error):
                known.complaint = str(error)
                _log.error("shadow %s/%s: its status is refused: %s", *known.observed.key, error)
            return
        known.complaint, known.written = "", now.timestamp()
        known.observed = known.observed._replace(body=written)
        for each in changed:
            _log.info("shadow %s/%s: %s is %s: %s: %s", *known.observed.key, *each)
            event = statuses.event(known.observed, each, self._identity, now)
            try:
                await self._applier.create(EVENTS, known.observed.namespace, event)
            except ApiError as error:
                if error.status not in _REFUSALS:
                    raise
                _log.warning("shadow %s/%s: no Event of it: %s", *known.observed.key, error)
