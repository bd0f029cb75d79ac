"""The fleet's turn in the controller: rounds over all pods, checkpoints, and references of captured rows."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from driftline.errors import DataError
from driftline.profile_codec import encode_profile
from driftline.profile_parts import MOST_BYTES

from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import CONFIG_MAPS
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.apply import Applier, NotLeading
from driftline_operator.controller.observed import Observed, Reference
from driftline_operator.controller.plan import objects
from driftline_operator.controller.reconcile import Reconciler
from driftline_operator.controller.references import too_large
from driftline_operator.controller.tokens import Tokens
from driftline_operator.fleet.captures import CaptureReason, RefreshReason, refresh
from driftline_operator.fleet.fleet import Fleet, Key, Member

_log = logging.getLogger(__name__)

CHECKPOINT_SECONDS: Final = 60.0


class Rounds:
    """For one replica, while it acts. `now`: the wall clock."""

    def __init__(
        self,
        api: Api,
        applier: Applier,
        reconciler: Reconciler,
        tokens: Tokens,
        fleet: Fleet,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._api, self._applier, self._reconciler = api, applier, reconciler
        self._tokens, self.fleet, self._now = tokens, fleet, now
        self._checkpointed: dict[Key, float] = {}
        self._begun: set[Key] = set()
        """Whose checkpoint is still to be read."""
        self.seconds = 0.0
        """How long the last round took."""

    def forget(self) -> None:
        """Another controller has acted meanwhile: begin with its checkpoints."""
        self.fleet.keep({}, 0.0)
        self._checkpointed.clear()
        self._begun.clear()

    async def turn(self) -> None:
        """One round: pull, judge, write. Raises ApiError and NotLeading; what was judged is kept."""
        began = self._time()
        planned = self._reconciler.planned
        members: dict[Key, Member] = {}
        for key, plan in planned.items():
            if plan.observed.monitor is not None:
                loaded = self._reconciler.loaded(key)
                profile = None if loaded is None else loaded.profile
                members[key] = Member(plan.observed.monitor.spec, profile, plan.survey.watched)
        await self._restore_all(self.fleet.keep(members, began), members)
        outcome = await self.fleet.round(self._tokens.of, self._time)
        self._reconciler.views.update(outcome.views)
        for namespace in sorted(outcome.refused):
            self._tokens.doubt(namespace)
            await self._apart(namespace, self._reconciler.namespace(namespace))
        for key in members:
            await self._apart("/".join(key), self._capture(key, planned[key].observed))
        for namespace in sorted({key[0] for key in members}):
            await self._apart(namespace, self._reconciler.statuses(namespace))
        for key in members:
            await self._apart("/".join(key), self._checkpoint(key, planned[key].observed))
        self.seconds = self._time() - began

    async def _apart(self, what: str, work: Awaitable[object]) -> None:
        """What is refused in one namespace must not stop the others. Raises what concerns all of them."""
        try:
            await work
        except NotLeading:
            raise
        except ApiError as error:
            if error.status in (0, 429):
                raise
            _log.warning("%s: %s", what, error)
        except Exception:  # noqa: BLE001 - a fault of ours, logged with its trace
            _log.exception("%s", what)

    def _time(self) -> float:
        return self._now().timestamp()

    async def _restore_all(self, begun: Iterable[Key], members: Mapping[Key, Member]) -> None:
        """Those that begin anew. Raises ApiError: no round before all that can be had is there.

        Else the windows of those that are left would be lost, and what is kept of them written over.
        """
        self._begun = {key for key in (*self._begun, *begun) if key in members}
        for key in sorted(self._begun):
            await self._apart("/".join(key), self._restore(key))
            self._begun.discard(key)

    async def _restore(self, key: Key) -> None:
        try:
            found = await self._api.get(CONFIG_MAPS, key[0], names.panes_config_map(key[1]))
        except ApiError as error:
            if error.missing:
                return
            raise
        try:
            data = base64.b64decode((found.get("binaryData") or {}).get(names.PANES_KEY, ""))
        except binascii.Error:
            data = b""
        why = self.fleet.restore(key, data)
        if why:
            _log.info("%s/%s begins anew: %s", *key, why)

    async def _checkpoint(self, key: Key, observed: Observed) -> None:
        now = self._time()
        if now - self._checkpointed.get(key, 0.0) < CHECKPOINT_SECONDS:
            return
        data = self.fleet.checkpoint(key)
        if data is not None:
            self._checkpointed[key] = now
            await self._applier.ensure(objects.panes(observed, data))

    async def _capture(self, key: Key, observed: Observed) -> None:
        """Make the reference once the pods have rows enough; make it anew when that is due."""
        loaded = self._reconciler.loaded(key)
        if loaded is None or observed.monitor is None:
            return
        spec, reference = observed.monitor.spec, loaded.reference
        if reference.reason is ReferenceReason.CAPTURING:
            await self._make(key, observed, "")
        elif reference.reason is ReferenceReason.CAPTURED:
            wanted = self._reconciler.recaptures.get(key)
            if wanted:
                await self._make(key, observed, wanted)
            elif refresh(spec, reference.made, self.fleet.verdict(key), self._time()) is RefreshReason.DUE:
                self._reconciler.recaptures[key] = self._now().strftime("%Y%m%dT%H%M%SZ")
                _log.info("%s/%s: the reference is to be made anew", *key)
                await self._reconciler.namespace(key[0])

    async def _make(self, key: Key, observed: Observed, capture: str) -> None:
        token = self._tokens.of(key[0])
        decision = await self.fleet.captured_rows(key, token, capture)
        if decision.reason is CaptureReason.TOO_FEW_ROWS and not capture:
            self._reconciler.say_reference(key, decision.message)
        if not decision.fetch:
            return
        now = self._now()
        try:
            profile = await self.fleet.profile_of_captured(key, token, now.timestamp(), capture)
        except DataError as error:
            _log.error("%s/%s: the captured rows make no reference: %s", *key, error)
            if not capture:
                self._reconciler.say_reference(key, f"the captured rows make no reference: {error}")
            return
        encoded = encode_profile(profile)
        if len(encoded) > MOST_BYTES:
            self._reconciler.say_reference(key, too_large("the reference of the captured rows", len(encoded)))
            return
        reference = Reference(ReferenceReason.CAPTURED, "", encoded, profile.hash)
        made = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for part in objects.profile_copy(observed, reference, made):
            await self._applier.ensure(part)
        self._reconciler.recaptures.pop(key, None)
        _log.info("%s/%s: a reference of %d rows", *key, profile.rows)
