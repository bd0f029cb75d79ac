"""The controller as it runs: watches, lease, certificates, the worker that reconciles, health and series."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import logging
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import kopf
import msgspec
from aiohttp import web
from kubernetes.aio import client
from prometheus_client import CollectorRegistry

from driftline_operator import names
from driftline_operator.aside import serve_aside
from driftline_operator.certificates import store as certificates
from driftline_operator.certificates.serving import load_certificate
from driftline_operator.cluster.api import Api, ApiError, load
from driftline_operator.cluster.lease import Leadership
from driftline_operator.cluster.resources import MODEL_MONITORS, Object
from driftline_operator.controller import handlers
from driftline_operator.controller.apply import Applier, NotLeading
from driftline_operator.controller.gather import Watches
from driftline_operator.controller.hub.access import HubAccess
from driftline_operator.controller.hub.client import HubClient
from driftline_operator.controller.hub.follow import HubFollower
from driftline_operator.controller.hub.history import PaneHistory
from driftline_operator.controller.hub.shadows import ShadowLabels
from driftline_operator.controller.hub.trust import HubTls
from driftline_operator.controller.monitors import Key, MonitorStore
from driftline_operator.controller.observed import Installation, Reference
from driftline_operator.controller.queue import DirtyNamespaces
from driftline_operator.controller.reconcile import Reconciler
from driftline_operator.controller.references import References
from driftline_operator.controller.rounds import Rounds, apart
from driftline_operator.controller.series import Series
from driftline_operator.controller.settings import ControllerSettings
from driftline_operator.controller.shadow_rounds import LivePods, ShadowRounds
from driftline_operator.controller.shadow_series import ShadowSeries
from driftline_operator.controller.shadows import Shadows
from driftline_operator.controller.tokens import Tokens
from driftline_operator.controller.verdicts import routes
from driftline_operator.fleet.fleet import Fleet
from driftline_operator.fleet.intake import Push, PushedPairs, Taken
from driftline_operator.fleet.intake import application as intake_application
from driftline_operator.fleet.metrics import FleetSeries
from driftline_operator.fleet.pull import Puller
from driftline_operator.injector.program import is_enabled
from driftline_operator.injector.server import serve
from driftline_operator.scraping import Scraping

_log = logging.getLogger(__name__)

_CERTIFICATES_EVERY: Final = 600.0
_RETRY: Final = 5.0
_STUCK: Final = 180.0
"""Seconds without a turn of the worker after which the process is not healthy: it is then restarted."""


def utc_now() -> dt.datetime:
    """The wall clock, for what people read."""
    return dt.datetime.now(dt.UTC)


class Controller:
    """One replica: it watches always, and acts while it holds the lease."""

    def __init__(
        self,
        settings: ControllerSettings,
        api: Api,
        configuration: client.Configuration,
        scraping: Scraping,
    ) -> None:
        self._settings, self._api, self._configuration = settings, api, configuration
        self._stop = asyncio.Event()
        self._registry = CollectorRegistry()
        self._series = Series(self._registry)
        self._dirty = DirtyNamespaces(time.monotonic)
        self._store = MonitorStore(self._dirty.add)
        self._listed = False
        self._list_now = asyncio.Event()
        self._taken_over = False
        self._turned = time.monotonic()
        self._watches = Watches(
            settings.namespace,
            settings.watch_namespaces,
            time.monotonic,
            certificate=settings.certificate_secret,
            pod_monitors=scraping.pod_monitors,
        )
        self._lease = Leadership(
            api, settings.namespace, names.LEASE, settings.identity, time.monotonic, settings.lease_duration
        )
        self._applier = Applier(
            api, lambda: self._lease.remaining, self._watches.version, self._series.writes.inc
        )
        self._tokens = Tokens(api, self._applier)
        self._scraping = scraping
        self._hub_access = HubAccess(api, settings.namespace, lambda: self._lease.held)
        self._hub_tls = HubTls(self._bundle)
        self._hub_client = (
            HubClient(settings.sidecar.hub_url, self._hub_tls.context, lambda: self._hub_access.token)
            if settings.sidecar.hub_url
            else None
        )
        self._hub = HubFollower(
            self._hub_client, self._store, self._reference, self._tokens.of, lambda: utc_now().timestamp()
        )
        self._certified_once = False
        self._certificate_changed = asyncio.Event()
        """By whomever: what is damaged is mended at once."""
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._shadows = Shadows(
            api,
            self._applier,
            self._watches,
            self._tokens,
            allowed=settings.may_run_candidates,
            needs_policy=settings.needs_shadow_policy,
            identity=settings.identity,
            status_interval=settings.status_interval,
            now=utc_now,
        )
        self._registry.register(ShadowSeries(self._shadows.running))
        self._reconciler = Reconciler(
            self._applier,
            self._watches,
            self._store,
            References(api, self._watches.version, self._watches.owned_config_maps),
            self._tokens,
            self._series,
            self._installation,
            self._hub.opinion,
            self._shadows,
            identity=settings.identity,
            status_interval=settings.status_interval,
            stale_after=max(300.0, 5 * settings.pull_interval),
            now=utc_now,
        )
        self._puller = Puller(settings.pull_concurrency)
        fleet = Fleet(self._puller, settings.pull_interval)
        history = PaneHistory(self._hub_client)
        self._rounds = Rounds(
            api, self._applier, self._reconciler, self._tokens, fleet, history, utc_now, self._dirty.add
        )
        self._round_due = asyncio.Event()
        """Set once all was planned after a takeover: who waits for the next round loses half a minute."""
        self._planning = False
        self._shadow_rounds = ShadowRounds(
            self._shadows,
            self._puller,
            self._tokens,
            LivePods(lambda: self._reconciler.planned, self._watches.pod_uids),
            self._dirty.add,
            utc_now,
        )
        self._shadow_labels = (
            ShadowLabels(self._hub_client, self._shadows.running, lambda: utc_now().timestamp())
            if self._hub_client is not None
            else None
        )
        self._registry.register(FleetSeries(fleet.figures, lambda: self._rounds.seconds))
        self._intake: web.AppRunner | None = None
        self._series.cache_age.set_function(
            lambda: max((each.age() or 0.0 for each in self._watches.every), default=0.0)
        )

    def _installation(self) -> Installation:
        """As it is now: the kill switch and the certificate's authorities may change at any time."""
        settings = self._settings
        switch = self._watches.settings.get(settings.namespace, names.SETTINGS_CONFIG_MAP)
        return Installation(
            # Whether pods get annotations is part of what they would get now, as injectors decide it.
            sidecar=msgspec.structs.replace(settings.sidecar, scrape=self._scraping.annotations),
            enabled=switch is None or is_enabled(switch),
            bundle=self._bundle(),
            service=(settings.namespace, settings.injector_service),
            url=settings.injector_url,
            failure_policy=settings.failure_policy,
            pod_monitors=self._scraping.pod_monitors,
            may_restart=settings.may_restart,
        )

    def _bundle(self) -> bytes:
        """The certificate's authorities, PEM; empty while there is none."""
        settings = self._settings
        found = self._watches.certificate.get(settings.namespace, settings.certificate_secret)
        return base64.b64decode("" if found is None else (found.get("data") or {}).get("ca.crt", ""))

    def _reference(self, key: Key) -> Reference | None:
        loaded = self._reconciler.loaded(key)
        return None if loaded is None else loaded.reference

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT; the exit status."""
        loop = asyncio.get_running_loop()
        self._watches.on_change(self._dirty.add)
        self._watches.settings.on_change(lambda _: self._all())
        self._watches.certificate.on_change(lambda _: self._certified())
        verdicts = routes(self._watches.shadows, lambda: self._synced)
        aside = await serve_aside(
            self._settings.metrics, self._registry, self._waiting_for, healthy=self._is_healthy, more=verdicts
        )
        tasks = [
            *self._watches.run(self._api),
            asyncio.create_task(self._kopf(), name="kopf"),
            asyncio.create_task(self._announce(), name="podmonitors"),
            asyncio.create_task(self._resync(), name="resync"),
            asyncio.create_task(self._lease.run(), name="lease"),
            asyncio.create_task(self._follow_lease(), name="leadership"),
            asyncio.create_task(self._work(), name="worker"),
            asyncio.create_task(self._renew_certificates(), name="certificates"),
            asyncio.create_task(self._go_round(), name="fleet"),
            asyncio.create_task(self._serve_intake(), name="intake"),
            asyncio.create_task(self._follow_hub(), name="hub"),
        ]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            waited = asyncio.create_task(self._stop.wait())
            done, _ = await asyncio.wait({waited, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            waited.cancel()
            for task in done - {waited}:
                _log.critical("the task %s ended", task.get_name())
                task.result()
        finally:
            self._stop.set()
            for task in tasks:
                if task.get_name() != "kopf":
                    task.cancel()
            await asyncio.wait(tasks, timeout=10)
            for runner in (self._intake, aside):
                if runner is not None:
                    await runner.cleanup()
        return 0

    def _login(self) -> kopf.ConnectionInfo:
        token = self._configuration.api_key.get("BearerToken") if self._configuration.api_key else None
        return handlers.connection(self._configuration, token)

    async def _kopf(self) -> None:
        loop = asyncio.get_running_loop()

        def note(kind: str, body: Object) -> None:  # called in kopf's thread
            loop.call_soon_threadsafe(self._store.note, kind, body)

        def made() -> Any:
            return handlers.registry(note, self._login, own=self._settings.kubeconfig is None)

        # What went while it didn't watch, a list finds.
        await handlers.watch(made, self._settings.watch_namespaces, self._list_now.set, self._stop)

    async def _resync(self) -> None:
        """List the monitors now and then, and look at every namespace: heals whatever was missed."""
        while True:
            try:
                bodies = []
                self._store.listing()
                for place in self._settings.watch_namespaces or (None,):
                    bodies += (await self._api.list(MODEL_MONITORS, place))[0]
                self._store.replace(bodies)
                self._listed = True
                self._all()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.resync):
                        await self._list_now.wait()
                self._list_now.clear()
            except ApiError as error:
                _log.warning("resync: %s", error)
                await asyncio.sleep(_RETRY)

    async def _announce(self) -> None:
        """Watch PodMonitors while the cluster has them; another Prometheus may come, or go."""
        while True:
            caches = self._watches.announce(served=self._scraping.pod_monitors)
            self._all()
            waited = asyncio.create_task(self._scraping.changed(self._settings.resync))
            tasks = [waited, *(asyncio.create_task(each.run(self._api)) for each in caches)]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in tasks:
                    each.cancel()
            for each in done:
                each.result()

    def _all(self) -> None:
        """Every namespace with monitors, or with entries of monitors that have gone."""
        prefix = names.webhook_configuration("")
        entered = {each["metadata"]["name"].removeprefix(prefix) for each in self._watches.webhooks}
        if self._settings.watch_namespaces:
            entered &= set(self._settings.watch_namespaces)
        for namespace in self._store.namespaces | self._watches.shadowed | entered:
            self._dirty.add(namespace)

    @property
    def _synced(self) -> bool:
        return self._listed and not self._watches.waiting_for

    def _waiting_for(self) -> list[str]:
        return [*self._watches.waiting_for, *([] if self._listed else [MODEL_MONITORS.plural])]

    def _is_healthy(self) -> bool:
        """Does the worker turn? (Waiting for work counts: it wakes by itself.)"""
        return time.monotonic() - self._turned < _STUCK

    async def _follow_lease(self) -> None:
        while True:
            if self._lease.held != self._taken_over:
                held = self._lease.held
                self._series.leader.set(held)
                self._shadows.forget()  # who doesn't act has no figures of them
                if held:  # another may have acted meanwhile
                    self._applier.forget()
                    self._reconciler.take_over()
                    self._tokens.forget()
                    self._rounds.forget()
                    self._hub.forget()
                    self._hub_access.forget()
                    self._all()
                self._planning = held
                self._taken_over = held
            await asyncio.sleep(0.2)

    @property
    def _acts(self) -> bool:
        """Nothing is begun between the lease's coming and what was known before being forgotten."""
        return self._taken_over and self._lease.held and self._synced

    async def _work(self) -> None:
        while True:
            self._turned = time.monotonic()
            if not self._acts:
                await asyncio.sleep(0.1)
                continue
            try:
                async with asyncio.timeout(30):
                    namespace = await self._dirty.next()
            except TimeoutError:
                continue
            await self._reconcile(namespace)
            if self._planning and not self._dirty.urgent:
                self._planning = False
                self._round_due.set()

    async def _reconcile(self, namespace: str) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(60):
                again = await self._reconciler.namespace(namespace)
        except NotLeading:
            self._dirty.add(namespace, 1.0)
            return
        except (ApiError, TimeoutError) as error:
            wait = self._dirty.failed(namespace)
            self._series.reconciles.labels("error").inc()
            _log.warning("namespace %s: again in %.0f s: %s", namespace, wait, str(error) or "no answer")
            return
        except Exception:  # noqa: BLE001 - logged with its trace, and tried again
            # A fault of ours in one namespace must not stop the others.
            wait = self._dirty.failed(namespace)
            self._series.reconciles.labels("error").inc()
            _log.exception("namespace %s: again in %.0f s", namespace, wait)
            return
        self._dirty.succeeded(namespace)
        self._series.reconciles.labels("ok").inc()
        self._series.seconds.observe(time.monotonic() - began)
        if again is not None:
            self._dirty.add(namespace, again.total_seconds())

    async def _go_round(self) -> None:
        """Rounds over the pods, while this replica acts."""
        async with self._puller:
            while True:
                began = time.monotonic()
                for turn in (self._rounds.turn, self._shadow_rounds.turn):
                    if self._acts:
                        await self._turn("round over the pods", turn)
                spent = time.monotonic() - began
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.5, self._settings.pull_interval - spent)):
                        await self._round_due.wait()
                self._round_due.clear()

    async def _turn(self, what: str, turn: Callable[[], Awaitable[None]]) -> None:
        """One of those that come again: what goes wrong is logged, and the next one comes."""
        try:
            async with asyncio.timeout(max(60.0, 4 * self._settings.pull_interval)):
                await turn()
        except NotLeading:
            pass
        except (ApiError, TimeoutError) as error:
            _log.warning("%s: %s", what, str(error) or "not ended in time")
        except Exception:  # noqa: BLE001 - logged with its trace; the next turn comes
            _log.exception("%s", what)

    async def _follow_hub(self) -> None:
        """Tell the hub of monitors, and the monitors what it says, while this replica acts."""
        if self._hub_client is None:
            return await self._for_ever()
        async with self._hub_client:
            while True:
                began = time.monotonic()
                if self._acts:
                    await self._turn("hub", self._ask_hub)
                await asyncio.sleep(max(0.5, self._settings.pull_interval - (time.monotonic() - began)))

    async def _ask_hub(self) -> None:
        await self._hub_access.ensure()
        for namespace in sorted(await self._hub.turn()):
            await apart((namespace, ""), self._reconciler.statuses(namespace))
        if self._shadow_labels is not None:
            await self._shadow_labels.turn()

    async def _serve_intake(self) -> None:
        """As soon as there is a certificate, in every replica: who doesn't act says so."""
        while not self._certified_once:  # noqa: ASYNC110 - of a watch
            await asyncio.sleep(0.2)

        async def take(push: Push) -> Taken:
            if not self._lease.held:
                return Taken.NOT_LEADING
            taken = self._rounds.fleet.accept(push, time.time())
            known = self._store.get((push.namespace, push.monitor))
            if taken is Taken.UNKNOWN_MONITOR and known is not None and known.monitor is not None:
                return Taken.NOT_YET
            return taken

        def token_of(namespace: str) -> str | None:
            return self._tokens.of(namespace) if self._lease.held else None

        async def take_pairs(push: PushedPairs) -> Taken:
            return await self._shadow_rounds.accept(push) if self._lease.held else Taken.NOT_LEADING

        app = intake_application(token_of, take, take_pairs)
        self._intake, _ = await serve(app, *self._settings.intake, self._tls)
        await self._for_ever()

    async def _renew_certificates(self) -> None:
        if self._settings.certificates != "self":
            return await self._for_ever()
        given = self._settings
        services = (given.injector_service, given.controller_service, given.hub_service)
        dns_names = [f"{each}.{given.namespace}.svc" for each in services if each]
        if self._settings.injector_url:
            dns_names.append("localhost")
        while True:
            wait = _CERTIFICATES_EVERY
            if not self._lease.held:
                wait = 0.2
            else:
                try:
                    await certificates.keep(
                        self._api,
                        self._settings.namespace,
                        self._settings.certificate_secret,
                        dns_names,
                        utc_now(),
                        lambda: self._lease.held,
                    )
                except ApiError as error:
                    _log.warning("certificates: %s", error)
                    wait = _RETRY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._certificate_changed.wait()
            self._certificate_changed.clear()

    async def _for_ever(self) -> None:
        await asyncio.Event().wait()

    def _certified(self) -> None:
        self._certificate_changed.set()
        self._all()
        found = self._watches.certificate.get(self._settings.namespace, self._settings.certificate_secret)
        if found is None:
            return
        try:
            self._series.expiry.set(load_certificate(self._tls, found).timestamp())
            self._certified_once = True
        except (KeyError, ValueError, ssl.SSLError, OSError) as error:
            name = self._settings.certificate_secret
            _log.error("Secret %s is not used: %s", name, type(error).__name__)


async def run(settings: ControllerSettings) -> int:
    """Run one replica."""
    configuration = await load(settings.kubeconfig)
    async with Api(configuration) as api:
        scraping = Scraping(settings.scrape, api)
        await scraping.look()
        controller = Controller(settings, api, configuration, scraping)
        return await controller.run()
