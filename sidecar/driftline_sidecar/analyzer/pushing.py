"""The last panes of a pod that ends: sent to the operator, which keeps the windows when pods go.

Nothing waits for it: a few seconds, some tries, then it is said what was not delivered. The operator knows
a pane by the pod, the boot and its time, so that one sent twice counts once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp

from driftline_sidecar.admin import PAIRS_CONTENT_TYPE, PANES_CONTENT_TYPE, PanesPage
from driftline_sidecar.logs import event

CA_FILE: Final = "ca.crt"
DEADLINE_SECONDS: Final = 5.0
_TRY_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.3


class Outcome(StrEnum):
    """What became of a push: values of a label."""

    DELIVERED = "delivered"
    NOTHING = "nothing"
    """There were no panes that the operator doesn't have."""
    NO_TOKEN = "no_token"  # noqa: S105 - a label's value
    NO_CA = "no_ca"
    """Without the operator's authority its certificate can't be checked."""
    REFUSED = "refused"
    """The operator won't have them: another token, an unknown monitor."""
    UNREACHABLE = "unreachable"


class Kind(NamedTuple):
    """What is pushed: its name and path, and what it is."""

    name: str
    content_type: str


PANES: Final = Kind("panes", PANES_CONTENT_TYPE)
PAIRS: Final = Kind("pairs", PAIRS_CONTENT_TYPE)


class Pod(NamedTuple):
    """Who pushes."""

    name: str
    uid: str


def pod_of_environment() -> Pod:
    """As the injected container is told."""
    return Pod(os.environ.get("DRIFTLINE_POD_NAME", ""), os.environ.get("DRIFTLINE_POD_UID", ""))


async def push(
    url: str,
    monitor: str,
    pod: Pod,
    page: PanesPage,
    token: str,
    ca: Path,
    deadline: float = DEADLINE_SECONDS,
    kind: Kind = PANES,
) -> Outcome:
    """Send a monitor's panes, or its shadow's pairs. Never raises for what network or operator do."""
    if not page.body:
        return Outcome.NOTHING
    if not token:
        return Outcome.NO_TOKEN
    try:
        context = ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError):
        return Outcome.NO_CA
    query = {"monitor": monitor, "pod": pod.name, "uid": pod.uid, "cursor": page.cursor}
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": kind.content_type,
        "X-Driftline-Began": repr(page.began),
    }
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(deadline):
            while True:
                status = await _try(f"{url}/v1/{kind.name}", query, headers, page.body, context)
                if status < 300:
                    return Outcome.DELIVERED
                if 400 <= status < 500:
                    event(
                        logging.ERROR,
                        f"{kind.name}_refused",
                        f"the operator answers {status}",
                        monitor=monitor,
                    )
                    return Outcome.REFUSED
                await asyncio.sleep(_PAUSE_SECONDS)
    return Outcome.UNREACHABLE


async def _try(
    url: str, query: dict[str, str], headers: dict[str, str], body: bytes, context: ssl.SSLContext
) -> int:
    """The answer's status, 599 where there was none. A connection of its own: another replica may answer."""
    limits = aiohttp.ClientTimeout(total=_TRY_SECONDS)
    connector = aiohttp.TCPConnector(force_close=True)
    try:
        async with (
            aiohttp.ClientSession(timeout=limits, connector=connector) as session,
            session.post(url, params=query, headers=headers, data=body, ssl=context) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return 599
