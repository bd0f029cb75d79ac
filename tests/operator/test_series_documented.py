"""docs/operator-metrics.md names every series of controller and injector with its labels, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from driftline_operator.controller.series import Series as ControllerSeries
from driftline_operator.fleet import metrics
from driftline_operator.injector import program
from driftline_operator.injector.server import Series as InjectorSeries
from prometheus_client import CollectorRegistry

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operator-metrics.md").read_text()
ROW = re.compile(r"^\| `(modelmonitor_\w+)` \| \w+ \| ([^|]*)\|", re.MULTILINE)
DOCUMENTED = {name: set(re.findall("`([^`]+)`", labels)) for name, labels in ROW.findall(DOCUMENT)}
ASIDE = set(re.findall(r'"(modelmonitor_injector_\w+)"', Path(program.__file__).read_text()))


def registered() -> dict[str, set[str]]:
    """By name as it is exposed, with its labels: what the programs put into their registries."""
    registry = CollectorRegistry()
    ControllerSeries(registry)
    InjectorSeries(registry)
    found = {}
    for name, collector in registry._names_to_collectors.items():
        whole = name if not name.endswith(("_created", "_bucket", "_sum", "_count")) else ""
        kind, labels = collector._type, set(collector._labelnames)  # type: ignore[attr-defined]
        if whole and (kind != "counter" or whole.endswith("_total")):
            found[whole] = labels
    return found


def test_of_the_programs() -> None:
    others = {name: labels for name, labels in DOCUMENTED.items() if "_fleet_" not in name}
    assert others == registered() | {name: set() for name in ASIDE}


def test_of_the_fleet() -> None:
    assert metrics.__doc__ is not None
    rows = re.findall(r"^ +(modelmonitor_\w+) +\w+ +(.+)$", metrics.__doc__, re.MULTILINE)
    exposed = {
        name: set(labels.split(", ")) - {"namespace", "monitor", "model", "-"} for name, labels in rows
    }
    assert {name: labels for name, labels in DOCUMENTED.items() if "_fleet_" in name} == exposed
