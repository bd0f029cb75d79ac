"""One request's errand: a copy to the candidate, or two to both sides, and what is read of the answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import NamedTuple

from driftline.shadow.account import Drop, Failure
from driftline.shadow.runtime import MirrorConfig

from driftline_sidecar.analyzer.mirror.admission import goes_twice
from driftline_sidecar.analyzer.mirror.labelled import CandidateRows
from driftline_sidecar.analyzer.mirror.marker import Seal, Side
from driftline_sidecar.analyzer.mirror.reading import Outcome, PairReader
from driftline_sidecar.analyzer.mirror.requests import Copy, copy_of
from driftline_sidecar.analyzer.mirror.sending import Answer, Missed, Reply, Sender
from driftline_sidecar.analyzer.predictions.rows import Rows
from driftline_sidecar.courtesy import give_way
from driftline_sidecar.exchange import Exchange
from driftline_sidecar.redact import REDACTED, Redactor

_REDACTED = REDACTED.encode()

Round = tuple[Reply, Reply]
"""Of the live model and of the candidate."""


class Setting(NamedTuple):
    """What may change while a life goes on. `reader` None: features aren't known yet, or the monitor reads
    otherwise than the comparison began with; `key`: the marker's."""

    config: MirrorConfig
    reader: PairReader | None
    redactor: Redactor
    max_body_bytes: int
    key: bytes
    rows: CandidateRows | None = None
    """Makes rows of the hub of the candidate's answers; None: they aren't asked for."""


class Errand(NamedTuple):
    """How one ended. `reply`: the candidate's, the first where there are two; `rows`: for the hub."""

    reply: Reply
    outcome: Outcome
    rows: Rows | None = None


async def run(setting: Setting, sender: Sender, exchange: Exchange) -> Errand | Drop:
    """Send and read; why not, where nothing may be sent."""
    if setting.reader is None:
        return Drop.STARTING
    copy = _copy(setting, exchange)
    if copy is None:
        return Drop.UNREDACTABLE
    rounds: list[Round] = []
    if setting.config.live and goes_twice(setting.config, exchange):
        rounds = [await _round(setting, sender, copy) for _ in range(2)]
        reply = rounds[0][1]
    else:
        reply = await _asked(setting, sender, "candidate", copy)
    give_way()
    outcome = _read(setting.reader, setting.config, exchange, reply, rounds)
    if outcome.failure is Failure.ERROR_RESPONSE and _is_withheld(exchange, copy, reply):
        outcome = replace(outcome, candidate_failed=None, failure=Failure.WITHHELD)
    if setting.rows is None or outcome.pair is None or not isinstance(reply, Answer):
        return Errand(reply, outcome)
    return Errand(reply, outcome, setting.rows.read(exchange, reply, time.time()))


async def _round(setting: Setting, sender: Sender, copy: Copy) -> Round:
    return await asyncio.gather(
        _asked(setting, sender, "live", copy), _asked(setting, sender, "candidate", copy)
    )


async def _asked(setting: Setting, sender: Sender, side: Side, copy: Copy) -> Reply:
    config = setting.config
    origin = config.live if side == "live" else config.url
    seal = Seal(setting.key, config.shadow.uid, side)
    return await sender.send(origin, copy, seal, float(config.traffic.timeout))


def _read(
    reader: PairReader, config: MirrorConfig, exchange: Exchange, reply: Reply, rounds: list[Round]
) -> Outcome:
    """Both latencies are the first round's: the second finds what the first has warmed."""
    outcome = reader.outcome(exchange, reply)
    if rounds:
        live, candidate = map(_seconds, rounds[0])
        repeat = reader.repeat(exchange, rounds)
        return replace(outcome, live_seconds=live, candidate_seconds=candidate, repeat=repeat)
    return outcome if config.aa.share else replace(outcome, candidate_seconds=_seconds(reply))


def _is_withheld(exchange: Exchange, copy: Copy, reply: Reply) -> bool:
    """Was it refused for what was hidden in it: headers, or values? Then the candidate is not to blame."""
    if not isinstance(reply, Answer):
        return False
    sent = {name.lower() for name, _ in copy.headers}
    hidden = {name.lower() for name, _ in copy_of(exchange).headers} - sent
    if hidden - {"content-encoding"} and reply.status in (401, 403):
        return True
    values = _REDACTED in copy.body and _REDACTED not in exchange.request_body
    return values and 400 <= reply.status < 500


def _copy(setting: Setting, exchange: Exchange) -> Copy | None:
    """None: something must be hidden in a body, and can't be found there."""
    if setting.config.traffic.allow_sensitive:
        return copy_of(exchange)
    redacted = setting.redactor(exchange)
    if exchange.request_body and not redacted.request_body:
        return None
    return copy_of(redacted)


def _seconds(reply: Reply) -> float | None:
    """How long an answer took; of one that never came, how long it was waited for."""
    if isinstance(reply, Missed):
        return reply.seconds if reply.failure is Failure.TIMEOUT else None
    return reply.seconds if reply.fine else None
