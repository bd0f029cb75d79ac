"""kopf's side of the controller: it watches the ModelMonitors, and its handlers only take note of them.

Nothing is patched by kopf: no finalizer, no annotation, no status of a handler. What it may miss, such as a
deletion while it was not connected, the level-based resync finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import kopf
import msgspec
from kubernetes.aio import client

from driftline_operator import names
from driftline_operator.cluster.resources import Object


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
    made.process.ultimate_exiting_timeout = 5
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


async def watch(handlers: Any, namespaces: Sequence[str], ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Run kopf until `stop`."""
    await kopf.operator(
        registry=handlers,
        settings=settings(),
        standalone=True,
        # Else kopf looks for the user's name, which a pod's user lacks. Its type is not exported.
        identity="driftline",  # type: ignore[arg-type]
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        ready_flag=ready,
        stop_flag=stop,
    )
