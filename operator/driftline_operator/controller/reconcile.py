"""One namespace: gather, plan, apply, and say in the monitors' status what became of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from driftline_operator import names
from driftline_operator.cluster.api import ApiError
from driftline_operator.cluster.resources import (
    CONFIG_MAPS,
    EVENTS,
    MODEL_MONITORS,
    WEBHOOKS,
    WORKLOADS,
)
from driftline_operator.conditions import Aspect, DriftReason, Finding, HubReason, ReferenceReason, Status
from driftline_operator.controller.apply import Applier
from driftline_operator.controller.gather import Watches
from driftline_operator.controller.hub.opinions import Opinion
from driftline_operator.controller.monitors import Key, MonitorStore
from driftline_operator.controller.observed import Installation, NamespaceState, Observed, Reference
from driftline_operator.controller.plan import findings, objects, status
from driftline_operator.controller.plan.namespace import MonitorPlan, Plan, plan
from driftline_operator.controller.plan.status import FleetView, Transition
from driftline_operator.controller.references import (
    CAPTURING,
    Loaded,
    References,
    copies,
    mounted_parts,
    surplus,
)
from driftline_operator.controller.series import Series
from driftline_operator.controller.shadows import Shadows
from driftline_operator.controller.tokens import Tokens

_log = logging.getLogger(__name__)

_PATIENCE: Final = dt.timedelta(seconds=90)
"""For so long after a takeover what the other controller said stands, until pods and hub have been asked."""
_VERDICTS: Final = (Aspect.DATA_DRIFT, Aspect.PREDICTION_DRIFT, Aspect.DATA_QUALITY)


class Reconciler:
    """Level-triggered: every call looks at everything of the namespace, whatever it was called for."""

    def __init__(
        self,
        applier: Applier,
        watches: Watches,
        store: MonitorStore,
        references: References,
        tokens: Tokens,
        series: Series,
        installation: Callable[[], Installation],
        opinion_of: Callable[[Observed], Opinion],
        shadows: Shadows,
        *,
        identity: str,
        status_interval: float,
        stale_after: float,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._applier, self._watches, self._store = applier, watches, store
        self._references, self._tokens, self._series = references, tokens, series
        self._installation, self._opinion_of, self._shadows = installation, opinion_of, shadows
        self._identity = identity
        self._stale_after = stale_after
        self._status_interval = dt.timedelta(seconds=status_interval)
        self._now = now
        self._plans: dict[str, Plan] = {}
        self._loaded: dict[Key, Loaded] = {}
        self._captures: dict[Key, tuple[ReferenceReason, str]] = {}
        """How those have come on that are to be a monitor's first reference."""
        self._written: dict[Key, dt.datetime] = {}
        self._since = now()
        self._one_status = asyncio.Lock()
        self.views: dict[Key, FleetView] = {}
        """What the fleet says, by monitor; whoever judges it writes here, then calls `statuses`."""
        self.recaptures: dict[Key, str] = {}
        """Captures that are wanted beside the reference in force, by their id."""

    def take_over(self) -> None:
        """Another has acted meanwhile: what was heard of pods before is old."""
        self.views.clear()
        self._captures.clear()
        self._since = self._now()

    @property
    def planned(self) -> Mapping[Key, MonitorPlan]:
        """All monitors with a plan."""
        return {
            (namespace, name): each
            for namespace, found in self._plans.items()
            for name, each in found.monitors.items()
        }

    def loaded(self, key: Key) -> Loaded | None:
        """A monitor's reference as it was at its last plan."""
        return self._loaded.get(key)

    def say_capture(self, key: Key, reason: ReferenceReason, message: str) -> None:
        """How a reference that is being captured comes on: Capturing, or CaptureFailed."""
        self._captures[key] = reason, message
        if key in self._loaded:
            self._loaded[key] = self._as_captured(key, self._loaded[key])

    def _as_captured(self, key: Key, loaded: Loaded) -> Loaded:
        if loaded.reference.reason not in CAPTURING:
            self._captures.pop(key, None)
            return loaded
        reason, message = self._captures.get(key, loaded.reference[:2])
        return loaded._replace(reference=loaded.reference._replace(reason=reason, message=message))

    def loaded_in(self, namespace: str) -> dict[str, Loaded]:
        """The references of a namespace, by monitor."""
        return {key[1]: each for key, each in self._loaded.items() if key[0] == namespace}

    async def namespace(self, name: str) -> dt.timedelta | None:
        """Bring a namespace to what it should be. When to look again, if only time has to pass.

        Raises ApiError, NotLeading; what was applied by then is right, and the rest is tried again.
        """
        monitors = self._store.of(name)
        self._forget(name, monitors)
        references = await self._load(monitors)
        state = self._watches.state(name, monitors, references)
        state = state._replace(mirrors=await self._shadows.settle(state, self.loaded_in(name)))
        made = plan(state, self._installation(), self._now())
        self._plans[name] = made._replace(objects=(), webhooks=None)  # profiles in base64: not to be kept
        if not made.monitors:
            self._plans.pop(name)
        self._series.namespace(name, {key: each.survey for key, each in made.monitors.items()})
        try:
            await self._apply(name, state, made)
        except ApiError as error:
            if error.status:  # a namespace that takes no objects, for its quota or a policy, has a status too
                await self.statuses(name)
            raise
        await self.statuses(name)
        return made.again

    async def _apply(self, name: str, state: NamespaceState, made: Plan) -> None:
        if made.monitors:
            await self._tokens.ensure(name, state.monitors)
        for desired in made.objects:
            await self._applier.ensure(desired)
        if made.webhooks is not None:
            await self._applier.ensure(made.webhooks)
        elif self._watches.webhooks.get("", names.webhook_configuration(name)) is not None:
            await self._applier.remove(WEBHOOKS, None, names.webhook_configuration(name))
        for each in made.monitors.values():
            await self._drop_parts(each.observed, made)
            await self._keep_copies(each.observed)
        await self._restart(name, made)

    async def statuses(self, namespace: str) -> None:
        """Write the status of a namespace's monitors where it changed, and Events on transitions."""
        made = self._plans.get(namespace)
        if made is None:
            return
        for each in made.monitors.values():
            # Worker, rounds and hub come here by themselves: of two at once both would tell of a transition.
            async with self._one_status:
                current = self._store.get((namespace, each.observed.name))
                if current is not None and current.uid == each.observed.uid:
                    await self._status(each._replace(observed=current))

    async def _status(self, each: MonitorPlan) -> None:
        observed, key, now = each.observed, (each.observed.namespace, each.observed.name), self._now()
        view = current(self.views.get(key, FleetView()), now.timestamp(), self._stale_after)
        loaded = self._loaded.get(key)
        reference = None if loaded is None else loaded.reference
        opinion = self._opinion_of(observed)
        if self._is_too_early(observed, opinion):
            return
        may_restart = self._installation().may_restart
        found = [*found_of(each, reference, view, may_restart=may_restart), *opinion.findings]
        self._series.conditions(*key, found)
        wanted = status.status(observed, found, each.survey, view, opinion.performance, now)
        worth = status.worth(observed, wanted)
        rested = now - self._written.get(key, dt.datetime.min.replace(tzinfo=dt.UTC))
        waits = dt.timedelta(0) <= rested < self._status_interval  # not if the clock was set back
        if not worth.changed or (waits and not worth.urgent):
            return
        changed = status.transitions(observed, found)
        try:
            written = await self._applier.status(MODEL_MONITORS, status.body(observed, wanted))
        except ApiError as error:
            if error.missing or error.status == 409:
                return  # deleted meanwhile, or another of the same name: its own event comes
            raise
        self._written[key] = now
        self._store.note("MODIFIED", written)
        await self._tell(observed, changed)

    def _is_too_early(self, observed: Observed, opinion: Opinion) -> bool:
        """Just taken over, and nobody asked yet: Unknown now and the same again later are no transitions."""
        said = (observed.body.get("status") or {}).get("conditions")
        if not said or observed.monitor is None or self._now() - self._since >= _PATIENCE:
            return False
        told = all(each.reason != HubReason.NOT_TOLD for each in opinion.findings)
        return (observed.namespace, observed.name) not in self.views or not told

    async def _tell(self, observed: Observed, changed: Iterable[Transition]) -> None:
        for each in changed:
            level = logging.WARNING if status.is_bad_news(each) else logging.INFO
            _log.log(
                level, "%s/%s: %s is %s: %s: %s", observed.namespace, observed.name, each.aspect,
                each.status, each.reason, each.message,
            )  # fmt: skip
            event = status.event(observed, each, self._identity, self._now())
            await self._applier.create(EVENTS, observed.namespace, event)

    async def _load(self, monitors: Sequence[Observed]) -> dict[str, Reference]:
        found: dict[str, Reference] = {}
        for observed in monitors:
            if observed.monitor is None:
                continue
            key = observed.namespace, observed.name
            loaded = self._as_captured(key, await self._references.load(observed))
            recapture = self.recaptures.get(key, "")
            loaded = loaded._replace(reference=loaded.reference._replace(recapture=recapture))
            self._loaded[key] = loaded
            found[observed.name] = loaded.reference
        return found

    async def _keep_copies(self, observed: Observed) -> None:
        """Each profile that was in force is kept, immutable; the oldest go."""
        loaded = self._loaded.get((observed.namespace, observed.name))
        if observed.monitor is None or loaded is None or not loaded.reference.there:
            return
        reference = loaded.reference
        present = copies(self._watches.owned_config_maps(observed.namespace, observed))
        if not any(each.profile_hash == reference.profile_hash for each in present):
            made = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            for part in objects.profile_copy(observed, reference, made):
                await self._applier.ensure(part)
        history = observed.monitor.spec.reference.history
        for each in surplus(present, reference.profile_hash, history):
            for name in (*each.further, each.name):
                await self._applier.remove(CONFIG_MAPS, observed.namespace, name)

    async def _drop_parts(self, observed: Observed, made: Plan) -> None:
        """Further parts of a larger profile that sidecars had mounted; the present one has fewer."""
        if observed.monitor is None:
            return  # what its sidecars have stays in force
        namespace, second = observed.namespace, names.profile_part(names.config_map(observed.name), 2)
        if self._watches.version(CONFIG_MAPS.plural, namespace, second) is None:
            return  # as nearly always: the second is the last to go
        wanted = {each.body["metadata"]["name"] for each in made.objects}
        present = mounted_parts(observed.name, self._watches.owned_config_maps(namespace, observed))
        for name in reversed(present):
            if name not in wanted:
                await self._applier.remove(CONFIG_MAPS, observed.namespace, name)

    async def _restart(self, namespace: str, made: Plan) -> None:
        for each in made.restarts:
            _log.info("restarting %s %s/%s: %s", each.kind, namespace, each.name, each.why)
            await self._applier.patch(WORKLOADS[each.kind], namespace, each.name, each.patch)

    def _forget(self, namespace: str, monitors: Sequence[Observed]) -> None:
        present = {each.name for each in monitors}
        for known in (self._loaded, self._captures, self._written, self.views, self.recaptures):
            for key in [each for each in known if each[0] == namespace and each[1] not in present]:
                known.pop(key)
        self._references.forget(self._store.every())


def found_of(
    each: MonitorPlan, reference: Reference | None, view: FleetView, *, may_restart: bool
) -> list[Finding]:
    """The conditions of one monitor that its pods and their counts give, in their order."""
    injection = findings.injected(
        each.observed,
        each.survey,
        each.hindrances,
        each.suspension,
        caution=each.caution,
        may_restart=may_restart,
    )
    referred = findings.reference_ready(each.observed, reference)
    ready = findings.ready(each.observed, injection, each.survey, referred, view.answered)
    verdicts = view.findings or tuple(_unjudged(each.observed, reference))
    return [ready, injection, referred, *verdicts]


def current(view: FleetView, now: float, stale_after: float) -> FleetView:
    """The view, or that there is none any longer: what was found so many seconds ago is no word about now."""
    if not view.findings or now - view.at <= stale_after:
        return view
    said = f"no round over the pods has ended for {now - view.at:.0f} s: see the controller's log"
    return FleetView(
        tuple(Finding(each.aspect, Status.UNKNOWN, DriftReason.STALE, said) for each in view.findings)
    )


def _unjudged(observed: Observed, reference: Reference | None) -> Iterable[Finding]:
    """Before anything was judged: Unknown, never a pass."""
    if observed.monitor is None:
        reason, said = DriftReason.INVALID_SPEC, observed.problem
    elif reference is not None and not reference.there:
        reason, said = DriftReason.NO_REFERENCE, reference.message
    else:
        reason, said = DriftReason.NO_DATA, "no pod's counts have come yet"
    for aspect in _VERDICTS:
        yield Finding(aspect, Status.UNKNOWN, reason, said)
