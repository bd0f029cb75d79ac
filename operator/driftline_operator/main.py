"""`driftline-operator injector`: the admission webhook. (The controller is not built yet.)"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from driftline_operator.cluster.api import ApiError
from driftline_operator.injection.sidecars import Resources, Settings
from driftline_operator.injector.program import SCRAPE, InjectorSettings, run

EX_USAGE = 64
EX_UNAVAILABLE = 69


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EX_USAGE, f"{self.prog}: {message}\nSee `{self.prog} --help`.\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = _Parser(prog="driftline-operator", description="The programs that run beside a cluster's models.")
    programs = top.add_subparsers(dest="program", required=True, metavar="injector")
    injector = programs.add_parser("injector", help="give monitored pods their sidecar as they are created")
    add = injector.add_argument
    own = os.environ.get("POD_NAMESPACE")
    add("--namespace", default=own, required=own is None, metavar="NS", help="the operator's (POD_NAMESPACE)")
    add("--listen", type=address, default=("", 9443), metavar="ADDR", help="the webhook, TLS (:9443)")
    add("--metrics", type=address, default=("", 8081), metavar="ADDR", help="health and series (:8081)")
    add("--certificate-secret", default="driftline-webhook-certs", metavar="NAME", help="%(default)s")
    add("--sidecar-image", required=True, metavar="IMAGE", help="of both sidecar containers")
    add("--sidecar-image-pull-policy", default="IfNotPresent", choices=("Always", "IfNotPresent", "Never"))
    add("--sidecar-pull-secrets", type=words, default=(), metavar="A,B", help="Secrets to pull it with")
    add("--push-url", default="", metavar="URL", help="where ending pods send their last panes")
    add("--proxy-resources", type=resources, metavar="JSON", help="the proxy container's, by default")
    add("--analyzer-resources", type=resources, metavar="JSON", help="the analyzer container's, by default")
    add("--scrape", default="auto", choices=SCRAPE, help="how Prometheus finds the sidecars (auto)")
    add("--watch-namespaces", type=words, default=(), metavar="A,B", help="whose monitors (all)")
    add("--kubeconfig", metavar="FILE", help="for use outside a cluster")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one program; its exit status, after sysexits."""
    given = parser().parse_args(arguments)
    form = '{"time":"%(asctime)s","level":"%(levelname)s","logger":"%(name)s","message":%(quoted)s}'
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(form))
    logging.basicConfig(level=given.log_level.upper(), handlers=[handler])
    try:
        return asyncio.run(run(injector_settings(given)))
    except (ApiError, OSError, ValueError) as error:
        logging.getLogger(__name__).critical("not started: %s", error)
        return EX_UNAVAILABLE


class _Json(logging.Formatter):
    """A JSON object a line; the message is quoted as JSON wants it."""

    def format(self, record: logging.LogRecord) -> str:
        record.quoted = msgspec.json.encode(record.getMessage()).decode()
        return super().format(record)


def injector_settings(given: argparse.Namespace) -> InjectorSettings:
    """What the command line said of the injector."""
    sidecar = Settings(
        image=given.sidecar_image,
        pull_policy=given.sidecar_image_pull_policy,
        pull_secrets=given.sidecar_pull_secrets,
        push_url=given.push_url,
    )
    if given.proxy_resources is not None:
        sidecar = msgspec.structs.replace(sidecar, proxy=given.proxy_resources)
    if given.analyzer_resources is not None:
        sidecar = msgspec.structs.replace(sidecar, analyzer=given.analyzer_resources)
    return InjectorSettings(
        namespace=given.namespace,
        listen=given.listen,
        metrics=given.metrics,
        sidecar=sidecar,
        scrape=given.scrape,
        watch_namespaces=given.watch_namespaces,
        certificate_secret=given.certificate_secret,
        kubeconfig=given.kubeconfig,
    )


def address(text: str) -> tuple[str, int]:
    """`:9443`, `127.0.0.1:9443` or `[::1]:9443`. Raises argparse.ArgumentTypeError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"must be HOST:PORT or :PORT, not {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def words(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(each for each in (part.strip() for part in text.split(",")) if each)


def resources(text: str) -> Resources:
    """`{"requests": {"cpu": "50m"}, "limits": {...}}`. Raises argparse.ArgumentTypeError."""
    try:
        return msgspec.json.decode(text, type=Resources)
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(f"must be requests and limits as JSON: {error}") from error
