"""The plan for one namespace: objects, webhook entries, pods, and what hinders each monitor. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from driftline_operator import names
from driftline_operator.cluster.resources import CONFIG_MAPS
from driftline_operator.conditions import InjectedReason
from driftline_operator.controller.observed import Installation, NamespaceState, Observed
from driftline_operator.controller.plan import objects, webhooks
from driftline_operator.controller.plan.findings import Hindrance
from driftline_operator.controller.plan.objects import Desired
from driftline_operator.controller.plan.pods import GRACE, Survey, survey
from driftline_operator.controller.plan.preconditions import caution, preconditions
from driftline_operator.controller.plan.quotas import cpu_limit
from driftline_operator.controller.plan.restarts import Restart, restarts
from driftline_operator.controller.plan.suspension import Suspension, injection_key, suspension
from driftline_operator.controller.plan.workloads import template_pod
from driftline_operator.injection import pod as pods
from driftline_operator.injection.selectors import matches
from driftline_operator.injection.told import Told
from driftline_operator.reasons import SkipReason

Key = tuple[str, str, str]
"""Of an object: plural, namespace and name."""


class MonitorPlan(NamedTuple):
    """What was planned for one monitor."""

    observed: Observed
    survey: Survey
    suspension: Suspension
    hindrances: tuple[Hindrance, ...]
    """Why it has no webhook entry; empty: it has one."""
    caution: str = ""
    """What may go past its sidecars all the same."""


class Plan(NamedTuple):
    """What should be in a namespace."""

    objects: tuple[Desired, ...]
    webhooks: Desired | None
    """None: the namespace has no entry, and the configuration goes."""
    monitors: Mapping[str, MonitorPlan]
    restarts: tuple[Restart, ...]
    again: dt.timedelta | None = None
    """To be looked at again then, whatever happens: only time has to pass."""


def plan(state: NamespaceState, installation: Installation, now: dt.datetime) -> Plan:
    """Plan all of it. A namespace that is being deleted gets nothing: it would refuse it."""
    if not state.alive or not state.monitors:
        return Plan((), None, {}, ())
    told = Told(cpu_limit=cpu_limit(state.quotas, state.limit_ranges))
    installation = msgspec.structs.replace(installation, sidecar=told.settings(installation.sidecar))
    against = _against(state, installation)
    state = state._replace(held=frozenset(name for name, found in against.items() if found))
    surveys = survey(state, installation, now)
    planned: dict[str, MonitorPlan] = {}
    wanted: dict[Key, Desired] = {}
    for observed in state.monitors:
        found = surveys.get(observed.name, Survey())
        each = _monitor(observed, state, installation, found, against.get(observed.name, ()))
        mine = _objects(each, state, installation)
        if any(one.key in wanted for one in mine) or _checkpoint_of(observed, wanted, state):
            why = "an older monitor's objects have the names that this one's would have: rename it"
            each = each._replace(hindrances=(Hindrance(InjectedReason.NAME_CONFLICT, why),))
        else:
            wanted.update((one.key, one) for one in mine)
        planned[observed.name] = each
    entering = [
        (each.observed, told._replace(held=_beside(each.observed, state)))
        for each in planned.values()
        if not each.hindrances
    ]
    configuration, without_room = webhooks.configuration(state.name, entering, installation)
    for name in without_room:
        why = f"its entry finds no room among those of {len(entering)} monitors: use more namespaces"
        planned[name] = planned[name]._replace(hindrances=(Hindrance(InjectedReason.TOO_MANY_MONITORS, why),))
    shared = [objects.pod_monitor(state.monitors)] if installation.pod_monitors else []
    entered = {each.observed.name for each in planned.values() if not each.hindrances}
    asked = (
        restarts(state, installation, entered, now) if state.published and installation.may_restart else []
    )
    waiting = any(each.survey.hiccups for each in planned.values())
    return Plan((*wanted.values(), *shared), configuration, planned, tuple(asked), GRACE if waiting else None)


def _checkpoint_of(observed: Observed, wanted: Mapping[Key, Desired], state: NamespaceState) -> bool:
    """Would it share a ConfigMap with an older monitor, as one's own and the other's checkpoint?"""
    own, kept = names.config_map(observed.name), names.panes_config_map(observed.name)
    olders = state.monitors[: state.monitors.index(observed)]
    return (CONFIG_MAPS.plural, observed.namespace, kept) in wanted or any(
        names.panes_config_map(each.name) == own for each in olders
    )


def _against(state: NamespaceState, installation: Installation) -> dict[str, tuple[Hindrance, ...]]:
    """By monitor: what speaks against it apart from how its own pods fare."""
    found = {}
    for each in state.monitors:
        if each.monitor is None:
            continue
        found[each.name] = preconditions(each.monitor, state, installation.sidecar)
        if state.suspended.get(each.name) == injection_key(each.monitor, installation.sidecar):
            found[each.name] += (Hindrance(InjectedReason.SUSPENDED, ""),)
    return found


def _beside(observed: Observed, state: NamespaceState) -> tuple[str, ...]:
    """Those of the held monitors that mean a pod or template that this one means too."""
    if observed.monitor is None or not state.held:
        return ()
    templates = (template_pod(each) for each in state.workloads.values() if "spec" in each)
    found = set()
    for pod in (*templates, *state.pods):
        labels = pods.labels(pod)
        if matches(observed.monitor.spec.selector, labels):
            found |= {
                each.name
                for each in state.monitors
                if each.name in state.held
                and each.monitor is not None
                and matches(each.monitor.spec.selector, labels)
            }
    return tuple(sorted(found))


def _monitor(
    observed: Observed,
    state: NamespaceState,
    installation: Installation,
    found: Survey,
    against: Sequence[Hindrance],
) -> MonitorPlan:
    if observed.monitor is None:
        why = (Hindrance(InjectedReason.INVALID_SPEC, observed.problem),)
        return MonitorPlan(observed, found, Suspension(""), why)
    remembered = state.suspended.get(observed.name, "")
    suspended = suspension(observed.monitor, installation.sidecar, found, remembered)
    others = [each for each in against if each.reason != InjectedReason.SUSPENDED]
    hindrances = (*_hindrances(installation, suspended), *others)
    return MonitorPlan(observed, found, suspended, hindrances, caution(observed.monitor, state))


def _hindrances(installation: Installation, suspended: Suspension) -> list[Hindrance]:
    found = []
    if not installation.enabled:
        why = "ConfigMap driftline-settings has injection disabled: new pods start without sidecar"
        found.append(Hindrance(SkipReason.DISABLED.value, why))
    if suspended.key:
        found.append(Hindrance(InjectedReason.SUSPENDED, suspended.message))
    if not installation.bundle:
        found.append(Hindrance(InjectedReason.NO_CERTIFICATE, "the webhook has no certificate yet"))
    return found


def _objects(each: MonitorPlan, state: NamespaceState, installation: Installation) -> list[Desired]:
    if each.observed.monitor is None:
        return []  # what its sidecars have stays in force
    reference = state.references.get(each.observed.name)
    # The further parts first: with the first one in force, the set is whole.
    further = objects.further_parts(each.observed, reference)
    mirror = state.mirrors.get(each.observed.name, "")
    own = objects.config_map(each.observed, reference, installation, each.suspension.key, mirror)
    return [*further, own]
