"""The prediction log of all monitors: what the desk hands rows to, and the program's metrics read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from driftline_sidecar.analyzer.predictions.outbox import Outbox
from driftline_sidecar.analyzer.predictions.rows import Drop, RowReader
from driftline_sidecar.analyzer.predictions.sending import Hub
from driftline_sidecar.analyzer.predictions.spool import Room
from driftline_sidecar.decoders import Decoded, Decoder
from driftline_sidecar.logs import event

FOLDER: Final = "predictions"
"""Within the analyzer's state directory."""
CLOSE_SECONDS: Final = 3.0


class PredictionLog:
    """Rows in, by monitor; nothing that happens to them reaches who hands them in."""

    def __init__(self, hub_of: Callable[[str], Hub], state: Path | None) -> None:
        """`hub_of`: where a monitor's (`namespace/name`) predictions go."""
        self._hub_of = hub_of
        self._directory = None if state is None else state / FOLDER
        self._room = Room()
        self._outboxes: dict[str, Outbox] = {}
        self._faults: set[str] = set()

    def start(self, monitors: Iterable[str]) -> None:
        """Begin, with these monitors and with what an earlier analyzer left; within the running loop."""
        for key in monitors:
            self.outbox(key)
        if self._directory is None or not self._directory.is_dir():
            return
        for folder in sorted(self._directory.glob("*/*")):
            if folder.is_dir():
                self.outbox(f"{folder.parent.name}/{folder.name}")

    def outbox(self, key: str) -> Outbox:
        """That monitor's; begun if need be."""
        found = self._outboxes.get(key)
        if found is None:
            namespace, _, name = key.partition("/")
            directory = None if self._directory is None else self._directory / namespace / name
            found = self._outboxes[key] = Outbox(namespace, name, self._hub_of(key), self._room, directory)
            found.start()
        return found

    def outboxes(self) -> Iterator[tuple[str, Outbox]]:
        """All, by monitor."""
        yield from self._outboxes.items()

    def take(
        self, key: str, reader: RowReader, decoded: Decoded, decoder: Decoder, now: float, behind: float
    ) -> None:
        """Log a batch. Never raises."""
        try:
            self.outbox(key).add(reader.read(decoded, decoder, now, behind), now)
        except Exception as error:  # noqa: BLE001 - the analysis goes on whatever becomes of the log
            self.outbox(key).dropped[Drop.FAULT] += decoded.batch.rows
            kind = type(error).__name__  # its message may quote a body
            if kind not in self._faults:
                self._faults.add(kind)
                event(
                    logging.ERROR, "prediction_log_error", f"the prediction log failed: {kind}", monitor=key
                )

    def seal(self, now: float) -> None:
        """Write packets of the rows that have waited long enough for others."""
        for outbox in self._outboxes.values():
            outbox.seal(now)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Deliver what can be, keep what can't be."""
        await asyncio.gather(*(outbox.close(seconds) for outbox in self._outboxes.values()))
