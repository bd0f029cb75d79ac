"""Hundreds of monitors: a change of one costs one decoding."""

from __future__ import annotations

from typing import Any

import pytest
from driftline.decoding import build_monitor
from driftline_operator.injector import monitors as module
from driftline_operator.injector.monitors import Monitors

Json = dict[str, Any]


def body(number: int, app: str = "census") -> Json:
    return {
        "apiVersion": "driftline.io/v1alpha1",
        "kind": "ModelMonitor",
        "metadata": {"name": f"m{number}", "namespace": "ml", "uid": str(number)},
        "spec": {
            "selector": {"matchLabels": {"app": app}},
            "endpoint": {"port": "http"},
            "model": {"name": "m", "type": "classification"},
            "schema": {"prediction": {"name": "late"}},
        },
    }


def test_a_change_costs_one_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []

    def counting(tree: Any) -> Any:
        decoded.append(tree["metadata"]["name"])
        return build_monitor(tree)

    monkeypatch.setattr(module, "build_monitor", counting)
    known = Monitors()
    for number in range(50):
        known.note(("ml", f"m{number}"), body(number))
    assert len(decoded) == 50
    known.note(("ml", "m7"), body(7, app="other"))
    known.note(("ml", "m8"), None)
    assert decoded[50:] == ["m7"]
    assert len(known.selecting("ml", {"app": "census"})) == 48
    assert [each.metadata.name for each in known.selecting("ml", {"app": "other"})] == ["m7"]
