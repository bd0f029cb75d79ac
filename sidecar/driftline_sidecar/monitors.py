"""The monitor files as the proxy sees them: which monitors there are, and what of their traffic to capture.

The proxy fails open: a file that is absent or broken at the start means relaying without capture, one
that breaks later leaves what was in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from driftline.spec import ModelMonitor

from driftline_sidecar.counters import HEARTBEAT, MAX_MONITORS, Counters
from driftline_sidecar.monitor_files import MonitorFiles, tolerant
from driftline_sidecar.proxy_metrics import Owner
from driftline_sidecar.reload import Refusal
from driftline_sidecar.settings import CaptureSettings, Route

Identity = tuple[str, str, str]
"""Namespace, monitor, model: the labels of a block of the counters."""


class Monitors:
    """The monitors in force, and the block of the counters that each one keeps."""

    def __init__(self, path: Path | None, folder: Path | None, counters: Counters, now: float) -> None:
        self._counters = counters
        self._blocks: dict[Identity, int] = {}
        self.capture = CaptureSettings()
        self._files = MonitorFiles(path, folder)
        self._take([each.monitor for each in tolerant(self._files, now)])

    @property
    def refusals(self) -> list[Refusal]:
        """The contents that are not in force."""
        return self._files.refusals

    @property
    def refused(self) -> int:
        """How many contents were refused so far."""
        return self._files.refused

    def poll(self, now: float) -> bool:
        """Look at the files; True where other settings are in force now."""
        found = self._files.poll(now)
        if found is None:
            return False
        self._take([each.monitor for each in found])
        return True

    def owners(self) -> list[Owner]:
        """The blocks to expose; the nameless one where it counted anything, or there is no other."""
        named = [Owner(*identity, self._counters.block(index)) for identity, index in self._blocks.items()]
        nameless = Owner("", "", "", self._counters.block(0))
        counted = any(count for slot, count in enumerate(nameless.block) if slot != HEARTBEAT)
        return [*named, nameless] if counted or not named else named

    def _take(self, monitors: Sequence[ModelMonitor]) -> None:
        taken = monitors[:MAX_MONITORS]
        wanted = {_identity(monitor) for monitor in taken}
        self.capture = CaptureSettings(tuple(_route(m, self._block(_identity(m), wanted)) for m in taken))

    def _block(self, identity: Identity, wanted: set[Identity]) -> int:
        """The identity's block: the one it has, a free one, or that of the oldest that is gone."""
        index = self._blocks.get(identity)
        if index is None:
            if len(self._blocks) < MAX_MONITORS:
                index = 1 + len(self._blocks)
            else:
                index = self._blocks.pop(next(known for known in self._blocks if known not in wanted))
                self._counters.clear(index)
            self._blocks[identity] = index
        return index


def _identity(monitor: ModelMonitor) -> Identity:
    return monitor.metadata.namespace, monitor.metadata.name, monitor.spec.model.name


def _route(monitor: ModelMonitor, block: int) -> Route:
    endpoint, capture = monitor.spec.endpoint, monitor.spec.capture
    return Route(
        block=block,
        namespace=monitor.metadata.namespace,
        monitor=monitor.metadata.name,
        model=monitor.spec.model.name,
        port=str(endpoint.port),
        paths=tuple(endpoint.paths),
        id_headers=tuple(name.lower() for name in endpoint.id_headers),
        sample=float(capture.sample),
        max_body_bytes=int(capture.max_body_bytes),
    )
