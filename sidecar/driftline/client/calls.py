"""What can be asked of a hub, as steps: shared by `Hub` and `AsyncHub`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from driftline.client import steps
from driftline.client.errors import Refused
from driftline.client.events import Id, Target, Time, id_of, label_of, seconds_of
from driftline.events import Accepted, Feedback, Kpi, Label

PATIENCE = 60.0
TIMEOUT = 30.0


class Calls:
    """Addresses, and the steps of each call."""

    def __init__(self, url: str, namespace: str, monitor: str, patience: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise Refused(f"{url}: must be the hub's URL, such as https://hub:8090", field="url", value=url)
        self.url = url.rstrip("/")
        self.target = Target(namespace, monitor)
        self.patience = patience

    def labels(self, given: Iterable[Label | tuple[Any, ...]]) -> steps.Steps[Accepted]:
        """POST /v1/labels."""
        return steps.send("/v1/labels", self.target, map(label_of, given), self.patience)

    def feedback(self, given: Iterable[Feedback]) -> steps.Steps[Accepted]:
        """POST /v1/feedback."""
        return steps.send("/v1/feedback", self.target, given, self.patience)

    def kpis(self, given: Iterable[Kpi]) -> steps.Steps[Accepted]:
        """POST /v1/kpis."""
        return steps.send("/v1/kpis", self.target, given, self.patience)

    def report(self) -> steps.Steps[dict[str, object]]:
        """GET /v1/report."""
        return steps.get("/v1/report", self.target, self.patience)

    def metrics(
        self,
        start: Time | None,
        end: Time | None,
        age: float | None,
        segment: str | None,
        step: float | None,
        estimate: bool,
    ) -> steps.Steps[dict[str, object]]:
        """GET /v1/metrics."""
        given = {
            "start": seconds_of(start),
            "end": seconds_of(end),
            "age": age,
            "segment": segment,
            "step": step,
            "estimate": "true" if estimate else None,
        }
        query = {name: str(value) for name, value in given.items() if value is not None}
        return steps.get("/v1/metrics", self.target, self.patience, **query)

    def prediction(self, identity: Id) -> steps.Steps[dict[str, object]]:
        """GET /v1/predictions/ID."""
        path = steps.path_of("v1", "predictions", id_of(identity))
        return steps.get(path, self.target, self.patience)
