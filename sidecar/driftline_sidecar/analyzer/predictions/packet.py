"""Rows as the body of one request to the hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from driftline.events import Prediction, Predictions

MOST_ROWS: Final = 500
"""In a request: enough to share its cost, few enough that a packet is written in half a millisecond."""


class Packet(NamedTuple):
    """One request's body, `Predictions` as JSON."""

    rows: int
    body: bytes


def pack(namespace: str, monitor: str, boot: int, predictions: Sequence[Prediction]) -> Packet:
    """The rows of one worker as one packet."""
    sent = Predictions(
        namespace=namespace, monitor=monitor, boot=f"{boot:016x}", predictions=tuple(predictions)
    )
    return Packet(len(sent.predictions), msgspec.json.encode(sent))


def halves(packet: Packet) -> tuple[Packet, Packet] | None:
    """The packet as two, for a hub that takes smaller ones; None where it can't be split."""
    try:
        sent = msgspec.json.decode(packet.body, type=Predictions)
    except msgspec.MsgspecError:
        return None
    if len(sent.predictions) < 2:
        return None
    middle = len(sent.predictions) // 2
    first, second = (
        msgspec.structs.replace(sent, predictions=part)
        for part in (sent.predictions[:middle], sent.predictions[middle:])
    )
    return tuple(Packet(len(each.predictions), msgspec.json.encode(each)) for each in (first, second))  # type: ignore[return-value]
