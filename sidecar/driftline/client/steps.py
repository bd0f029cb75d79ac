"""A conversation with the hub as steps: requests and pauses out, replies in. Without I/O and clock.

`Hub` and `AsyncHub` do the steps, each in its way, and so behave alike.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from driftline.backoff import pause_after
from driftline.client.errors import HubError, Refused, Unreachable
from driftline.client.events import Target
from driftline.events import Accepted

BATCH: Final = 1000
"""Events in a request: enough to share its cost; a few dozen kilobytes."""
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
T = TypeVar("T")


class Request(NamedTuple):
    """What is asked; `path` with its query."""

    method: str
    path: str
    body: bytes = b""


class Reply(NamedTuple):
    """What is answered. Status 0: nothing, and `body` says why."""

    status: int
    body: bytes
    pause: float = 0.0
    """What Retry-After says, in seconds."""


class Pause(NamedTuple):
    """Wait before the next request."""

    seconds: float


Steps = Generator[Request | Pause, Reply | None, T]


def ask(request: Request, patience: float) -> Steps[bytes]:
    """The body of a good answer. Raises HubError.

    `patience`: seconds for which what may succeed later is tried again, pauses and nothing else counted.
    """
    failures, waited = 0, 0.0
    while True:
        reply = yield request
        assert reply is not None  # noqa: S101 - a request is answered with a reply
        if 200 <= reply.status < 300:
            return reply.body
        failures += 1
        pause = pause_after(failures, reply.pause)
        if (reply.status and reply.status not in _LATER) or waited + pause > patience:
            raise _error(reply)
        waited += pause
        yield Pause(pause)


def send(
    path: str, target: Target, events: Iterable[msgspec.Struct], patience: float, batch: int = BATCH
) -> Steps[Accepted]:
    """Send events in batches, all that there are; how many were taken. Raises HubError."""
    accepted = new = 0
    waiting = iter(events)
    while part := list(islice(waiting, batch)):
        found = yield from _send_part(_place(path, target), part, patience, accepted)
        accepted, new = accepted + found.accepted, new + found.new
    return Accepted(accepted=accepted, new=new)


def _send_part(path: str, events: Sequence[msgspec.Struct], patience: float, before: int) -> Steps[Accepted]:
    """One request, or two halves of it where the hub finds it too large."""
    body = msgspec.json.encode(events)
    try:
        answer = yield from ask(Request("POST", path, body), patience)
    except HubError as error:
        if error.status == 413 and len(events) > 1:
            middle = len(events) // 2
            first = yield from _send_part(path, events[:middle], patience, before)
            second = yield from _send_part(path, events[middle:], patience, before + middle)
            return Accepted(accepted=first.accepted + second.accepted, new=first.new + second.new)
        error.first = error.taken = before
        raise
    return _decoded(answer)


def get(path: str, target: Target, patience: float, **query: str) -> Steps[dict[str, object]]:
    """A JSON object. Raises HubError."""
    answer = yield from ask(Request("GET", _place(path, target, **query)), patience)
    try:
        return msgspec.json.decode(answer, type=dict[str, object])
    except msgspec.MsgspecError:
        raise Unreachable(f"{path} is answered, but not by a hub", status=200) from None


def path_of(*parts: str) -> str:
    """`/v1/predictions/ID`, whatever characters the parts have."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _place(path: str, target: Target, **query: str) -> str:
    return f"{path}?{urlencode({'namespace': target.namespace, 'monitor': target.monitor, **query})}"


def _decoded(answer: bytes) -> Accepted:
    try:
        return msgspec.json.decode(answer, type=Accepted)
    except msgspec.MsgspecError:
        raise Unreachable("something answers there, but it isn't a hub", status=200) from None


class _Said(msgspec.Struct):
    """A hub's refusal."""

    error: str = ""
    field: str = ""
    value: object = None


def _error(reply: Reply) -> HubError:
    if not reply.status:
        return Unreachable(f"the hub can't be reached: {reply.body.decode(errors='replace')}")
    try:
        said = msgspec.json.decode(reply.body, type=_Said)
    except msgspec.MsgspecError:
        said = _Said()
    where = f"{said.field}: " if said.field else ""
    shown = f" (got {said.value!r})" if said.value is not None else ""
    text = f"the hub answers {reply.status}: {where}{said.error or 'without a reason'}{shown}"
    kind = Unreachable if reply.status in _LATER else Refused
    return kind(text, status=reply.status, error=said.error, field=said.field, value=said.value)
