"""`driftline-sidecar proxy|analyzer`: the two containers of a monitored pod; `redirect` prepares its network.

Each program imports only what it needs: the proxy neither NumPy nor aiohttp.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, NoReturn, cast

from driftline.errors import DriftlineError, InvalidSpec

from driftline_sidecar import logs
from driftline_sidecar.redirect import RedirectSettings, redirect_settings
from driftline_sidecar.settings import (
    EX_CONFIG,
    EX_OSERR,
    EX_USAGE,
    AnalyzerSettings,
    Arguments,
    ProxySettings,
    analyzer_settings,
    proxy_settings,
)

Settings = ProxySettings | AnalyzerSettings | RedirectSettings


class _Program(NamedTuple):
    settings: Callable[[Arguments], Settings]
    module: str
    """Its `serve` takes the settings."""


_PROGRAMS: Final[Mapping[str, _Program]] = {
    "proxy": _Program(proxy_settings, "supervisor"),
    "analyzer": _Program(analyzer_settings, "analyzer.program"),
    "redirect": _Program(redirect_settings, "netfilter"),
}

_PROXY = """\
Relays bytes between clients and a model server, and copies what it observes to the analyzer.

The traffic does not depend on anything else: without analyzer, without monitor file, or with a
broken one, it is relayed all the same. GET /healthz, /readyz, /metrics and /prestop on --health.
SIGTERM finishes what is in flight and exits 0.
"""
_ANALYZER = """\
Takes observed exchanges from the proxy, counts them, and serves drift, data quality and verdicts.

GET /healthz, /metrics, /v1/panes, /v1/report and /v1/config on --admin.
"""
_REDIRECT = """\
Has the kernel send what arrives at the pod for one port to another of it, by IPv4 and IPv6, and ends.

What the pod sends, and what goes over loopback, is left alone. Called again, it replaces what it
installed before. Needs root with the capability NET_ADMIN, and the program nft.
"""
_EPILOG = """\
example:
  driftline-sidecar analyzer --monitor monitor.yaml --tee /tmp/tee.sock &
  driftline-sidecar proxy --monitor monitor.yaml --tee /tmp/tee.sock --upstream 127.0.0.1:8080
"""


class _Parser(argparse.ArgumentParser):
    """Exits with EX_USAGE where the command line is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(EX_USAGE, f"{self.prog}: {message}\nTry: {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The command line; values are checked together afterwards, in `settings`."""
    top = _Parser(
        prog="driftline-sidecar",
        description="The sidecar of a monitored model: a proxy on the data path, an analyzer beside it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="program", required=True, metavar="|".join(_PROGRAMS))
    raw = argparse.RawDescriptionHelpFormatter
    _add_proxy(commands.add_parser("proxy", help="relay traffic", description=_PROXY, formatter_class=raw))
    _add_analyzer(
        commands.add_parser("analyzer", help="analyse it", description=_ANALYZER, formatter_class=raw)
    )
    redirect = commands.add_parser(
        "redirect", help="redirect inbound traffic", description=_REDIRECT, formatter_class=raw
    )
    redirect.add_argument("--port", metavar="FROM:TO", action="append", help="may be repeated (required)")
    redirect.add_argument("--log-format", metavar="FORMAT", help="json (default) or text")
    return top


def _add_proxy(proxy: argparse.ArgumentParser) -> None:
    add = proxy.add_argument
    add("--upstream", metavar="HOST:PORT", help="the model server (required, unless there is a --relay)")
    add("--listen", metavar="ADDR", help="where clients connect (:15080; port 0: any free one)")
    add(
        "--relay",
        metavar="LISTEN=HOST:PORT,port=NUMBER[/NAME]",
        action="append",
        help="in a pod: one port taken over, and how monitors name it; may be repeated",
    )
    add("--health", metavar="ADDR", help="health and request metrics (:15081)")
    add("--monitor", metavar="FILE", help="ModelMonitor document(s); reloaded when changed")
    add("--config", metavar="DIR", help="instead: DIR/*/monitor.yaml, as a pod mounts them; reloaded too")
    add("--tee", metavar="SOCKET", help="the analyzer's Unix socket (/run/driftline/tee.sock)")
    add("--backlog", metavar="N", help="connections the kernel holds while no worker accepts (4096)")
    add("--queue-bytes", metavar="N", help="what may wait for the analyzer before it is dropped (4194304)")
    add("--connect-seconds", metavar="S", help="how long the model may take to accept, else 502 (5)")
    add("--drain-seconds", metavar="S", help="how long SIGTERM waits for requests in flight (25)")
    add("--hang-seconds", metavar="S", help="a worker that stands still so long is replaced (30)")
    add("--log-format", metavar="FORMAT", help="json (default) or text")


def _add_analyzer(analyzer: argparse.ArgumentParser) -> None:
    add = analyzer.add_argument
    add("--monitor", metavar="FILE", help="ModelMonitor document(s); reloaded when changed")
    add("--config", metavar="DIR", help="instead: DIR/*/monitor.yaml and profile beside it, as a pod mounts")
    add("--profile", metavar="FILE", help="reference profile, instead of the one the monitor names")
    add("--tee", metavar="SOCKET", help="the Unix socket to listen on (/run/driftline/tee.sock)")
    add("--admin", metavar="ADDR", help="health, metrics, panes, report and configuration (:15082)")
    add("--token", metavar="FILE", help="what /v1/* asks for as Bearer token (nothing)")
    add("--fleet", action="store_true", help="references are made by the operator, of all pods' rows")
    add("--push", metavar="URL", help="where the panes go when the pod ends, https://HOST:PORT (nowhere)")
    add(
        "--hub",
        metavar="URL",
        help="where predictions of monitors with labels go, https://HOST:PORT (nowhere)",
    )
    add("--hub-token", metavar="FILE", help="the Bearer token for the hub (that of --token)")
    add(
        "--hub-ca",
        metavar="FILE",
        help="the authority of the hub's certificate (ca.crt in --config's folder)",
    )
    add(
        "--state",
        metavar="DIR",
        help="where a captured reference, the hub's rows and a shadow's pairs survive a restart (nowhere)",
    )
    add("--shadow", metavar="FILE", help="mirror to a candidate as it says (--config: in its folders)")
    add("--log-format", metavar="FORMAT", help="json (default) or text")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one program; its exit status, after sysexits."""
    given = vars(parser().parse_args(arguments))
    program = given.pop("program")
    options = {name.replace("_", "-"): value for name, value in given.items()}
    try:
        settings = _PROGRAMS[program].settings(options)
    except InvalidSpec as error:
        for problem in error.problems:
            print(f"driftline-sidecar {program}: {problem}", file=sys.stderr)  # noqa: T201 - usage
        return EX_USAGE
    logs.setup(program, settings.log_format)
    try:
        return _serve(_PROGRAMS[program].module, settings)
    except DriftlineError as error:
        logs.event(logging.CRITICAL, "bad_configuration", str(error))
        return EX_CONFIG
    except OSError as error:
        logs.event(logging.CRITICAL, "not_started", str(error), error=error)
        return EX_OSERR


def _serve(module: str, settings: Settings) -> int:
    """Import the program only now: none pays for the others' libraries."""
    # Matrices here are small: BLAS's threads would wait for each other, and for cores the model needs.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    found = importlib.import_module(f"driftline_sidecar.{module}")
    serve = cast("Callable[[Settings], int]", found.serve)
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
