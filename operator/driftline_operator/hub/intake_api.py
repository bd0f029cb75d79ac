"""`POST` of predictions, labels, feedback, KPI events: answered once they are in the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from aiohttp import web
from driftline.events import Accepted, Feedback, Kpi, Label, Prediction, Predictions
from sqlalchemy.engine import Connection

from driftline_operator.hub import bodies, intake, label_files
from driftline_operator.hub.database import Row
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.refusal import Refusal
from driftline_operator.hub.registry import Known
from driftline_operator.hub.requests import monitor_of, read_body
from driftline_operator.hub.tokens import Grant

_E = TypeVar("_E")
Add = Callable[[Connection, int, Sequence[Row]], int]


async def predictions(hub: Hub, request: web.Request, grant: Grant) -> Accepted:
    """One sender's envelope, or with namespace, monitor and boot in the query: one, a list, NDJSON."""
    body = await read_body(hub, request, hub.limits.body)
    if "boot" in request.query:
        known = await monitor_of(hub, request, grant, "intake")
        sent: Sequence[Prediction] = await _events(hub, body, request, Prediction, "predictions")
        boot = _boot(request.query["boot"])
    else:
        if request.content_type != bodies.JSON:
            raise Refusal(415, "must be application/json", field="Content-Type", value=request.content_type)
        envelope = await hub.decode(lambda: bodies.one(body, Predictions))
        grant.check("intake", envelope.namespace)
        known = await hub.known(envelope.namespace, envelope.monitor)
        sent, boot = envelope.predictions, envelope.boot
    hub.pay(grant, len(sent))

    def work() -> int:
        source = hub.numbers.source(known.id, boot)
        rows = intake.prediction_rows(known, source, sent, hub.numbers)
        return hub.write(lambda connection: intake.add_predictions(connection, known.id, rows))

    return Accepted(accepted=len(sent), new=await hub.take(work) if sent else 0)


def _boot(text: str) -> str:
    if not 1 <= len(text) <= 64 or "\0" in text:
        raise Refusal(400, "must have 1 to 64 characters", field="boot", value=text)
    return text


async def labels(hub: Hub, request: web.Request, grant: Grant) -> Accepted:
    """JSON, NDJSON, or a file as CSV or Parquet with its columns named in the query."""
    known = await monitor_of(hub, request, grant, "label")
    if request.content_type not in label_files.TYPES:
        body = await read_body(hub, request, hub.limits.body)
        sent = await _events(hub, body, request, Label, "labels")
        return await _take(
            hub, grant, known, len(sent), partial(intake.label_rows, known, sent), intake.add_labels
        )
    body = await read_body(hub, request, hub.limits.upload)
    columns = label_files.columns_of(request.query)
    sent = await hub.decode(lambda: label_files.read(body, request.content_type, columns, hub.limits))
    return await _take(
        hub, grant, known, len(sent), partial(intake.label_rows, known, sent), intake.add_labels
    )


async def feedback(hub: Hub, request: web.Request, grant: Grant) -> Accepted:
    """Thumbs, scores, comments."""
    known = await monitor_of(hub, request, grant, "label")
    body = await read_body(hub, request, hub.limits.body)
    sent = await _events(hub, body, request, Feedback, "feedback")
    return await _take(hub, grant, known, len(sent), partial(intake.feedback_rows, sent), intake.add_feedback)


async def kpis(hub: Hub, request: web.Request, grant: Grant) -> Accepted:
    """Business figures, of the names in `spec.kpis`."""
    known = await monitor_of(hub, request, grant, "label")
    body = await read_body(hub, request, hub.limits.body)
    sent = await _events(hub, body, request, Kpi, "kpis")
    return await _take(hub, grant, known, len(sent), partial(intake.kpi_rows, known, sent), intake.add_kpis)


async def _events(hub: Hub, body: bytes, request: web.Request, kind: type[_E], name: str) -> list[_E]:
    return await hub.decode(lambda: bodies.several(body, request.content_type, kind, name))


async def _take(
    hub: Hub, grant: Grant, known: Known, events: int, rows_of: Callable[[float], Sequence[Row]], add: Add
) -> Accepted:
    hub.pay(grant, events)
    now = hub.clock()

    def work() -> int:
        rows = rows_of(now)
        return hub.write(lambda connection: add(connection, known.id, rows))

    return Accepted(accepted=events, new=await hub.take(work) if events else 0)
