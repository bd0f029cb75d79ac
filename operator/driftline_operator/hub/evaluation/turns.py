"""Goes round the monitors: gather, evaluate, keep. Synchronous: run it in a thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

import sqlalchemy as sa
from driftline.performance.report import HubReport
from msgspec.structs import replace

from driftline_operator.hub import registry
from driftline_operator.hub.database import Database
from driftline_operator.hub.evaluation import store
from driftline_operator.hub.evaluation.asked import asked
from driftline_operator.hub.evaluation.evaluate import evaluate
from driftline_operator.hub.evaluation.figures import Reference
from driftline_operator.hub.evaluation.gather import gather
from driftline_operator.hub.registry import Known, Name

_log = logging.getLogger(__name__)

HOLD_SECONDS: Final = 300.0
"""How long an evaluation is this replica's at least: after that another takes it to have died."""
SHARE: Final = 10
"""An evaluation is due again after so many times its own cost at the earliest."""


class Turns:
    """`interval`: seconds between two evaluations of a monitor. `clock`: unix seconds.

    `failed` is told whose evaluation failed.
    """

    def __init__(
        self,
        database: Database,
        interval: float,
        clock: Callable[[], float],
        timer: Callable[[], float] = time.monotonic,
        failed: Callable[[Name], None] = lambda _: None,
    ) -> None:
        self._failed = failed
        self._database, self._interval = database, interval
        self._clock, self._timer = clock, timer
        self._references: dict[int, tuple[str | None, Reference | None]] = {}
        self._seen = 0
        self.reports: dict[Name, HubReport] = {}
        """The newest of each monitor, whichever replica made it."""

    def turn(self, monitors: Mapping[Name, Known]) -> int:
        """Evaluate what is due; how many were. What fails is logged, and due again later."""
        done = sum(self._one(known) for known in monitors.values() if known.monitor.spec.labels is not None)
        self._read(monitors)
        return done

    def _one(self, known: Known) -> bool:
        try:
            now = self._clock()
            until = now + self._hold(known)
            with self._database.writing() as connection:
                if not store.claim(connection, known.id, now, until):
                    return False
            began = self._timer()
            report = self._report(known, now)
            if report is None:
                return False
            due = now + max(self._interval, SHARE * (self._timer() - began))
            with self._database.writing() as connection:
                kept = store.keep(connection, known.id, replace(report, due=due), until, due)
        except Exception as error:  # noqa: BLE001 - whatever one monitor's rows do: the others are judged
            _log.exception("%s/%s could not be evaluated: %s", *known.name, str(error)[:500])
            self._failed(known.name)
            return False
        if not kept:
            _log.warning("%s/%s took more than %g s: another replica has it now", *known.name, until - now)
        return kept

    def _hold(self, known: Known) -> float:
        """As long as ten of its last one."""
        last = self.reports.get(known.name)
        return HOLD_SECONDS if last is None else max(HOLD_SECONDS, (last.due or 0.0) - last.at)

    def _report(self, known: Known, now: float) -> HubReport | None:
        with self._database.reading(HOLD_SECONDS) as connection:
            reference = self._reference(connection, known)
            wanted = asked(known.monitor.spec, None if reference is None else reference.profile)
            if wanted is None:
                return None
            gathered = gather(connection, known.id, wanted, now)
        return evaluate(known.monitor, wanted, reference, gathered, now)

    def _reference(self, connection: sa.Connection, known: Known) -> Reference | None:
        """Decoded, and resampled, once for each hash. Raises ProfileError."""
        kept = self._references.get(known.id)
        if kept is None or kept[0] != known.profile_hash:
            profile = registry.profile_of(connection, known.id)
            kept = known.profile_hash, None if profile is None else Reference(profile)
            self._references[known.id] = kept
        return kept[1]

    def _read(self, monitors: Mapping[Name, Known]) -> None:
        """Other replicas' reports too; those of monitors that have gone are dropped."""
        try:
            with self._database.reading() as connection:
                fresh = store.newer(connection, self._seen)
        except sa.exc.SQLAlchemyError as error:
            _log.warning("reports could not be read: %s", str(error)[:300])
            return
        self._seen = fresh.revision
        for report in fresh.reports:
            self.reports[report.namespace, report.monitor] = report
        for name in [name for name in self.reports if name not in monitors]:
            del self.reports[name]
