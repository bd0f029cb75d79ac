"""The proxy's supervisor: holds the listening socket, keeps a worker on it, and tells how it goes.

It relays nothing itself, so that whatever kills the worker leaves the socket, the counters and the
health port standing. It runs on a selector, not on asyncio: it forks, and the child must not inherit
a running event loop.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

from driftline import __version__

from driftline_sidecar import logs, proxy_metrics, worker
from driftline_sidecar.control import Closed, Configure, Drain, Ready, Terminate
from driftline_sidecar.counters import HEARTBEAT, Counters
from driftline_sidecar.health import Answer, HealthServer
from driftline_sidecar.listener import listen, stop
from driftline_sidecar.monitors import Monitors
from driftline_sidecar.restarts import CrashLoop, RestartPolicy
from driftline_sidecar.settings import Address, ProxySettings
from driftline_sidecar.worker_process import WorkerProcess, fork

TICK_SECONDS: Final = 1.0
"""How often the monitor file and the worker's heartbeat are looked at."""

KILL_SECONDS: Final = 3.0
"""How much longer than its drain a worker may take to exit; its last words to the analyzer included."""

RunWorker = Callable[..., int]
"""`worker.run`; a test passes one that fails."""


class Supervisor:
    """One proxy. `run` returns its exit status."""

    def __init__(
        self,
        settings: ProxySettings,
        run_worker: RunWorker = worker.run,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens both ports; raises OSError where one can't be had."""
        self._settings = settings
        self._run_worker = run_worker
        self._clock = clock
        self._counters = Counters()
        self._monitors = Monitors(settings.monitor, settings.config, self._counters, time.time())
        self._selector = selectors.DefaultSelector()
        self._listeners = [listen(each.listen, settings.backlog) for each in settings.relays]
        """One a relay; closed ones (no descriptor) are opened anew with the next worker."""
        self._addresses = [
            Address(each.listen.host, listener.getsockname()[1])
            for each, listener in zip(settings.relays, self._listeners, strict=True)
        ]
        health = listen(settings.health, 128)
        self._health_address = Address(settings.health.host, health.getsockname()[1])
        self._health = HealthServer(health, self._selector, self._answer, clock())
        self._policy = RestartPolicy()
        self._restarts = {"killed": 0, "failed": 0, "hung": 0}
        self._worker: WorkerProcess | None = None
        self._start_at = clock()
        self._tick_at = clock() + TICK_SECONDS
        self._closed = ""
        """Why there is no listening socket, for /readyz."""
        self._crash_loop = False
        self._terminating = False
        self._kill_at: float | None = None
        """Set while draining."""
        self._pulse = 0
        self._still = 0
        """Ticks since the worker's heartbeat was last seen to move."""

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, then drain; 0."""
        with _signals() as awake:
            self._selector.register(awake, selectors.EVENT_READ, lambda _mask: self._signalled(awake))
            gc.collect()
            gc.freeze()  # what exists now stays shared with the workers
            self._tell_refusal()
            while not self._finished():
                self._due(self._clock())
                for key, mask in self._selector.select(self._pause(self._clock())):
                    key.data(mask)
            self._health.close()
            for listener in self._listeners:
                stop(listener)
            self._selector.close()
        logs.event(logging.INFO, "proxy_stopped", "the proxy has stopped")
        return 0

    # What is due by the clock.

    def _finished(self) -> bool:
        return self._kill_at is not None and self._worker is None

    def _pause(self, now: float) -> float:
        due = [self._tick_at]
        if self._worker is None and self._kill_at is None:
            due.append(self._start_at)
        if self._kill_at is not None:
            due.append(self._kill_at)
        return max(0.0, min(due) - now)

    def _due(self, now: float) -> None:
        self._health.tick(now)
        if self._worker is None and now >= self._start_at and self._kill_at is None:
            self._start_worker(now)
        if now >= self._tick_at:
            self._tick_at = now + TICK_SECONDS
            self._watch_file()
            self._watch_worker(now)
        if self._kill_at is not None and now >= self._kill_at and self._worker is not None:
            logs.event(logging.WARNING, "drain_overrun", "the worker did not end in time and is killed")
            self._kill_at = now + KILL_SECONDS
            self._worker.kill()

    def _watch_file(self) -> None:
        refused = self._monitors.refused
        if self._monitors.poll(time.time()):
            logs.event(logging.INFO, "monitor_reloaded", "the changed monitor file is in force")
            if self._worker is not None:
                self._worker.tell(Configure(self._monitors.capture))
        if self._monitors.refused != refused:
            self._tell_refusal()

    def _tell_refusal(self) -> None:
        for refusal in self._monitors.refusals:
            logs.event(
                logging.ERROR,
                "monitor_refused",
                "the monitor file is not in force",
                file=refusal.path,
                reason=refusal.reason,
            )

    def _watch_worker(self, now: float) -> None:
        running = self._worker
        if running is None:
            return
        if self._crash_loop and self._policy.settled(now - running.started):
            self._crash_loop = False
        pulse = self._counters.block(0)[HEARTBEAT]
        self._still = self._still + 1 if pulse == self._pulse else 0
        self._pulse = pulse
        if self._still * TICK_SECONDS >= self._settings.hang_seconds:
            self._still = 0
            running.hung = True
            running.kill()

    # The worker.

    def _start_worker(self, now: float) -> None:
        if not self._is_listening and not self._reopen(now):
            return
        listeners = self._listeners
        capture = self._monitors.capture

        def run(end: socket.socket) -> int:
            logs.setup("worker", self._settings.log_format)
            return self._run_worker(self._settings, capture, listeners, self._counters, end)

        started = fork(run, self._give_up, now)
        self._worker = started
        self._still = 0
        if self._terminating:
            started.tell(Terminate())
        self._selector.register(started.end, selectors.EVENT_READ, lambda _mask: self._heard(started))
        self._selector.register(started.handle, selectors.EVENT_READ, lambda _mask: self._died(started))

    @property
    def _is_listening(self) -> bool:
        return all(listener.fileno() >= 0 for listener in self._listeners)

    def _give_up(self) -> None:
        """In the child: leave the parent's descriptors alone, and close them."""
        self._selector.close()
        self._health.abandon()

    def _reopen(self, now: float) -> bool:
        """Listen again after a crash loop."""
        try:
            for index, address in enumerate(self._addresses):
                if self._listeners[index].fileno() < 0:
                    self._listeners[index] = listen(address, self._settings.backlog)
        except OSError as error:
            logs.event(logging.ERROR, "listen_failed", "can't listen again", error=error)
            self._start_at = now + TICK_SECONDS
            return False
        self._closed = ""
        return True

    def _heard(self, worker: WorkerProcess) -> None:
        try:
            message = worker.hear()
        except BlockingIOError:
            return
        if message is None:
            self._selector.unregister(worker.end)  # its death follows, told through its handle
            return
        match message:
            case Ready(pid):
                worker.ready = True
                logs.event(
                    logging.INFO,
                    "worker_ready",
                    "the worker accepts connections",
                    worker=pid,
                    address=str(self._addresses[0]),
                )
            case Closed(reason, relay):
                logs.event(
                    logging.INFO,
                    "listener_closed",
                    "the worker stopped listening",
                    reason=reason,
                    address=str(self._addresses[relay]),
                )
                self._closed = reason
                stop(self._listeners[relay])

    def _died(self, worker: WorkerProcess) -> None:
        now = self._clock()
        for registered in (worker.handle, worker.end):
            with contextlib.suppress(KeyError):
                self._selector.unregister(registered)
        how = worker.reap()
        self._worker = None
        self._counters.settle()
        if self._kill_at is not None:
            return
        reason = "hung" if worker.hung else "killed" if how.startswith("signal") else "failed"
        self._restarts[reason] += 1
        logs.event(
            logging.WARNING,
            "worker_died",
            f"the worker died ({how}) and is replaced",
            worker=worker.pid,
            reason=reason,
        )
        self._replace(now, now - worker.started)

    def _replace(self, now: float, lived: float) -> None:
        decision = self._policy.died(lived)
        self._start_at = now + decision.pause
        if isinstance(decision, CrashLoop):
            self._crash_loop = True
            self._close_listeners("the worker is in a crash loop")
            logs.event(
                logging.ERROR,
                "crash_loop",
                "the worker dies again and again: the socket is closed",
                count=decision.deaths,
                seconds=decision.pause,
            )

    def _close_listeners(self, reason: str) -> None:
        self._closed = reason
        for listener in self._listeners:
            stop(listener)

    # The end.

    def _signalled(self, awake: socket.socket) -> None:
        for number in awake.recv(64):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._drain(self._clock())

    def _drain(self, now: float) -> None:
        """Let the worker finish; asked a second time, end it."""
        if self._kill_at is not None:
            self._kill_at = now
            return
        logs.event(logging.INFO, "draining", "finishing what is in flight, then stopping")
        if self._worker is None and self._is_listening:
            self._start_worker(now)  # what waits in the backlog is owed an answer
        self._closed = "draining"
        self._kill_at = now + self._settings.drain_seconds + KILL_SECONDS
        if self._worker is not None:
            self._worker.tell(Drain(self._settings.drain_seconds))

    # The health port.

    def _answer(self, _method: str, path: str) -> Answer:
        match path:
            case "/healthz":
                return Answer(503, b"crash loop\n") if self._crash_loop else Answer(200, b"ok\n")
            case "/readyz":
                return Answer(503, f"{self._closed}\n".encode()) if self._closed else Answer(200, b"ok\n")
            case "/metrics":
                return Answer(200, self._metrics(), proxy_metrics.CONTENT_TYPE)
            case "/prestop":
                self._terminate()
                return Answer(200, b"ok\n")
        return Answer(404, b"/healthz, /readyz, /metrics or /prestop\n")

    def _metrics(self) -> bytes:
        process = proxy_metrics.Process(
            self._restarts, self._monitors.refused, not self._monitors.refusals, __version__
        )
        return proxy_metrics.render(self._monitors.owners(), process)

    def _terminate(self) -> None:
        if not self._terminating:
            self._terminating = True
            logs.event(logging.INFO, "terminating", "the pod is terminating")
            if self._worker is not None:
                self._worker.tell(Terminate())


class _signals:  # noqa: N801 - reads as the context manager it is
    """Signals as bytes on a socket, so that they wake the selector."""

    def __enter__(self) -> socket.socket:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._before = {
            number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
        }
        self._wakeup = signal.set_wakeup_fd(self._write.fileno())
        return self._read

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, before in self._before.items():
            signal.signal(number, before)
        self._read.close()
        self._write.close()


def serve(settings: ProxySettings) -> int:
    """Run the proxy in this process until it is told to stop."""
    _raise_descriptor_limit()
    supervisor = Supervisor(settings)
    logs.event(
        logging.INFO,
        "proxy_started",
        "relaying "
        + ", ".join(
            f"{address} to {each.upstream}"
            for address, each in zip(supervisor._addresses, settings.relays, strict=True)
        ),
        address=str(supervisor._health_address),
        version=__version__,
    )
    return supervisor.run()


def _raise_descriptor_limit() -> None:
    """A relayed connection takes two descriptors; the soft limit is often 1,024."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
