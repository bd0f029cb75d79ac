"""Monitors and the reference from files, where no controller tells them: read again as they change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from driftline.decoding import decode_monitors, to_wire
from driftline.errors import DriftlineError

from driftline_operator.hub import registry
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.refusal import Refusal

_log = logging.getLogger(__name__)


def read(paths: Sequence[Path], reference: Path | None) -> list[registry.Told]:
    """The monitors, checked. Raises OSError, ValueError, DriftlineError."""
    monitors = [each for path in paths for each in decode_monitors(path.read_bytes(), str(path))]
    if reference is not None and len(monitors) != 1:
        raise ValueError(f"--profile needs one monitor, not {len(monitors)}")
    profile = reference.read_bytes() if reference else None
    found = []
    for monitor in monitors:
        document = to_wire(monitor)
        try:
            named = (monitor.metadata.namespace, monitor.metadata.name)
            found.append(registry.check(*named, document, profile, None))
        except Refusal as error:
            raise ValueError(str(error)) from error
    return found


def put(hub: Hub, told: Iterable[registry.Told]) -> None:
    """Tell the hub, from a thread. Raises sqlalchemy.exc.SQLAlchemyError."""
    for each in told:
        hub.write(partial(registry.put, told=each, now=hub.clock()))


class MonitorFiles:
    """The files of `-f` and `--profile`."""

    def __init__(self, paths: Sequence[Path], reference: Path | None) -> None:
        self._paths, self._reference = paths, reference
        self._seen = self._state()

    async def renew(self, hub: Hub) -> None:
        """Use changed files; broken ones are said and not used. Raises sqlalchemy.exc.SQLAlchemyError."""
        state = self._state()
        if state == self._seen:
            return
        try:
            told = await asyncio.to_thread(read, self._paths, self._reference)
        except (OSError, ValueError, DriftlineError) as error:
            _log.error("the changed monitor or profile is not used: %s", error)
        else:
            await asyncio.to_thread(put, hub, told)
            await hub.refresh()
            _log.info("monitors were read again: %d", len(told))
        self._seen = state

    def _state(self) -> list[tuple[int, int, int] | None]:
        files = self._paths if self._reference is None else (*self._paths, self._reference)
        return [_stat(path) for path in files]


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
