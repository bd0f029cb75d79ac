"""kopf's side of the controller: it watches the ModelMonitors, and its handlers only take note of them.

Nothing is patched by kopf: no finalizer, no annotation, no status of a handler. What it may miss, such as a
deletion while it was not connected, the level-based resync finds.

It runs in a thread and an event loop of its own, and is begun again when it ends. Credentials that are
refused once end it for good, and an API server that has just started refuses all for a moment; and as it
ends, it cancels every task of its loop that is younger than itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import kopf
import msgspec
from kubernetes.aio import client

from driftline_operator import names
from driftline_operator.cluster.resources import Object

_log = logging.getLogger(__name__)

AGAIN: Final = 5.0
"""Seconds between kopf's end and its next beginning."""
_ENDING: Final = 8.0
"""Seconds that it is given to end."""


def registry(
    note: Callable[[str, Object], None], login: Callable[[], kopf.ConnectionInfo], *, own: bool
) -> Any:
    """The handlers. `note` gets the kind of each event (empty: it was there already) and the monitor.

    `own`: the pod's service account is used, whose token kopf reads anew as it is rotated.
    """
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def logged_in(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**given) if own else login()

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=handlers)
    async def changed(event: Any, **_: Any) -> None:
        # kopf's views are read-only wrappers: what is kept is plain JSON.
        body = msgspec.json.decode(msgspec.json.encode(dict(event["object"])))
        note(event["type"] or "", body)

    return handlers


def settings() -> kopf.OperatorSettings:
    """No posting of logs as Events, no scanning of the cluster, time limits everywhere."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.scanning.disabled = True
    made.networking.request_timeout = 10
    made.networking.connect_timeout = 5
    made.watching.server_timeout = 290
    made.watching.client_timeout = 350
    made.watching.connect_timeout = 5
    made.watching.reconnect_backoff = 0.5
    made.process.ultimate_exiting_timeout = None  # its SIGKILL to "the thread" is the whole process's
    return made


def connection(configuration: client.Configuration, token: str | None) -> kopf.ConnectionInfo:
    """The same server and credentials as the rest of the controller's."""
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        token=token,
    )


async def watch(
    make: Callable[[], Any], namespaces: Sequence[str], ready: Callable[[], None], stop: asyncio.Event
) -> None:
    """Run kopf until `stop`; `ready` is called whenever it has begun, `make` makes its handlers."""
    while not stop.is_set():
        ended = await _Life(make(), namespaces, ready).run(stop)
        if stop.is_set():
            return
        _log.error("kopf ended, and begins again in %.0f s: %s", AGAIN, ended or "no error")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AGAIN):
                await stop.wait()


class _Life:
    """kopf from one beginning to its end, in a daemon thread: one that doesn't end holds nobody up."""

    def __init__(self, handlers: Any, namespaces: Sequence[str], ready: Callable[[], None]) -> None:
        self._handlers, self._namespaces, self._ready = handlers, namespaces, ready
        self._ours = asyncio.get_running_loop()
        self._ended: asyncio.Future[BaseException | None] = self._ours.create_future()
        self._theirs = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> BaseException | None:
        """Until it ended, by itself or told to; what it ended with."""
        threading.Thread(target=self._live, name="kopf", daemon=True).start()
        told = asyncio.create_task(stop.wait())
        either: list[asyncio.Future[Any]] = [told, self._ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            with contextlib.suppress(RuntimeError):  # its loop is closed
                self._theirs.call_soon_threadsafe(self._stop.set)
        await asyncio.wait({self._ended}, timeout=_ENDING)
        return self._ended.result() if self._ended.done() else None

    def _live(self) -> None:
        error: BaseException | None = None
        try:
            with asyncio.Runner(loop_factory=lambda: self._theirs) as runner:
                runner.run(self._operate())
        except BaseException as caught:  # noqa: BLE001 - handed to who waits
            error = caught
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            self._ours.call_soon_threadsafe(self._tell, error)

    def _tell(self, error: BaseException | None) -> None:
        if not self._ended.done():
            self._ended.set_result(error)

    async def _operate(self) -> None:
        begun = asyncio.Event()
        telling = asyncio.create_task(self._tell_ready(begun))
        try:
            await kopf.operator(
                registry=self._handlers,
                settings=settings(),
                standalone=True,
                # Else kopf looks for the user's name, which a pod's user lacks. Its type is not exported.
                identity="driftline",  # type: ignore[arg-type]
                clusterwide=not self._namespaces,
                namespaces=list(self._namespaces),
                ready_flag=begun,
                stop_flag=self._stop,
            )
        finally:
            telling.cancel()

    async def _tell_ready(self, begun: asyncio.Event) -> None:
        await begun.wait()
        self._ours.call_soon_threadsafe(self._ready)
