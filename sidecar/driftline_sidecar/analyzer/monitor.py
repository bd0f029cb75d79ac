"""One monitor's analysis: exchanges in; rows, panes, windows and verdicts out.

It is told the time and given files' contents; sockets, clocks and files are `program`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from driftline import captured
from driftline.captured import Captured, features_of
from driftline.columns import Batch
from driftline.errors import DriftlineError
from driftline.profile import Profile
from driftline.report import TransitionReport
from driftline.spec import Feature, ModelMonitor

from driftline_sidecar.analyzer.capture import CaptureBuffer
from driftline_sidecar.analyzer.counting import Counting
from driftline_sidecar.analyzer.discovery import Discovery
from driftline_sidecar.analyzer.history import History
from driftline_sidecar.analyzer.latency import RecentTraffic
from driftline_sidecar.analyzer.predictions.log import PredictionLog
from driftline_sidecar.analyzer.predictions.rows import RowReader
from driftline_sidecar.analyzer.reference import ReferenceState, save, saved, state_path
from driftline_sidecar.analyzer.tally import Tally
from driftline_sidecar.decoders import Decoder
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.logs import event


class Analysis:
    """The analysis of one monitor since the analyzer began or the monitor changed."""

    def __init__(
        self,
        monitor: ModelMonitor,
        profile: Profile | None,
        now: float,
        state: Path | None = None,
        *,
        fleet: bool = False,
        log: PredictionLog | None = None,
    ) -> None:
        """`profile`: the one that the monitor's reference names, where it could be read.

        `fleet`: captured rows are kept for the operator, which makes one reference of all pods'.
        `log`: where predictions go, if the monitor has `labels`.
        """
        self.monitor = monitor
        self.spec = monitor.spec
        self.tally = Tally()
        self.history = History()
        self.traffic = RecentTraffic(float(min(self.spec.windows)), now)
        self.counting: Counting | None = None
        self.capture: CaptureBuffer | None = None
        self.capture_id = ""
        """Which capture the operator asked for while a reference is in force; empty: the first one."""
        self._fleet = fleet
        self._log = log
        self._state = None if state is None or fleet else state_path(state, monitor)
        self._discovery: Discovery | None = None
        self._features = self.spec.schema.features
        self._traffic_noted = now
        self._begin(profile, now)

    @property
    def profile(self) -> Profile | None:
        """The reference in force."""
        return self.counting.profile if self.counting is not None else None

    @property
    def features(self) -> tuple[Feature, ...]:
        """As what rows are read: of schema, profile or traffic; none while they are looked for."""
        return self._features

    @property
    def reference_state(self) -> ReferenceState:
        """What there is to compare with."""
        if self.counting is not None:
            return ReferenceState.READY
        return ReferenceState.NO_REFERENCE if self.capture is None else ReferenceState.CAPTURING

    @property
    def reference_rows(self) -> int:
        """Rows of the reference, or those captured for it so far."""
        if self.counting is not None:
            return self.counting.profile.rows
        return 0 if self.capture is None else self.capture.rows

    def replace_profile(self, profile: Profile, now: float) -> None:
        """Count against another reference from now on, in new panes."""
        if self.counting is not None and self.counting.profile.hash == profile.hash:
            return
        self._begin(profile, now)
        event(
            logging.INFO,
            "reference_changed",
            f"counting against {profile.hash[:12]}",
            monitor=self.monitor.key,
        )

    def replace_monitor(self, monitor: ModelMonitor, profile: Profile | None, now: float) -> None:
        """Take a changed monitor, with the profile that its reference names.

        Panes and captured rows stay unless what is counted, or over which time, has changed.
        """
        before, self.monitor, self.spec = self.spec, monitor, monitor.spec
        if any(getattr(before, part) != getattr(monitor.spec, part) for part in _COUNTED):
            same_reference = before.reference == self.spec.reference and before.schema == self.spec.schema
            if profile is None and same_reference:  # captured, or its file can't be read just now
                profile = self.profile
            self.traffic = RecentTraffic(float(min(self.spec.windows)), now)
            self._begin(profile, now)
            return
        if monitor.spec != before:
            self._read_as(self._features)
            if self.counting is not None:
                self.counting.replace_policy(self.spec)
        if profile is not None:  # it may have changed at the same moment; an equal one changes nothing
            self.replace_profile(profile, now)

    def take(self, exchanges: Sequence[Exchange], now: float, behind: float = 0.0) -> None:
        """Analyse exchanges, oldest first. Nothing in them can raise.

        `behind`: seconds by which the clock that stamped them is behind that of `now`.
        """
        if not exchanges:
            return
        self.tally.exchanged(exchanges)
        durations = np.fromiter((e.duration for e in exchanges), dtype=np.float64, count=len(exchanges))
        self.traffic.add(now, durations, sum(exchange.status >= 500 for exchange in exchanges))
        if self._discovery is not None:
            exchanges = self._discover(self._discovery, exchanges)
        if not exchanges:
            return
        for at, part in by_pane(exchanges, int(self.spec.pane), now, behind):
            for decoded in self._decoder.parts(part):
                self.tally.failed(decoded.failures)
                if self._log is not None and self._rows is not None:
                    self._log.take(self.monitor.key, self._rows, decoded, self._decoder, now, behind)
                self._count(decoded.batch, at, now)

    def step(self, now: float) -> tuple[TransitionReport, ...]:
        """Do what is due at that time: windows, verdicts, history."""
        if now - self._traffic_noted >= max(1.0, min(self.spec.windows) / 60):
            self._traffic_noted = now
            self.history.add_traffic(now, self.traffic.read(now))
        return self.counting.step(now, self.history) if self.counting is not None else ()

    @property
    def full_capture(self) -> CaptureBuffer | None:
        """The rows of which a reference can be made now, here."""
        if self._fleet:
            return None
        return self.capture if self.capture is not None and self.capture.full else None

    def finish_capture(self, now: float) -> None:
        """Make the reference of the rows that were kept; they are the reference and in no window."""
        capture = self.capture
        if capture is not None:
            self.adopt(capture, self.build(capture, now), now)

    def build(self, capture: CaptureBuffer, now: float) -> Profile | None:
        """The profile of those rows, saved; None where they make none. Only reads: it may run in a thread."""
        try:
            profile = captured.build(self.spec, [self._captured(capture)], now)
        except DriftlineError as error:
            event(
                logging.ERROR, "reference_not_built", "capturing anew", error=error, monitor=self.monitor.key
            )
            return None
        if self._state is not None:
            save(profile, self._state)
        return profile

    def _captured(self, capture: CaptureBuffer) -> Captured:
        return Captured(tuple(self._features), capture.batch(), capture.times())

    def capture_anew(self, identity: str) -> None:
        """Keep rows for another reference, while the one in force goes on being counted against.

        Asked twice for the same, nothing is begun again.
        """
        wanted = self.spec.reference.capture
        if self._fleet and wanted is not None and self.counting is not None and identity != self.capture_id:
            self.capture_id = identity
            self.capture = CaptureBuffer(wanted.rows) if identity else None

    def captured(self, identity: str = "") -> Captured | None:
        """The rows kept for a reference so far; None where none is being captured under that id."""
        if self.capture is None or identity != self.capture_id:
            return None
        return self._captured(self.capture)

    def adopt(self, capture: CaptureBuffer, profile: Profile | None, now: float) -> None:
        """Count against the profile made of `capture`, unless the monitor has changed meanwhile."""
        if capture is not self.capture:
            return
        self._begin(profile, now)
        if profile is not None:
            said = "the reference is made"
            said += " of fewer rows than asked for: memory is used up" if capture.cut_short else ""
            level = logging.WARNING if capture.cut_short else logging.INFO
            event(level, "reference_captured", said, monitor=self.monitor.key, count=capture.rows)

    def _begin(self, profile: Profile | None, now: float) -> None:
        wanted = self.spec.reference.capture
        if profile is None and wanted is not None and self._state is not None:
            profile = saved(self._state)
        self._discovery = None
        self._read_as(features_of(self.spec, profile))
        self.capture, self.capture_id = None, ""
        self.counting = None
        self.history = History()
        if profile is not None:
            self.counting = Counting(self.spec, profile, self._features, now)
        elif wanted is not None:
            self.capture = CaptureBuffer(wanted.rows)
            if not self._features:
                self._discovery = Discovery(wanted.rows)

    def _read_as(self, features: Sequence[Feature]) -> None:
        """Decode, and log, by the spec in force and these features."""
        labels = self.spec.labels
        self._features = tuple(features)
        self._decoder = Decoder(self.spec, features)
        self._rows = None if labels is None else RowReader(self.spec, labels)

    def _discover(self, discovery: Discovery, exchanges: Sequence[Exchange]) -> Sequence[Exchange]:
        """The exchanges to decode now: none while features are looked for, then all that were kept."""
        features = discovery.add(exchanges, self._decoder)
        if features is None:
            return ()
        if features:
            self._discovery = None
            self._read_as(features)
            event(
                logging.INFO,
                "features_discovered",
                "the schema names no features; they were taken from traffic",
                monitor=self.monitor.key,
                count=len(features),
            )
        # Without any the exchanges are decoded all the same, so that the reason is counted.
        return discovery.take()

    def _count(self, batch: Batch, at: float, now: float) -> None:
        if self.counting is not None:
            self.counting.add(batch, at, self.tally)
        else:
            self.tally.rows += batch.rows
        if self.capture is not None:
            self.capture.add(batch, at)


_COUNTED = ("schema", "model", "pane", "windows", "reference")
"""Parts of a spec that fix what panes hold."""


def by_pane(
    exchanges: Sequence[Exchange], pane: int, now: float, behind: float = 0.0
) -> list[tuple[float, Sequence[Exchange]]]:
    """The exchanges by the pane in which they ended, with a time in it; none lies after now.

    A batch seldom crosses a pane's edge; its exchanges are as they ended on their connections, not sorted.
    """
    ends = [min(now, e.started + e.duration + behind) for e in exchanges]
    first = min(ends)
    if first // pane == max(ends) // pane:
        return [(first, exchanges)]
    groups: dict[float, list[Exchange]] = {}
    for at, exchange in zip(ends, exchanges, strict=True):
        groups.setdefault(at // pane * pane, []).append(exchange)
    return sorted(groups.items())
