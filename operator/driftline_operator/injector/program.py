"""The injector as it runs: watches, certificate, kill switch, webhook and series."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import time
from collections.abc import Coroutine, Sequence
from functools import partial

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from driftline_operator import names
from driftline_operator.aside import serve_aside
from driftline_operator.certificates.serving import load_certificate
from driftline_operator.cluster.api import Api, load
from driftline_operator.cluster.resources import (
    CONFIG_MAPS,
    MODEL_MONITORS,
    SECRETS,
    Object,
    Resource,
)
from driftline_operator.cluster.watching import Cache
from driftline_operator.injection.decide import Decision, decide
from driftline_operator.injection.sidecars import Settings
from driftline_operator.injector.monitors import Monitors
from driftline_operator.injector.review import Question
from driftline_operator.injector.server import Series, application, serve
from driftline_operator.scraping import Scraping

_log = logging.getLogger(__name__)

SCRAPE = ("auto", "podmonitor", "annotations", "none")


class InjectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`driftline-operator injector`."""

    namespace: str
    """The operator's own: its certificate and its kill switch are there."""
    listen: tuple[str, int]
    metrics: tuple[str, int]
    sidecar: Settings
    scrape: str = "auto"
    """How Prometheus finds the sidecars; with `auto` by annotations where there is no Prometheus Operator."""
    watch_namespaces: tuple[str, ...] = ()
    """Whose monitors are known; empty: all."""
    certificate_secret: str = names.CERTIFICATE_SECRET
    kubeconfig: str | None = None


class Injector:
    """One replica."""

    def __init__(self, settings: InjectorSettings, api: Api) -> None:
        self._settings = settings
        self._api = api
        self._monitors = Monitors()
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._certified = False
        self._sidecar = settings.sidecar
        self._scraping = Scraping(settings.scrape, api)
        self._stop = asyncio.Event()
        self._registry = CollectorRegistry()
        self._series = Series(self._registry)
        self._expiry = Gauge(
            "modelmonitor_injector_certificate_expiry_timestamp_seconds",
            "When the serving certificate ends, unix seconds.",
            registry=self._registry,
        )
        namespaces: Sequence[str | None] = settings.watch_namespaces or (None,)
        self._watched = [Cache(MODEL_MONITORS, time.monotonic, namespace=each) for each in namespaces]
        self._switch = self._own(CONFIG_MAPS, names.SETTINGS_CONFIG_MAP)
        self._certificate = self._own(SECRETS, settings.certificate_secret)
        age = Gauge(
            "modelmonitor_injector_cache_age_seconds",
            "Since the API server was last heard of, over the slowest watch.",
            registry=self._registry,
        )
        age.set_function(lambda: max((each.age() or 0.0 for each in self._caches), default=0.0))

    def _own(self, resource: Resource, name: str) -> Cache:
        fields = f"metadata.name={name}"
        return Cache(resource, time.monotonic, namespace=self._settings.namespace, fields=fields)

    @property
    def _caches(self) -> list[Cache]:
        return [*self._watched, self._switch, self._certificate]

    @property
    def ready(self) -> bool:
        """Can pods be decided on? Once true, it stays so: an older view is better than none."""
        return not self._waiting_for()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        await self._scraping.look()
        for cache in self._watched:
            cache.on_change(partial(self._note, cache))
        self._certificate.on_change(lambda _: self._load_certificate())
        watches = [asyncio.create_task(cache.run(self._api)) for cache in self._caches]
        watches.append(asyncio.create_task(self._follow_scraping()))
        aside = await serve_aside(self._settings.metrics, self._registry, self._waiting_for)
        webhook: web.AppRunner | None = None
        try:
            await self._until_ready(watches)
            if not self._stop.is_set():
                app = application(self.decide, self._series)
                webhook, port = await serve(app, *self._settings.listen, self._tls)
                _log.info("the injector answers on port %d", port)
            await self._first_of(self._stop.wait(), watches)
        finally:
            for runner in (webhook, aside):
                if runner is not None:
                    await runner.cleanup()
            for task in watches:
                task.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
        return 0

    def decide(self, question: Question) -> Decision:
        """The decision about one pod, from what has been watched."""
        labels = question.pod["metadata"].get("labels") or {}
        found = question.told.among(self._monitors.selecting(question.namespace, labels))
        sidecar = question.told.settings(self._sidecar)
        return decide(question.pod, found, sidecar, enabled=self._enabled())

    def _note(self, cache: Cache, key: tuple[str, str]) -> None:
        try:
            self._monitors.note(key, cache.get(*key))
        except Exception:  # noqa: BLE001 - logged with its trace
            # One monitor's document must not end the webhook of all: that one stays as it was.
            _log.exception("ModelMonitor %s/%s is not taken", *key)

    def _enabled(self) -> bool:
        switch = self._switch.get(self._settings.namespace, names.SETTINGS_CONFIG_MAP)
        return switch is None or is_enabled(switch)

    async def _follow_scraping(self) -> None:
        while True:
            self._sidecar = msgspec.structs.replace(self._sidecar, scrape=self._scraping.annotations)
            await self._scraping.changed()

    def _load_certificate(self) -> None:
        found = self._certificate.get(self._settings.namespace, self._settings.certificate_secret)
        if found is None:
            return  # deleted: what is loaded goes on
        try:
            self._expiry.set(load_certificate(self._tls, found).timestamp())
        except (KeyError, ValueError, ssl.SSLError, OSError) as error:
            _log.error("Secret %s is not used: %s", self._settings.certificate_secret, type(error).__name__)
        else:
            self._certified = True

    async def _until_ready(self, watches: Sequence[asyncio.Task[None]]) -> None:
        async def poll() -> None:
            while not self.ready and not self._stop.is_set():  # noqa: ASYNC110 - of events in several tasks
                await asyncio.sleep(0.05)

        await self._first_of(poll(), watches)

    async def _first_of(
        self, waited: Coroutine[None, None, object], watches: Sequence[asyncio.Task[None]]
    ) -> None:
        """Wait for it; a watch that ends first is a fault of ours, and raised."""
        task = asyncio.ensure_future(waited)
        done, _ = await asyncio.wait({task, *watches}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        for each in done - {task}:
            each.result()

    def _waiting_for(self) -> list[str]:
        lacking = [each.resource.plural for each in self._caches if not each.synced.is_set()]
        return lacking + ([] if self._certified else ["a certificate"])


def is_enabled(switch: Object) -> bool:
    """Is injection on, by the settings' ConfigMap? Without a word about it, it is; any other word is off."""
    said = (switch.get("data") or {}).get(names.SETTINGS_INJECTION_KEY, "enabled")
    return bool(said == "enabled")


async def run(settings: InjectorSettings) -> int:
    """Run one replica."""
    async with Api(await load(settings.kubeconfig)) as api:
        return await Injector(settings, api).run()
