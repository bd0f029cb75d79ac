"""What all connections of a worker share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from driftline_sidecar.relay.flight import Recorder

if TYPE_CHECKING:
    from driftline_sidecar.relay.client import Client


class Relay:
    """The worker's state beside its connections."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        recorder: Recorder,
        upstream: tuple[str, int],
        connect_seconds: float,
        stop_listening: Callable[[str], None],
    ) -> None:
        """`stop_listening` takes the reason; it is called when a terminating pod's model refuses."""
        self.loop = loop
        self.recorder = recorder
        self.upstream = upstream
        self.connect_seconds = connect_seconds
        self.stop_listening = stop_listening
        self.clients: set[Client] = set()
        self.terminating = False
        """The pod is going: a model that refuses is not coming back."""
        self.draining = False
        """Connections close with the answer that leaves nothing pending."""
        self.empty = asyncio.Event()
        """Set while draining once no client is left."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def block(self) -> memoryview[int]:
        """The counters of what belongs to a connection rather than a request."""
        return self.recorder.connection_block

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run beside the connections; there is one task per connection, while it connects."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def drain(self) -> None:
        """Close what is idle now, and the rest with the last byte of its answer."""
        self.draining = True
        for client in list(self.clients):
            observer = client.observer
            if not observer.pending and not observer.opaque and observer.between_requests:
                client.close()
        self.client_gone()

    def client_gone(self) -> None:
        """A client was lost."""
        if self.draining and not self.clients:
            self.empty.set()
