"""What the two programs are told when they start, and what the worker is told about capture.

Parsing collects every problem and fails once with all of them. Nothing here reads the environment
or a file: `main` brings the arguments, `supervisor` the monitor.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from driftline.errors import InvalidSpec, Problem

EX_USAGE: Final = 64
"""sysexits: the command line was wrong."""
EX_SOFTWARE: Final = 70
"""sysexits: an error of our own."""
EX_OSERR: Final = 71
"""sysexits: the system refused, e.g. the address is in use."""
EX_CONFIG: Final = 78
"""sysexits: a configuration file was wrong."""

T = TypeVar("T")

LogFormat = Literal["json", "text"]


class Address(msgspec.Struct, frozen=True):
    """Where to listen or to connect: `127.0.0.1:15080`, `[::1]:15080`, `model:8080`, `:15080`."""

    host: str
    """Empty: every interface."""
    port: int
    """0 (listening only): any free one."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Route(msgspec.Struct, frozen=True):
    """One monitor as the relay needs it: whose the traffic is, and what of it is captured."""

    block: int
    """The monitor's block in the counters, 1 or above."""
    namespace: str
    monitor: str
    model: str
    port: str = ""
    """The port whose requests are meant, by number or name."""
    paths: tuple[str, ...] = ()
    """Exact, or a prefix that ends in `*`; none: every path."""
    id_headers: tuple[str, ...] = ("x-request-id", "ce-id")
    """Request headers that may carry the exchange's id, first match wins; lower case."""
    sample: float = 1.0
    """Share of exchanges to capture, in (0, 1]."""
    max_body_bytes: int = 1 << 20
    """Bytes kept of each body; all of it is relayed."""

    def claim(self, path: str) -> int:
        """How strongly the monitor claims a request for this path (no query); 0: not at all.

        Exact before prefix, longer before shorter prefixes, before no paths at all.
        """
        if not self.paths:
            return 1
        if path in self.paths:
            return 3 + len(path)
        prefixes = [claim for claim in self.paths if claim.endswith("*") and path.startswith(claim[:-1])]
        return max((1 + len(prefix) for prefix in prefixes), default=0)


class CaptureSettings(msgspec.Struct, frozen=True):
    """The monitors in force. Without any, the proxy relays and captures nothing."""

    routes: tuple[Route, ...] = ()
    """The one that claims a path most strongly has it, the first of equals (`driftline.routes`)."""

    def route(self, path: str) -> Route | None:
        """The monitor that a request for this path (no query) belongs to; None: only relayed."""
        best = max(self.routes, key=lambda route: route.claim(path), default=None)
        return best if best is not None and best.claim(path) else None

    def of(self, ports: tuple[str, ...]) -> CaptureSettings:
        """What concerns a relay before that port (its number, its name); (): all."""
        if not ports:
            return self
        return CaptureSettings(tuple(route for route in self.routes if route.port in ports))

    @property
    def connection_block(self) -> int:
        """The counters' block for what belongs to a connection rather than a request."""
        return self.routes[0].block if len(self.routes) == 1 else 0


DEFAULT_LISTEN: Final = Address("", 15080)


class RelaySettings(msgspec.Struct, frozen=True):
    """One port taken over."""

    listen: Address
    """Where clients connect."""
    upstream: Address
    """The model server."""
    ports: tuple[str, ...] = ()
    """The port as monitors may name it: its number, and its name if it has one. (): whatever they name."""


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """`driftline-sidecar proxy`."""

    relays: tuple[RelaySettings, ...]
    """One or more; `--upstream` and `--listen` make one, each `--relay` makes one."""
    health: Address = Address("", 15081)
    """The supervisor's own port: health and request metrics."""
    tee: Path = Path("/run/driftline/tee.sock")
    """The analyzer's socket. It may be absent: what can't be handed over is counted."""
    monitor: Path | None = None
    """The ModelMonitor document(s). Absent or broken: traffic is relayed, nothing is captured."""
    config: Path | None = None
    """Instead: a directory with a folder a monitor, each with its `monitor.yaml`, as a pod mounts it."""
    backlog: int = 4096
    """Connections the kernel holds while no worker accepts; Linux' own default limit."""
    queue_bytes: int = 4 << 20
    """Bytes of exchanges that may wait for the analyzer; beyond that they are dropped and counted.

    A tenth of a second at full speed, seconds at a thousand requests a second. Once used, it is kept. An
    exchange alone may be larger: `capture.maxBodyBytes` of request and response."""
    connect_seconds: float = 5.0
    """How long the model may take to accept a connection before the client gets a 502."""
    drain_seconds: float = 25.0
    """How long SIGTERM waits for requests in flight; below Kubernetes' default grace period of 30 s."""
    hang_seconds: float = 30.0
    """A worker whose loop has not turned for so long is killed and replaced."""
    log_format: LogFormat = "json"


class AnalyzerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`driftline-sidecar analyzer`."""

    monitor: Path | None = None
    """The ModelMonitor document(s)."""
    config: Path | None = None
    """Instead: a directory with a folder a monitor: `monitor.yaml`, `profile`, `ca.crt`."""
    profile: Path | None = None
    """The reference profile; overrides the one that the monitor names."""
    tee: Path = Path("/run/driftline/tee.sock")
    """The socket on which the proxy's worker delivers exchanges."""
    admin: Address = Address("", 15082)
    """Health, metrics, panes, report and configuration in force."""
    token: Path | None = None
    """A file with the token that /v1/* asks for; absent or empty, all is refused. None: none is asked for."""
    fleet: bool = False
    """The operator makes references, of the rows of all pods: they are kept for it."""
    push: str = ""
    """Where the panes go when the pod ends, `https://HOST:PORT`; empty: nowhere."""
    hub: str = ""
    """Where predictions go of monitors that have `labels`, `https://HOST:PORT`; empty: nowhere."""
    hub_token: Path | None = None
    """A file with the token for the hub; None: `token`."""
    hub_ca: Path | None = None
    """The authority of the hub's certificate; None: `ca.crt` of `config`'s folder, else the system's."""
    state: Path | None = None
    """A directory in which a captured reference, the hub's rows and a shadow's pairs survive a restart."""
    shadow: Path | None = None
    """The mirror's configuration; with `config` it lies in each monitor's folder instead."""
    log_format: LogFormat = "json"


Arguments = Mapping[str, str | Sequence[str] | bool | None]
"""What the command line said, by option name without dashes; None where it said nothing."""


def proxy_settings(arguments: Arguments) -> ProxySettings:
    """Build the proxy's settings; raises InvalidSpec with every problem at once."""
    reader = _Reader(arguments)
    values = {
        "relays": _relays(reader),
        "health": reader.read("health", _address),
        "tee": reader.read("tee", _socket_path),
        "monitor": reader.read("monitor", Path),
        "config": reader.read("config", Path),
        "backlog": reader.read("backlog", _whole(1, 65535)),
        "queue_bytes": reader.read("queue-bytes", _whole(64 << 10, 1 << 30)),
        "connect_seconds": reader.read("connect-seconds", _seconds),
        "drain_seconds": reader.read("drain-seconds", _seconds),
        "hang_seconds": reader.read("hang-seconds", _seconds),
        "log_format": reader.read("log-format", _log_format),
    }
    reader.exclude("monitor", "config")
    reader.finish()
    return msgspec.convert(_given(values), ProxySettings)


def _relays(reader: _Reader) -> tuple[RelaySettings, ...]:
    """Those of `--relay`; else the one of `--upstream` and `--listen`."""
    several = reader.each("relay", _relay)
    if several:
        reader.exclude("relay", "upstream")
        reader.exclude("relay", "listen")
        return several
    upstream = reader.read("upstream", _connect_address, required=True)
    listen = reader.read("listen", _address) or DEFAULT_LISTEN
    if not isinstance(upstream, Address) or not isinstance(listen, Address):
        return ()
    return (RelaySettings(listen, upstream),)


def analyzer_settings(arguments: Arguments) -> AnalyzerSettings:
    """Build the analyzer's settings; raises InvalidSpec with every problem at once."""
    reader = _Reader(arguments)
    values = {
        "monitor": reader.read("monitor", Path, required=not reader.has("config")),
        "config": reader.read("config", Path),
        "token": reader.read("token", Path),
        "fleet": reader.has("fleet"),
        "push": reader.read("push", _https),
        "hub": reader.read("hub", parse_hub),
        "hub_token": reader.read("hub-token", Path),
        "hub_ca": reader.read("hub-ca", Path),
        "profile": reader.read("profile", Path),
        "tee": reader.read("tee", _socket_path),
        "admin": reader.read("admin", _address),
        "state": reader.read("state", Path),
        "shadow": reader.read("shadow", Path),
        "log_format": reader.read("log-format", _log_format),
    }
    reader.exclude("monitor", "config")
    reader.exclude("profile", "config")
    reader.exclude("shadow", "config")
    reader.finish()
    return msgspec.convert(_given(values), AnalyzerSettings)


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `http://HOST:PORT`; raises ValueError with what is wrong."""
    return _address(text)


def parse_hub(text: str) -> str:
    """`https://HOST:PORT`; on this machine `http://` too. Raises ValueError with what is wrong."""
    if text.startswith("http://"):
        host = _connect_address(text).host
        if host != "localhost" and not _is_loopback(host):
            raise ValueError("must be https://HOST:PORT where it isn't on this machine: a token goes with it")
        return text.rstrip("/")
    return _https(text)


class _Reader:
    """Reads options one by one and remembers what was wrong with each."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._problems: list[Problem] = []

    def read(self, option: str, parse: Callable[[str], object], *, required: bool = False) -> object:
        text = self._arguments.get(option)
        if not isinstance(text, str):
            if required:
                self._problems.append(Problem(f"--{option}", "must be given"))
            return None
        try:
            return parse(text)
        except ValueError as error:
            self._problems.append(Problem(f"--{option}", f"{error} (got {text!r})"))
            return None

    def each(self, option: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """The values of an option that may be given several times."""
        given = self._arguments.get(option)
        found: list[T] = []
        for text in given if isinstance(given, Sequence) and not isinstance(given, str) else ():
            try:
                found.append(parse(text))
            except ValueError as error:
                self._problems.append(Problem(f"--{option}", f"{error} (got {text!r})"))
        return tuple(found)

    def has(self, option: str) -> bool:
        return bool(self._arguments.get(option))

    def exclude(self, one: str, other: str) -> None:
        """Only one of two may be given."""
        if self.has(one) and self.has(other):
            self._problems.append(Problem(f"--{other}", f"can't be given together with --{one}"))

    def finish(self) -> None:
        if self._problems:
            raise InvalidSpec(self._problems)


def _given(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _address(text: str) -> Address:
    text = text.removeprefix("http://").rstrip("/")
    host, colon, port_text = text.rpartition(":")
    if "/" in text:
        raise ValueError("must be HOST:PORT without a path: requests keep the path they came with")
    if not colon or not port_text.isascii() or not port_text.isdigit():
        raise ValueError("must be HOST:PORT")
    port = int(port_text)
    if port > 65535:
        raise ValueError("the port must be 65535 or below")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host or "/" in host:
        raise ValueError("must be HOST:PORT, and an IPv6 host needs brackets")
    return Address(host, port)


def _connect_address(text: str) -> Address:
    if text.startswith("https://"):
        raise ValueError("must be plain HTTP: TLS ends before the sidecar")
    address = _address(text)
    if address.port == 0:
        raise ValueError("the port must be 1 or above")
    return Address(address.host or "127.0.0.1", address.port)


def _relay(text: str) -> RelaySettings:
    """`:15080=127.0.0.1:8080,port=8080/http`."""
    addresses, comma, port = text.partition(",port=")
    listen, equals, upstream = addresses.partition("=")
    if not equals or not comma:
        raise ValueError("must be LISTEN=HOST:PORT,port=NUMBER or …,port=NUMBER/NAME")
    number, slash, name = port.partition("/")
    if not number.isascii() or not number.isdigit() or (slash and not name):
        raise ValueError("port must be NUMBER or NUMBER/NAME")
    ports = (number, name) if name else (number,)
    return RelaySettings(_address(listen), _connect_address(upstream), ports)


def _https(text: str) -> str:
    if not text.startswith("https://"):
        raise ValueError("must be https://HOST:PORT: a token goes with it")
    _address(text.removeprefix("https://"))
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _socket_path(text: str) -> Path:
    limit = 107  # sun_path of Linux holds 108 bytes, one of them the closing zero
    if len(text.encode()) > limit:
        raise ValueError(f"a Unix socket's path must be {limit} bytes or shorter")
    return Path(text)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 3600:
        raise ValueError("must be a number of seconds above 0, at most 3600")
    return value


def _log_format(text: str) -> str:
    if text not in ("json", "text"):
        raise ValueError("must be json or text")
    return text
