"""The fleet's turn in the controller: rounds over all pods, checkpoints, and references of captured rows."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from driftline.errors import DataError
from driftline.profile_codec import encode_profile
from driftline.profile_parts import MOST_BYTES

from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import CONFIG_MAPS
from driftline_operator.conditions import ReferenceReason
from driftline_operator.controller.apply import Applier, NotLeading
from driftline_operator.controller.hub.history import PaneHistory
from driftline_operator.controller.observed import Observed, Reference
from driftline_operator.controller.plan import objects
from driftline_operator.controller.reconcile import Reconciler
from driftline_operator.controller.references import CAPTURING, too_large
from driftline_operator.controller.tokens import Tokens
from driftline_operator.fleet.captures import CaptureReason, RefreshReason, refresh
from driftline_operator.fleet.checkpoint import LeftOut
from driftline_operator.fleet.fleet import Fleet, Key, Member

_log = logging.getLogger(__name__)

CHECKPOINT_SECONDS: Final = 60.0
CATCH_UP_SECONDS: Final = 20.0
"""Of a round at most, for what pods had counted before this controller first asked them."""


class Rounds:
    """For one replica, while it acts. `now`: the wall clock."""

    def __init__(
        self,
        api: Api,
        applier: Applier,
        reconciler: Reconciler,
        tokens: Tokens,
        fleet: Fleet,
        history: PaneHistory,
        now: Callable[[], dt.datetime],
        mark: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`mark` a namespace to be looked at by the worker: of two that reconcile at once one sees half."""
        self._api, self._applier, self._reconciler = api, applier, reconciler
        self._tokens, self.fleet, self._history, self._now = tokens, fleet, history, now
        self._mark = mark
        self._checkpointed: dict[Key, float] = {}
        self._unrestored: set[Key] = set()
        self.seconds = 0.0
        """How long the last round took."""

    def forget(self) -> None:
        """Another controller has acted meanwhile: begin with its checkpoints."""
        self.fleet.keep({}, 0.0)
        self._checkpointed.clear()
        self._history.forget()
        self._unrestored.clear()

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
        self._unrestored &= members.keys()
        self._unrestored.update(self.fleet.keep(members, began))
        for key in sorted(self._unrestored):
            if await apart(key, self._restore(key)):
                self._unrestored.discard(key)
            else:  # it begins anew in the next round: a checkpoint can't be added to what was counted since
                self.fleet.drop(key)
                members.pop(key)
        outcome = await self.fleet.round(self._tokens.of, self._time)
        at = self._time()
        self._reconciler.views.update({key: view._replace(at=at) for key, view in outcome.views.items()})
        for namespace in sorted(outcome.refused):
            self._tokens.doubt(namespace)
            self._mark(namespace)
        for key in members:
            await apart(key, self._capture(key, planned[key].observed))
        for namespace in sorted({key[0] for key in planned}):
            await apart((namespace, ""), self._reconciler.statuses(namespace))
        for key in members:
            await apart(key, self._checkpoint(key, planned[key].observed))
        self.seconds = self._time() - began
        await self.fleet.catch_up(self._tokens.of, self._time, CATCH_UP_SECONDS)

    def _time(self) -> float:
        return self._now().timestamp()

    async def _restore(self, key: Key) -> None:
        try:
            kept = await self._api.get(CONFIG_MAPS, key[0], names.panes_config_map(key[1]))
        except ApiError as error:
            if error.missing:
                return
            raise
        try:
            data = base64.b64decode((kept.get("binaryData") or {}).get(names.PANES_KEY, ""))
        except binascii.Error:
            data = b""
        found = self.fleet.restore(key, data)
        if isinstance(found, LeftOut):
            await self._recall(key, found)
        elif found:
            _log.info("%s/%s begins anew: %s", *key, found)

    async def _recall(self, key: Key, left_out: LeftOut) -> None:
        """What the checkpoint had no room for, from the hub."""
        profile, _ = self.fleet.history(key)
        panes = await self._history.recall(key, profile, left_out)
        if not self.fleet.recall(key, left_out, panes):
            _log.info("%s/%s: %d of %d earlier panes are known", *key, len(panes), len(left_out.panes))

    async def _checkpoint(self, key: Key, observed: Observed) -> None:
        now = self._time()
        if 0 <= now - self._checkpointed.get(key, 0.0) < CHECKPOINT_SECONDS:
            return  # a clock that was set back must not end all writing
        data = self.fleet.checkpoint(key)
        if data is None:
            return
        self._checkpointed[key] = now
        try:
            await self._history.keep(key, *self.fleet.history(key))  # first: the checkpoint counts on it
            await self._applier.ensure(objects.panes(observed, data))
        except BaseException:  # cut off too: what wasn't written is wanted again
            self.fleet.not_saved(key)
            raise

    async def _capture(self, key: Key, observed: Observed) -> None:
        """Make the reference once the pods have rows enough; make it anew when that is due."""
        loaded = self._reconciler.loaded(key)
        if loaded is None or observed.monitor is None:
            return
        spec, reference = observed.monitor.spec, loaded.reference
        if reference.reason in CAPTURING:
            await self._make(key, observed, "")
        elif reference.reason is ReferenceReason.CAPTURED:
            wanted = self._reconciler.recaptures.get(key)
            if wanted:
                await self._make(key, observed, wanted)
            elif refresh(spec, reference.made, self.fleet.verdict(key), self._time()) is RefreshReason.DUE:
                self._reconciler.recaptures[key] = self._now().strftime("%Y%m%dT%H%M%SZ")
                _log.info("%s/%s: the reference is to be made anew", *key)
                self._mark(key[0])

    async def _make(self, key: Key, observed: Observed, capture: str) -> None:
        token = self._tokens.of(key[0])
        decision = await self.fleet.captured_rows(key, token, capture)
        if decision.reason is CaptureReason.TOO_FEW_ROWS and not capture:
            self._reconciler.say_capture(key, ReferenceReason.CAPTURING, decision.message)
        if not decision.fetch:
            return
        now = self._now()
        try:
            profile = await self.fleet.profile_of_captured(key, token, now.timestamp(), capture)
        except DataError as error:
            self._failed(key, capture, f"the captured rows make no reference: {error}")
            return
        encoded = encode_profile(profile)
        if len(encoded) > MOST_BYTES:
            self._failed(key, capture, too_large("the reference of the captured rows", len(encoded)))
            return
        reference = Reference(ReferenceReason.CAPTURED, "", encoded, profile.hash)
        made = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for part in objects.profile_copy(observed, reference, made):
            await self._applier.ensure(part)
        self._reconciler.recaptures.pop(key, None)
        _log.info("%s/%s: a reference of %d rows", *key, profile.rows)

    def _failed(self, key: Key, capture: str, message: str) -> None:
        _log.error("%s/%s: %s", *key, message)
        if not capture:  # else there is a reference, and it stays in force
            self._reconciler.say_capture(key, ReferenceReason.CAPTURE_FAILED, message)


async def apart(key: Key, step: Awaitable[None]) -> bool:
    """One monitor's part of a round: did it go well?

    A namespace that refuses objects, being deleted or for a quota, must not end the others' round. Where the
    API server can't be reached it is everybody's trouble, and raised.
    """
    try:
        await step
    except ApiError as error:
        if not error.status:
            raise
        _log.warning("%s/%s: %s", *key, error)
        return False
    except NotLeading:
        raise
    except Exception:  # noqa: BLE001 - a fault of ours, logged with its trace
        _log.exception("%s/%s", *key)
        return False
    return True
