"""The worker process: an event loop that relays, on a socket that the supervisor holds.

It must not know how it is started or replaced (`supervisor`). Cyclic garbage collection is off:
connections cut their cycles by hand, and a collection would stop every one of them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
from collections.abc import Sequence
from functools import partial

import uvloop

from driftline_sidecar.control import Closed, Configure, Drain, Ready, Terminate, ToWorker, WorkerEnd
from driftline_sidecar.counters import Counters
from driftline_sidecar.frames import Hello
from driftline_sidecar.listener import HANDSHAKE_SECONDS, hold_new, stop
from driftline_sidecar.relay.client import Client
from driftline_sidecar.relay.flight import Recorder
from driftline_sidecar.relay.process import Relay
from driftline_sidecar.settings import CaptureSettings, ProxySettings
from driftline_sidecar.tee import Tee

_GC_THRESHOLDS = (200_000, 50, 1000)
"""A net: so many more objects made than freed would mean a cycle that nobody cut."""
_CLOCK_SECONDS = 10.0


def run(
    settings: ProxySettings,
    capture: CaptureSettings,
    listeners: Sequence[socket.socket],
    counters: Counters,
    end: socket.socket,
) -> int:
    """Relay until told to drain, or until the supervisor is gone; the exit status.

    `listeners`, one a relay, listen already and do not block; `end` is our end of the control channel.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Worker(settings, capture, listeners, counters, end).serve())
    return 0


class Worker:
    """One worker's life: serve, be reconfigured, drain."""

    def __init__(
        self,
        settings: ProxySettings,
        capture: CaptureSettings,
        listeners: Sequence[socket.socket],
        counters: Counters,
        end: socket.socket,
    ) -> None:
        self._settings = settings
        self._listeners = listeners
        self._counters = counters
        self._end = end
        ports = tuple(each.ports for each in settings.relays)
        hello = Hello(secrets.randbits(63), os.getpid(), ports)
        self._tee = Tee(str(settings.tee), hello, settings.queue_bytes)
        self._recorders = [
            Recorder(capture, counters, self._tee, index, each) for index, each in enumerate(ports)
        ]
        self._servers: list[asyncio.Server | None] = []
        self._relays: list[Relay] = []
        self._drain = asyncio.Event()
        self._drain_seconds = settings.drain_seconds

    async def serve(self) -> None:
        """Accept and relay until drained."""
        loop = asyncio.get_running_loop()
        control = WorkerEnd(self._end, loop, self._counters, self._told, self._drain.set)

        def stop_listening(index: int, reason: str) -> None:
            if self._servers[index] is not None:
                self._stop_listening(index)
                control.send(Closed(reason, index))

        self._tee.start(loop)
        for index, each in enumerate(self._settings.relays):
            relay = Relay(
                loop,
                self._recorders[index],
                (each.upstream.host, each.upstream.port),
                self._settings.connect_seconds,
                partial(stop_listening, index),
            )
            self._relays.append(relay)
            server = await loop.create_server(
                partial(Client, relay), sock=self._listeners[index], backlog=self._settings.backlog
            )
            self._servers.append(server)
        control.send(Ready(os.getpid()))
        clock = loop.create_task(self._keep_clock())
        await self._drain.wait()
        await self._finish()
        clock.cancel()
        self._tee.close()
        control.close()

    def _told(self, message: ToWorker) -> None:
        match message:
            case Configure(capture):
                for recorder in self._recorders:
                    recorder.configure(capture)
            case Terminate():
                for relay in self._relays:
                    relay.terminating = True
            case Drain(seconds):
                self._drain_seconds = seconds
                self._drain.set()

    async def _finish(self) -> None:
        """Take what waits in the backlog, stop listening, let what is in flight end."""
        serving = [index for index, server in enumerate(self._servers) if server is not None]
        for index in serving:
            hold_new(self._listeners[index])
        if serving:
            await asyncio.sleep(HANDSHAKE_SECONDS)
        for index in serving:
            self._stop_listening(index)
        for relay in self._relays:
            relay.drain()
        try:
            async with asyncio.timeout(self._drain_seconds):
                for relay in self._relays:
                    await relay.empty.wait()
                await self._tee.settled()
        except TimeoutError:
            for relay in self._relays:
                for client in list(relay.clients):
                    client.reset()
            await asyncio.sleep(0)

    def _stop_listening(self, index: int) -> None:
        server, self._servers[index] = self._servers[index], None
        if server is not None:
            server.close()
            stop(self._listeners[index])

    async def _keep_clock(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_SECONDS)
            for recorder in self._recorders:
                recorder.set_clock()
