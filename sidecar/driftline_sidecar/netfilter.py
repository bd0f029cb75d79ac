"""Installs the rules of `redirect` in the network of this pod, once, and ends."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from driftline_sidecar import logs
from driftline_sidecar.redirect import Family, RedirectSettings, has_global_address, ruleset
from driftline_sidecar.settings import EX_OSERR

_ADDRESSES: Final = Path("/proc/net/if_inet6")
"""Absent where the kernel has no IPv6."""
_SECONDS: Final = 20.0


def serve(settings: RedirectSettings) -> int:
    """The exit status: 0 where every address family that clients may use is redirected.

    Raises OSError where there is no `nft`.
    """
    refused = _install("ip", settings)
    if refused:
        return _failed("ip", refused)
    refused = "the kernel has no IPv6"
    if _ADDRESSES.exists():
        refused = _install("ip6", settings)
        if refused and has_global_address(_ADDRESSES.read_text()):
            return _failed("ip6", refused)
    said = ", ".join(f"{each.arrives} to {each.goes}" for each in settings.ports)
    families = f"IPv4 only ({refused})" if refused else "IPv4 and IPv6"
    logs.event(logging.INFO, "redirected", f"what arrives for port {said}: {families}")
    return 0


def _install(family: Family, settings: RedirectSettings) -> str:
    """Why the kernel took none of the family's rules; empty: it has them all."""
    program = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise FileNotFoundError("nft is not in the image: it comes with Debian's package nftables")
    rules = ruleset(family, settings.ports)
    try:
        ended = subprocess.run(
            [program, "-f", "-"], input=rules, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"nft didn't end within {_SECONDS:.0f} s"
    return "" if ended.returncode == 0 else ended.stderr.strip() or f"nft ended with {ended.returncode}"


def _failed(family: Family, refused: str) -> int:
    logs.event(logging.CRITICAL, "not_redirected", f"{family}: {refused}")
    return EX_OSERR
