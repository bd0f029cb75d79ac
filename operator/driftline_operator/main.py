"""`driftline-operator`: the command line of the programs in the operator's image."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from driftline_operator.cleanup import cleanup
from driftline_operator.cluster.api import Api, ApiError, load
from driftline_operator.controller.settings import ControllerSettings
from driftline_operator.hub.limits import Limits
from driftline_operator.injection.sidecars import Resources, Settings
from driftline_operator.injector import program as injector
from driftline_operator.injector.program import SCRAPE, InjectorSettings
from driftline_operator.probe import probe

EX_USAGE = 64
EX_UNAVAILABLE = 69


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EX_USAGE, f"{self.prog}: {message}\nSee `{self.prog} --help`.\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    name = os.environ.get("DRIFTLINE_PROGRAM", "driftline-operator")  # `driftline hub` becomes this one
    top = _Parser(prog=name, description="The programs that run beside a cluster's models.")
    programs = top.add_subparsers(
        dest="program", required=True, metavar="controller | injector | hub | cleanup | probe"
    )
    _controller(programs.add_parser("controller", help="watch ModelMonitors: objects, verdicts, status"))
    _injector(programs.add_parser("injector", help="give monitored pods their sidecar as they are created"))
    _hub(programs.add_parser("hub", help="remember predictions, take labels, say how good the model was"))
    cleaning = programs.add_parser("cleanup", help="remove what the controller made, before an uninstall")
    _common(cleaning)
    cleaning.add_argument("--controller", default="driftline-controller", metavar="NAME", help="%(default)s")
    cleaning.add_argument(
        "--certificates", type=words, default=(), metavar="A,B", help="cert-manager's, to be deleted"
    )
    probing = programs.add_parser("probe", help="ask programs whether they are ready")
    probing.add_argument("urls", nargs="+", metavar="URL")
    _logging(probing)
    return top


def _logging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def _common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    own = os.environ.get("POD_NAMESPACE")
    add("--namespace", default=own, required=own is None, metavar="NS", help="the operator's (POD_NAMESPACE)")
    add("--watch-namespaces", type=words, default=(), metavar="A,B", help="whose monitors (all)")
    add("--kubeconfig", metavar="FILE", help="for use outside a cluster")
    _logging(parser)


def _sidecar(parser: argparse.ArgumentParser) -> None:
    """What both programs must say alike: the injector gives it to pods, the controller compares with it."""
    add = parser.add_argument
    add("--certificate-secret", default="driftline-webhook-certs", metavar="NAME", help="%(default)s")
    add("--sidecar-image", required=True, metavar="IMAGE", help="of both sidecar containers")
    add("--sidecar-image-pull-policy", default="IfNotPresent", choices=("Always", "IfNotPresent", "Never"))
    add("--sidecar-pull-secrets", type=words, default=(), metavar="A,B", help="Secrets to pull it with")
    add("--push-url", default="", metavar="URL", help="where ending pods send their last panes")
    add(
        "--hub-url",
        default="",
        metavar="URL",
        help="where sidecars send predictions, https://HOST:PORT (nowhere)",
    )
    add("--proxy-resources", type=resources, metavar="JSON", help="the proxy container's, by default")
    add("--analyzer-resources", type=resources, metavar="JSON", help="the analyzer container's, by default")
    add("--scrape", default="auto", choices=SCRAPE, help="how Prometheus finds the sidecars (auto)")


def _injector(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _sidecar(parser)
    add = parser.add_argument
    add("--listen", type=address, default=("", 9443), metavar="ADDR", help="the webhook, TLS (:9443)")
    add("--metrics", type=address, default=("", 8081), metavar="ADDR", help="health and series (:8081)")


def _controller(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _sidecar(parser)
    add = parser.add_argument
    name = os.environ.get("POD_NAME", socket.gethostname())
    add("--identity", default=name, metavar="NAME", help="of this replica, in the Lease (POD_NAME)")
    add("--metrics", type=address, default=("", 8080), metavar="ADDR", help="health and series (:8080)")
    add("--intake", type=address, default=("", 8443), metavar="ADDR", help="ending pods' panes, TLS (:8443)")
    add("--injector-service", default="driftline-injector", metavar="NAME", help="%(default)s")
    add("--injector-url", default="", metavar="URL", help="instead: an injector outside of the cluster")
    add("--controller-service", default="driftline-controller", metavar="NAME", help="%(default)s")
    add("--certificates", default="self", choices=("self", "external"), help="who makes them (self)")
    add("--failure-policy", default="Ignore", choices=("Ignore", "Fail"), help="of webhook entries (Ignore)")
    add("--no-candidates", action="store_true", help="shadows of existing Services only: run nothing")
    add(
        "--no-shadow-policy",
        action="store_true",
        help="run candidates, and send what is redacted, without the admission policy that says who may ask",
    )
    add("--no-restarts", action="store_true", help="never restart workloads, whatever monitors ask for")
    add("--resync", type=seconds, default=300.0, metavar="TIME", help="look at everything so often (5m)")
    add("--status-interval", type=seconds, default=30.0, metavar="TIME", help="between status writes (30s)")
    add("--pull-interval", type=seconds, default=30.0, metavar="TIME", help="between rounds over pods (30s)")
    add("--pull-concurrency", type=int, default=32, metavar="N", help="pods asked at once (32)")
    add("--hub-service", default="", metavar="NAME", help="the hub's Service, for its certificate")
    add("--lease-duration", type=seconds, default=15.0, metavar="TIME", help="of the leader's lease (15s)")


def _hub(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    own = os.environ.get("DRIFTLINE_DATABASE")
    add(
        "--database", default=own, required=own is None, metavar="URL",
        help="sqlite:////data/hub.db, or postgresql://user:password@host/name "
        "(DRIFTLINE_DATABASE; of `driftline hub` driftline-hub.db in this folder)",
    )  # fmt: skip
    add(
        "--listen", type=address, default=("127.0.0.1", 8090), metavar="ADDR", help="the API (127.0.0.1:8090)"
    )
    add(
        "--metrics", type=address, default=("127.0.0.1", 8091), metavar="ADDR", help="health, series (…:8091)"
    )
    add(
        "--tokens",
        type=Path,
        metavar="FILE",
        help="who may do what: a file, or a folder of *.yaml (this machine only, and a new token each start)",
    )
    add(
        "--tls-cert", type=Path, metavar="FILE", help="certificate and chain, PEM; read again when it changes"
    )
    add("--tls-key", type=Path, metavar="FILE", help="its key, PEM")
    add(
        "-f",
        "--monitor",
        type=Path,
        action="append",
        metavar="FILE",
        help="monitors, without a controller; read again",
    )
    add("--profile", type=Path, metavar="FILE", help="the reference of the one monitor of -f")
    add("--evaluate-every", type=seconds, default=60.0, metavar="TIME", help="between two looks (1m)")
    limits = Limits()
    add("--max-body", type=int, default=limits.body, metavar="BYTES", help="of a request (%(default)s)")
    add(
        "--max-upload",
        type=int,
        default=limits.upload,
        metavar="BYTES",
        help="of a file of labels (%(default)s)",
    )
    add(
        "--rate",
        type=float,
        default=limits.rate,
        metavar="N",
        help="events per second of a token (%(default)g)",
    )
    _logging(parser)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one program; its exit status, after sysexits."""
    given = parser().parse_args(arguments)
    form = '{"time":"%(asctime)s","level":"%(levelname)s","logger":"%(name)s","message":%(quoted)s}'
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(form))
    logging.basicConfig(level=given.log_level.upper(), handlers=[handler])
    try:
        return asyncio.run(_program(given))
    except (ApiError, OSError, ValueError, TimeoutError) as error:
        logging.getLogger(__name__).critical("%s ended: %s", given.program, str(error) or "no answer")
        return EX_UNAVAILABLE


async def _program(given: argparse.Namespace) -> int:
    match given.program:
        case "injector":
            return await injector.run(injector_settings(given))
        case "controller":
            return await _run_controller(given)
        case "hub":
            return await _run_hub(given)
        case "cleanup":
            async with Api(await load(given.kubeconfig)) as api:
                return await cleanup(
                    api, given.namespace, given.controller, given.watch_namespaces, given.certificates
                )
        case _:
            return await probe(given.urls)


async def _run_controller(given: argparse.Namespace) -> int:
    # kopf and SciPy are the controller's alone: injector and hub start without them.
    from driftline_operator.controller import program as controller

    return await controller.run(controller_settings(given))


async def _run_hub(given: argparse.Namespace) -> int:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it lists its plug-ins as it is imported
    # Its libraries are the hub's alone: controller and injector start without them.
    from driftline_operator.hub import program as hub

    return await hub.run(
        hub.HubSettings(
            database=given.database,
            listen=given.listen,
            metrics=given.metrics,
            tokens=given.tokens,
            tls_certificate=given.tls_cert,
            tls_key=given.tls_key,
            monitors=tuple(given.monitor or ()),
            profile=given.profile,
            evaluate_seconds=given.evaluate_every,
            limits=Limits(
                body=given.max_body, upload=given.max_upload, rate=given.rate, burst=10 * given.rate
            ),
        )
    )


class _Json(logging.Formatter):
    """A JSON object a line; the message is quoted as JSON wants it."""

    def format(self, record: logging.LogRecord) -> str:
        record.quoted = msgspec.json.encode(record.getMessage()).decode()
        return super().format(record)


def sidecar_settings(given: argparse.Namespace) -> Settings:
    """What the command line said of all sidecars."""
    sidecar = Settings(
        image=given.sidecar_image,
        pull_policy=given.sidecar_image_pull_policy,
        pull_secrets=given.sidecar_pull_secrets,
        push_url=given.push_url,
        hub_url=given.hub_url,
    )
    if given.proxy_resources is not None:
        sidecar = msgspec.structs.replace(sidecar, proxy=given.proxy_resources)
    if given.analyzer_resources is not None:
        sidecar = msgspec.structs.replace(sidecar, analyzer=given.analyzer_resources)
    return sidecar


def injector_settings(given: argparse.Namespace) -> InjectorSettings:
    """What the command line said of the injector."""
    return InjectorSettings(
        namespace=given.namespace,
        listen=given.listen,
        metrics=given.metrics,
        sidecar=sidecar_settings(given),
        scrape=given.scrape,
        watch_namespaces=given.watch_namespaces,
        certificate_secret=given.certificate_secret,
        kubeconfig=given.kubeconfig,
    )


def controller_settings(given: argparse.Namespace) -> ControllerSettings:
    """What the command line said of the controller."""
    plain = (
        "namespace", "identity", "metrics", "intake", "injector_service", "injector_url",
        "controller_service", "certificates", "certificate_secret", "failure_policy", "scrape",
        "watch_namespaces", "resync", "status_interval", "pull_interval", "pull_concurrency",
        "lease_duration", "kubeconfig", "hub_service",
    )  # fmt: skip
    fields = {name: getattr(given, name) for name in plain}
    return ControllerSettings(
        **fields,
        sidecar=sidecar_settings(given),
        may_restart=not given.no_restarts,
        may_run_candidates=not given.no_candidates,
        needs_shadow_policy=not given.no_shadow_policy,
    )


def seconds(text: str) -> float:
    """A duration as Kubernetes writes it: `30s`, `5m`, `1h30m`, `500ms`. Raises ArgumentTypeError."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    whole = re.fullmatch(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+", text)
    parts = re.findall(r"([0-9.]+)(ms|s|m|h)", text) if whole else []
    value = sum(float(number) * units[unit] for number, unit in parts)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be a time such as 30s or 5m, not {text!r}")
    return value


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


if __name__ == "__main__":
    sys.exit(main())
