"""What the controller tells: monitors and pane history."""

from __future__ import annotations

from aiohttp import web
from driftline.events import Accepted

from driftline_operator.hub import bodies, panes, registry
from driftline_operator.hub.answers import Changed, MonitorIs, Monitors, MonitorTold
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.panes import Panes
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.requests import LAST, monitor_of, number, read_body
from driftline_operator.hub.tokens import ALL, Grant


async def put_monitor(hub: Hub, request: web.Request, grant: Grant) -> Changed:
    """Keep a monitor, its reference and the hash of its sidecars' token."""
    namespace, name = request.match_info["namespace"], request.match_info["monitor"]
    grant.check("admin", namespace)
    body = await read_body(hub, request, hub.limits.body)
    told = await hub.decode(lambda: bodies.one(body, MonitorTold))
    now = hub.clock()

    def work() -> bool:
        checked = registry.check(namespace, name, told.document, told.profile or None, told.token)
        return hub.write(lambda connection: registry.put(connection, checked, now))

    changed = await hub.take(work)
    await hub.refresh()
    return Changed(changed=changed)


async def get_monitor(hub: Hub, request: web.Request, grant: Grant) -> MonitorIs:
    """What is known of a monitor."""
    known = await monitor_of(hub, request, grant, "read")
    namespace, name = known.name
    return MonitorIs(namespace=namespace, name=name, changed=known.changed, profile=known.profile_hash)


async def list_monitors(hub: Hub, request: web.Request, grant: Grant) -> Monitors:
    """The monitors that the token may read."""
    if "read" not in grant.scopes:
        grant.check("read", grant.namespace)
    return Monitors(
        monitors=tuple(
            MonitorIs(namespace=namespace, name=name, changed=each.changed, profile=each.profile_hash)
            for (namespace, name), each in sorted(hub.registry.monitors.items())
            if grant.namespace in (ALL, namespace)
        )
    )


async def delete_monitor(hub: Hub, request: web.Request, grant: Grant) -> Changed:
    """Forget a monitor; what was stored of it is deleted soon after."""
    namespace, name = request.match_info["namespace"], request.match_info["monitor"]
    grant.check("admin", namespace)
    changed = await hub.take(lambda: hub.write(lambda each: registry.remove(each, namespace, name)))
    await hub.refresh()
    return Changed(changed=changed)


async def post_panes(hub: Hub, request: web.Request, grant: Grant) -> Accepted:
    """Keep panes; sent again they change nothing."""
    known = await monitor_of(hub, request, grant, "admin")
    body = await read_body(hub, request, hub.limits.upload)
    sent = (await hub.decode(lambda: bodies.one(body, Panes))).panes
    now = hub.clock()
    new = await hub.take(lambda: hub.write(lambda each: panes.add(each, known.id, sent, now)))
    return Accepted(accepted=len(sent), new=new)


async def get_panes(hub: Hub, request: web.Request, grant: Grant) -> Panes:
    """Panes of one reference that begin within [start, end)."""
    known = await monitor_of(hub, request, grant, "admin")
    profile = request.query.get("profile", "")
    if not profile.isalnum() or len(profile) > 64:
        raise Refusal(400, "must be the hash of the panes' reference", field="profile", value=profile)
    start, end = number(request, "start", 0) or 0.0, number(request, "end", 0)
    last, seconds = LAST if end is None else end, number(request, "seconds", 0)
    return await hub.ask(lambda each: panes.find(each, known.id, profile, start, last, seconds))
