"""What `driftline-sidecar redirect` is told, and the rules that come of it. Pure; `netfilter` installs them.

The rules see what arrives at the pod from outside, and nothing else: what the pod sends, and what its
containers say to each other over loopback or the pod's own address, goes on as it was. So the proxy reaches
the app at 127.0.0.1, and the app its database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec
from driftline.errors import InvalidSpec, Problem

from driftline_sidecar.settings import Arguments, LogFormat

Family = Literal["ip", "ip6"]
"""One table each rather than one for both: a kernel without IPv6 knows no table of family `inet`."""

TABLE: Final = "driftline"
PRIORITY: Final = -90
"""Behind every other translation (`dstnat` is -100): a mesh that redirects the port keeps it."""

_FORM: Final = "must be FROM:TO, two different ports from 1 to 65535"


class Redirection(msgspec.Struct, frozen=True):
    """What arrives for one port goes to another of the same pod."""

    arrives: int
    goes: int


class RedirectSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`driftline-sidecar redirect`."""

    ports: tuple[Redirection, ...]
    log_format: LogFormat = "json"


def redirect_settings(arguments: Arguments) -> RedirectSettings:
    """Build the settings; raises InvalidSpec with every problem at once."""
    problems: list[Problem] = []
    given = arguments.get("port")
    texts = given if isinstance(given, Sequence) and not isinstance(given, str) else ()
    ports = tuple(_read(texts, problems))
    if not texts:
        problems.append(Problem("--port", "must be given"))
    if len({each.arrives for each in ports}) < len(ports):
        problems.append(Problem("--port", "must not send one port to two"))
    log_format = arguments.get("log-format") or "json"
    if log_format not in ("json", "text"):
        problems.append(Problem("--log-format", "must be json or text"))
    if problems:
        raise InvalidSpec(problems)
    return RedirectSettings(ports=ports, log_format="text" if log_format == "text" else "json")


def _read(texts: Sequence[str], problems: list[Problem]) -> Iterator[Redirection]:
    for text in texts:
        arrives, _, goes = text.partition(":")
        numbers = [int(each) for each in (arrives, goes) if each.isascii() and each.isdigit()]
        if len(set(numbers)) == 2 and all(0 < each < 1 << 16 for each in numbers):
            yield Redirection(*numbers)
        else:
            problems.append(Problem("--port", f"{_FORM} (got {text!r})"))


def ruleset(family: Family, ports: Sequence[Redirection]) -> str:
    """What `nft -f` is given: one transaction, which leaves these rules whatever was there before.

    `add` makes sure that there is a table to delete.
    """
    rules = [f"        tcp dport {each.arrives} redirect to :{each.goes}" for each in ports]
    lines = [
        f"add table {family} {TABLE}",
        f"delete table {family} {TABLE}",
        f"table {family} {TABLE} {{",
        "    chain inbound {",
        f"        type nat hook prerouting priority {PRIORITY}; policy accept;",
        '        iifname "lo" accept',
        *rules,
        "    }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def has_global_address(if_inet6: str) -> bool:
    """Can clients reach the pod by IPv6? The fourth field of /proc/net/if_inet6 is the scope (0: global)."""
    return any(fields[3] == "00" for line in if_inet6.splitlines() if len(fields := line.split()) > 3)
