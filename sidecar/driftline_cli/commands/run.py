"""`driftline run`: proxy and analyzer in front of a model on this machine."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
from driftline.decoding import decode_monitors
from driftline.errors import DataError, DriftlineError
from driftline.report import Report
from driftline.shadow.runtime import MIRROR_FILE
from driftline.spec import ModelMonitor
from driftline_sidecar.analyzer.history import HistoryReport
from driftline_sidecar.settings import Address, parse_address, parse_hub

from driftline_cli.children import Child
from driftline_cli.exits import EX_OK, EX_OSERR, EX_SOFTWARE, EX_UNAVAILABLE, WrongUsage
from driftline_cli.gateway import Gateway
from driftline_cli.profile_files import read_profile
from driftline_cli.report_html import write_report
from driftline_cli.shadow_run import Comparison, can_be_written

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_START_SECONDS = 20.0
_DRAIN_SECONDS = 30.0
_LAST_ROWS_SECONDS = 5.0


class StartFailed(DriftlineError):
    """A child ended before it served, or the admin address can't be had."""

    exit_code = EX_UNAVAILABLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `driftline run`."""
    parser.add_argument("-f", "--file", required=True, type=Path, metavar="MONITOR", help="the ModelMonitor")
    parser.add_argument("--upstream", required=True, metavar="URL", help="the model: http://127.0.0.1:8080")
    parser.add_argument("--listen", default="127.0.0.1:15080", metavar="ADDR", help="default: %(default)s")
    parser.add_argument("--admin", default="127.0.0.1:15090", metavar="ADDR", help="default: %(default)s")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="reference profile (else the monitor's)")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="where a captured reference, and predictions that no hub has yet, survive this run's end",
    )
    parser.add_argument(
        "--hub", metavar="URL", help="where predictions of a monitor with labels go: http://127.0.0.1:8090"
    )
    parser.add_argument("--hub-token", type=Path, metavar="FILE", help="the token for it, of scope intake")
    parser.add_argument("--hub-ca", type=Path, metavar="FILE", help="the authority of its certificate")
    parser.add_argument(
        "--shadow", metavar="URL", help="a candidate that gets a copy of each request: http://127.0.0.1:8081"
    )
    parser.add_argument(
        "--shadow-file", type=Path, metavar="FILE", help="a ShadowDeployment: how it is compared and judged"
    )
    parser.add_argument(
        "--less-than-a-day", action="store_true", help="give a verdict on the hours seen, and no others"
    )
    parser.add_argument("--shadow-report", type=Path, metavar="FILE", help="write the verdict as JSON")
    parser.add_argument("--log-format", choices=("json", "text"), default="text", help="default: %(default)s")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="at the end, write the report as JSON, and as HTML beside it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM; the exit code."""
    _check_options(arguments)
    monitors = decode_monitors(_read(arguments.file), str(arguments.file))
    addresses = _addresses(arguments)
    if arguments.profile is not None and not arguments.profile.is_file():
        raise DataError(f"{arguments.profile}: no such file (--profile)")
    if arguments.shadow_report is not None:
        can_be_written(arguments.shadow_report)
    comparison = None if arguments.shadow is None else _comparison(arguments, monitors[0], addresses)
    return asyncio.run(_Run(arguments, monitors[0], addresses, comparison).main())


def _check_options(arguments: argparse.Namespace) -> None:
    """Options that would be ignored."""
    given = {
        "--shadow-file": arguments.shadow_file is not None,
        "--less-than-a-day": arguments.less_than_a_day,
        "--shadow-report": arguments.shadow_report is not None,
    }
    if arguments.shadow is None and any(given.values()):
        options = ", ".join(option for option, is_given in given.items() if is_given)
        raise WrongUsage(f"{options}: only with --shadow, the candidate's address")


def _comparison(
    arguments: argparse.Namespace, monitor: ModelMonitor, addresses: dict[str, Address]
) -> Comparison:
    source = monitor.spec.reference.profile
    path = arguments.profile
    if path is None and source is not None and source.file is not None:
        path = arguments.file.parent / source.file
    return Comparison(
        monitor,
        None if path is None else read_profile([path]),
        _url(addresses["shadow"]),
        _url(addresses["upstream"]),
        arguments.shadow_file,
        time.time(),
        less_than_a_day=arguments.less_than_a_day,
        source=arguments.file,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def _addresses(arguments: argparse.Namespace) -> dict[str, Address]:
    found, problems = {}, []
    for option in ("upstream", "listen", "admin", "shadow"):
        if getattr(arguments, option) is None:
            continue
        text = getattr(arguments, option)
        if text.startswith("https://"):
            problems.append(f"--{option}: must be http://HOST:PORT, TLS isn't spoken here (got {text!r})")
            continue
        try:
            found[option] = parse_address(text)
        except ValueError as error:
            problems.append(f"--{option}: {error} (got {text!r})")
    for option in ("listen", "admin"):
        if "shadow" in found and _same(found["shadow"], found.get(option)):
            said = f"is {found[option]}, Driftline's own address (--{option}): name the candidate's server"
            problems.append(f"--shadow: {said} (got {arguments.shadow!r})")
    try:
        if arguments.hub is not None:
            parse_hub(arguments.hub)
    except ValueError as error:
        problems.append(f"--hub: {error} (got {arguments.hub!r})")
    if problems:
        raise WrongUsage("\n".join(problems))
    return found


def _same(first: Address, second: Address | None) -> bool:
    names = {"localhost": "127.0.0.1"}
    return (
        second is not None
        and first.port == second.port
        and (names.get(first.host, first.host) == names.get(second.host, second.host))
    )


class _Run:
    """One run: two children, the gateway, and the end of all three."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        monitor: ModelMonitor,
        addresses: dict[str, Address],
        comparison: Comparison | None = None,
    ) -> None:
        self._comparison = comparison
        self._arguments = arguments
        self._monitor = monitor
        self._addresses = addresses
        self._stop = asyncio.Event()

    async def main(self) -> int:
        """Start, wait, end."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop.set)
        self._addresses["listen"] = _probe(self._addresses["listen"])
        with tempfile.TemporaryDirectory(prefix="driftline-") as directory:
            health, admin = _free_port(), _free_port()
            proxy, analyzer = self._children(Path(directory) / "tee.sock", health, admin)
            gateway = Gateway(f"http://127.0.0.1:{health}", f"http://127.0.0.1:{admin}")
            try:
                return await self._serve(proxy, analyzer, gateway)
            finally:
                await proxy.end(5.0)
                await analyzer.end(5.0)
                await gateway.close()

    async def _serve(self, proxy: Child, analyzer: Child, gateway: Gateway) -> int:
        await self._open(gateway)
        await analyzer.start()
        await _await_ready(analyzer, gateway, gateway.analyzer + "/healthz")
        await proxy.start()
        await _await_ready(proxy, gateway, gateway.proxy + "/readyz")
        say(self._welcome())
        if self._comparison is not None and (warning := await self._comparison.knock()):
            say(warning)
        keeping = asyncio.create_task(analyzer.keep_running(say))
        showing = self._comparison and asyncio.create_task(self._comparison.show(gateway))
        proxy_ends = asyncio.create_task(proxy.wait())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({proxy_ends, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if showing and self._comparison is not None:
            showing.cancel()
            self._comparison.clear()
        code = EX_OK
        if proxy_ends.done():
            code = proxy_ends.result() or EX_SOFTWARE
            say(f"the proxy has ended with {proxy_ends.result()}")
        else:
            say("ending: requests in flight are finished first (again to end at once)")
            for number in _SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, proxy.kill)
            await gateway.report()  # the proxy's last account of what it captured
            await proxy.end(_DRAIN_SECONDS)
        await self._report(gateway)
        if self._comparison is not None:
            await self._comparison.settle(gateway)
            code = self._comparison.tell(self._arguments.shadow_report) if code == EX_OK else code
        stopping.cancel()
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        return code

    async def _open(self, gateway: Gateway) -> None:
        admin = self._addresses["admin"]
        try:
            port = await gateway.serve(admin.host or "0.0.0.0", admin.port)  # noqa: S104  as was asked for
        except OSError as error:
            raise _not_to_be_had("--admin", admin, error) from error
        self._addresses["admin"] = Address(admin.host, port)

    def _children(self, tee: Path, health: int, admin: int) -> tuple[Child, Child]:
        common = ["--monitor", str(self._arguments.file), "--tee", str(tee)]
        common += ["--log-format", self._arguments.log_format]
        proxy = ["proxy", *common, "--upstream", str(self._addresses["upstream"])]
        proxy += ["--listen", str(self._addresses["listen"]), "--health", f"127.0.0.1:{health}"]
        analyzer = ["analyzer", *common, "--admin", f"127.0.0.1:{admin}"]
        # Without --state it still survives the analyzer: what comes after a crash may have drifted.
        analyzer += ["--state", str(self._arguments.state or tee.parent / "state")]
        if self._comparison is not None:
            self._comparison.write(tee.parent / MIRROR_FILE)
            analyzer += ["--shadow", str(tee.parent / MIRROR_FILE)]
        for option in ("profile", "hub", "hub_token", "hub_ca"):
            given = getattr(self._arguments, option)
            if given is not None:
                analyzer += [f"--{option.replace('_', '-')}", str(given)]
        redrawn = self._comparison is not None and sys.stderr.isatty()
        tell = self._comparison.tell_above if redrawn and self._comparison is not None else None
        return Child("proxy", proxy, tell), Child("analyzer", analyzer, tell)

    def _welcome(self) -> str:
        monitor, spec = self._monitor.metadata, self._monitor.spec
        admin, listen = _url(self._addresses["admin"]), _url(self._addresses["listen"])
        upstream = _url(self._addresses["upstream"])
        version = f" version {spec.model.version}" if spec.model.version else ""
        return (
            f"watching {monitor.namespace}/{monitor.name} (model {spec.model.name}{version})\n"
            f"  requests   {listen}  ->  {upstream}\n"
            f"  metrics    {admin}/metrics\n"
            f"  report     {admin}/v1/report\n"
            f"  reference  {self._reference()}\n"
            f"{self._predictions()}"
            f"{self._shadow()}"
            f"Send requests to {listen} instead of {upstream}, and watch with\n"
            f"  driftline top --admin {admin}\n"
            "Ctrl-C ends it."
        )

    def _predictions(self) -> str:
        hub, labels = self._arguments.hub, self._monitor.spec.labels
        if labels is None:
            return (
                "  hub        none: the monitor has no labels, so no prediction goes there\n" if hub else ""
            )
        return f"  hub        {hub or 'none: predictions are not kept, and labels find nothing (--hub)'}\n"

    def _shadow(self) -> str:
        if self._comparison is None:
            return ""
        remarks = "".join(f"             {remark}\n" for remark in self._comparison.remarks())
        untold = "".join(
            f"  segment    {name} {why}: its values are not told apart\n"
            for name, why in self._comparison.untold.items()
        )
        return f"  candidate  {self._comparison.config.url}\n{remarks}{untold}"

    def _reference(self) -> str:
        reference = self._monitor.spec.reference
        if self._arguments.profile is not None:
            return str(self._arguments.profile)
        if reference.profile is not None:
            source = reference.profile
            return str(
                source.file
                or f"none: ConfigMap {source.config_map} is in a cluster; give its file by --profile"
            )
        if reference.capture is not None:
            return f"the first {reference.capture.rows:,} rows that come"
        return "none: drift can't be judged (--profile, or reference.capture in the monitor)"

    async def _report(self, gateway: Gateway) -> None:
        path: Path | None = self._arguments.report
        if path is None:
            return
        try:
            report, history = await _last_report(gateway)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            say(f"no report: the analyzer does not answer ({type(error).__name__})")
            return
        for written in write_report(path, report, history):
            say(f"the report is {written}")


def _probe(listen: Address) -> Address:
    """Can `--listen` be had? Said here in a sentence, before the proxy fails; port 0 becomes a free one."""
    try:
        with socket.create_server((listen.host, listen.port), family=_family(listen.host)) as found:
            return Address(listen.host, found.getsockname()[1])
    except OSError as error:
        raise _not_to_be_had("--listen", listen, error) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _not_to_be_had(option: str, address: Address, error: OSError) -> StartFailed:
    if error.errno == errno.EADDRINUSE:
        return StartFailed(f"{option} {address}: another program listens there; choose another address")
    return StartFailed(f"{option} {address}: {error.strerror or error}")


async def _await_ready(child: Child, gateway: Gateway, url: str) -> None:
    """Return once the URL answers 200; raises StartFailed where the child ends before that."""
    ended = asyncio.create_task(child.wait())
    deadline = asyncio.get_running_loop().time() + _START_SECONDS
    try:
        while asyncio.get_running_loop().time() < deadline:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                if (await gateway.get(url))[0] == 200:
                    return
            await asyncio.wait({ended}, timeout=0.05)
            if ended.done():
                failed = StartFailed(f"the {child.name} ended with {ended.result()} before it served")
                code = ended.result() or EX_SOFTWARE
                failed.exit_code = EX_UNAVAILABLE if code == EX_OSERR else code
                raise failed
        raise StartFailed(f"the {child.name} does not answer at {url}")
    finally:
        ended.cancel()


async def _last_report(gateway: Gateway) -> tuple[Report, HistoryReport]:
    """The report once the analyzer has looked at all that was captured."""
    deadline = asyncio.get_running_loop().time() + _LAST_ROWS_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        _, body, _ = await gateway.get(gateway.analyzer + "/metrics")
        backlog = [text for text in body.decode().splitlines() if "analyzer_backlog_bytes{" in text]
        if all(float(text.rsplit(" ", 1)[1]) == 0 for text in backlog):
            break
        await asyncio.sleep(0.2)
    _, report, _ = await gateway.report()
    _, history, _ = await gateway.get(gateway.analyzer + "/v1/history")
    decoded = msgspec.json.decode(report, type=Report)
    return decoded, msgspec.json.decode(history, type=HistoryReport)


def say(text: str) -> None:
    """A line for the person who started it; stdout stays free."""
    print(f"driftline: {text}", file=sys.stderr, flush=True)


def _url(address: Address) -> str:
    return f"http://{Address(address.host or '127.0.0.1', address.port)}"


def _free_port() -> int:
    """A port that was free a moment ago; the child says so if somebody else was quicker."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found
