"""The API as a table: what the router serves and the document describes, from one source."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from aiohttp import web
from driftline.events import Accepted, Feedback, Kpi, Label, Prediction, Predictions
from driftline.performance.report import HubReport
from driftline.shadow.performance import Labelled

from driftline_operator.hub import admin_api, bodies, intake_api, label_files, reading_api
from driftline_operator.hub.answers import Cells, Changed, Erased, MonitorIs, Monitors, MonitorTold
from driftline_operator.hub.hub import Hub
from driftline_operator.hub.panes import Panes
from driftline_operator.hub.reading import FoundId
from driftline_operator.hub.requests import LAST
from driftline_operator.hub.tokens import Grant, Scope

Handler = Callable[[Hub, web.Request, Grant], Awaitable[object]]


class Parameter(NamedTuple):
    """Of a query."""

    name: str
    schema: dict[str, Any]
    text: str
    required: bool = False


class Route(NamedTuple):
    """One thing that can be asked."""

    method: str
    path: str
    scope: Scope
    handler: Handler
    answer: type
    query: tuple[Parameter, ...] = ()
    body: type | None = None
    """JSON: this."""
    events: type | None = None
    """JSON: one of these or a list of them; NDJSON: one a line."""
    files: bool = False
    """CSV and Parquet too."""


def _text(most: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": most}


def _number(least: float = 0, **more: Any) -> dict[str, Any]:
    return {"type": "number", "minimum": least, "maximum": LAST, **more}


_MONITOR: Final = (
    Parameter("namespace", _text(253), "The monitor's namespace.", required=True),
    Parameter("monitor", _text(253), "The monitor's name.", required=True),
)
_SENDER: Final = (
    *(each._replace(required=False, text=f"{each.text} With `boot`.") for each in _MONITOR),
    Parameter("boot", _text(64), "The sender's; with it the body is predictions without an envelope."),
)
_FILE: Final = (
    Parameter("id-column", _text(512), "Of a CSV or Parquet file: the column of ids."),
    Parameter("label-column", _text(512), "Of a file: the column of labels."),
    Parameter("time-column", _text(512), "Of a file: when each label became known (default: now)."),
)
_TIMES: Final = (
    Parameter(
        "start", _number(), "Unix seconds of prediction time (default: `end` less the monitor's window)."
    ),
    Parameter("end", _number(), "Unix seconds (default: now)."),
)
_SPAN: Final = (
    *_MONITOR,
    *_TIMES,
    Parameter("age", _number(), "Labels known at this age in seconds (default: the newest there are)."),
    Parameter("segment", _text(128), "By the values of this segment."),
    Parameter("step", _number(), "By slices of so many seconds."),
)
_SHADOW: Final = (
    Parameter("shadow", _text(64), "The ShadowDeployment's UID.", required=True),
    Parameter("generation", _number(), "Of its spec."),
    Parameter("clip", _number(exclusiveMinimum=0), "Of a regression: the largest difference that counts."),
    Parameter(
        "before",
        _number(),
        "Only of predictions made before these unix seconds; always only of those that have the age.",
    ),
)
_ESTIMATE: Final = Parameter(
    "estimate", {"type": "boolean"}, "Estimates before labels too, of at most 50 groups (default: none)."
)
_PANES: Final = (
    Parameter(
        "profile",
        {"type": "string", "pattern": "^[0-9a-zA-Z]{1,64}$"},
        "The reference's hash.",
        required=True,
    ),
    Parameter("start", _number(), "Unix seconds (default: the first)."),
    Parameter("end", _number(), "Unix seconds (default: the last)."),
    Parameter("seconds", _number(), "Only panes of that length (default: of any)."),
)
_ONE_MONITOR: Final = "/v1/monitors/{namespace}/{monitor}"
_ITS_PANES: Final = "/v1/panes/{namespace}/{monitor}"

ROUTES: Final = (
    Route(
        "POST", "/v1/predictions", "intake", intake_api.predictions, Accepted,
        query=_SENDER, body=Predictions, events=Prediction,
    ),
    Route(
        "POST", "/v1/labels", "label", intake_api.labels, Accepted,
        query=(*_MONITOR, *_FILE), events=Label, files=True,
    ),
    Route("POST", "/v1/feedback", "label", intake_api.feedback, Accepted, _MONITOR, events=Feedback),
    Route("POST", "/v1/kpis", "label", intake_api.kpis, Accepted, _MONITOR, events=Kpi),
    Route("GET", "/v1/predictions/{id}", "read", reading_api.prediction, FoundId, _MONITOR),
    Route("GET", "/v1/metrics", "read", reading_api.metrics, Cells, (*_SPAN, _ESTIMATE)),
    Route("GET", "/v1/windows", "read", reading_api.windows, Cells, _SPAN),
    Route("GET", "/v1/report", "read", reading_api.report, HubReport, _MONITOR),
    Route("GET", "/v1/shadow", "read", reading_api.shadow, Labelled, (*_MONITOR, *_SHADOW)),
    Route("DELETE", "/v1/ids/{id}", "admin", reading_api.erase, Erased, _MONITOR),
    Route("GET", "/v1/monitors", "read", admin_api.list_monitors, Monitors),
    Route("PUT", _ONE_MONITOR, "admin", admin_api.put_monitor, Changed, body=MonitorTold),
    Route("GET", _ONE_MONITOR, "read", admin_api.get_monitor, MonitorIs),
    Route("DELETE", _ONE_MONITOR, "admin", admin_api.delete_monitor, Changed),
    Route("POST", _ITS_PANES, "admin", admin_api.post_panes, Accepted, body=Panes),
    Route("GET", _ITS_PANES, "admin", admin_api.get_panes, Panes, _PANES),
)  # fmt: skip
"""`bodies` says which content types there are."""

JSON, NDJSON, CSV, PARQUET = bodies.JSON, bodies.NDJSON[0], label_files.CSV, label_files.PARQUET
