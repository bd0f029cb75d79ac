"""A hub's store in tests: databases, monitors, and the ways in."""

from __future__ import annotations

from typing import Any

from driftline.events import Feedback, Kpi, Label, Prediction
from driftline_operator.hub import intake, registry
from driftline_operator.hub.database import Database
from driftline_operator.hub.registry import Known
from driftline_operator.hub.strata import Numbers

NOW = 1_750_000_000.0


def document(name: str = "census", kind: str = "classification", **spec: Any) -> dict[str, Any]:
    """A monitor that keeps predictions, as YAML would say it."""
    prediction = {"name": "outcome", "score": "score", "positive": "yes"}
    return {
        "apiVersion": "driftline.io/v1alpha1",
        "kind": "ModelMonitor",
        "metadata": {"name": name, "namespace": "ml"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "endpoint": {"port": 8080},
            "model": {"name": name, "type": kind},
            "schema": {
                "features": [
                    {"name": "age", "type": "numeric"},
                    {"name": "sex", "type": "categorical"},
                    {"name": "origin", "type": "categorical"},
                ],
                "prediction": prediction if kind == "classification" else {"name": "outcome"},
                "segments": ["sex", "origin"],
            },
            "labels": {"features": ["age"]},
            "kpis": [{"name": "revenue"}],
            **spec,
        },
    }


class Store:
    """One monitor in a database, with the ways in that `api` has."""

    def __init__(self, database: Database, name: str = "census", kind: str = "classification") -> None:
        self.database = database
        self.numbers = Numbers(database)
        told = registry.check("ml", name, document(name, kind), None, None)
        with database.writing() as connection:
            registry.put(connection, told, NOW)
            self.known: Known = registry.read(connection).find("ml", name)

    @property
    def monitor(self) -> int:
        return self.known.id

    def predict(self, *predictions: Prediction, boot: str = "boot") -> int:
        source = self.numbers.source(self.monitor, boot)
        rows = intake.prediction_rows(self.known, source, predictions, self.numbers)
        with self.database.writing() as connection:
            return intake.add_predictions(connection, self.monitor, rows)

    def label(self, *labels: Label, now: float = NOW) -> int:
        rows = intake.label_rows(self.known, labels, now)
        with self.database.writing() as connection:
            return intake.add_labels(connection, self.monitor, rows)

    def judge(self, *feedback: Feedback, now: float = NOW) -> int:
        rows = intake.feedback_rows(feedback, now)
        with self.database.writing() as connection:
            return intake.add_feedback(connection, self.monitor, rows)

    def count(self, *kpis: Kpi, now: float = NOW) -> int:
        rows = intake.kpi_rows(self.known, kpis, now)
        with self.database.writing() as connection:
            return intake.add_kpis(connection, self.monitor, rows)
