"""A Prometheus Operator that is installed after Driftline: its PodMonitors are made without a restart."""

from __future__ import annotations

from pathlib import Path

from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import MODEL_MONITORS, POD_MONITORS, Object

from e2e.cluster.control_plane import ControlPlane
from tests.integration.conftest import CRDS
from tests.integration.test_controller import eventually, monitor
from tests.integration.test_controller import own as own
from tests.support.operators import operator

NAME = "podmonitors.monitoring.coreos.com"
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": NAME},
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {"plural": "podmonitors", "kind": "PodMonitor"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


async def test_pod_monitors_are_made_once_there_is_their_kind(
    plane: ControlPlane, api: Api, own: str, namespace: str, tmp_path: Path
) -> None:
    async def announced() -> Object | None:
        try:
            return await api.get(POD_MONITORS, namespace, names.POD_MONITOR)
        except ApiError as error:
            if error.missing:
                return None
            raise

    async def looked_at() -> object:
        found = await api.get(MODEL_MONITORS, namespace, "census")
        return found.get("status", {}).get("conditions")

    with operator(plane, own, namespace, tmp_path, "--scrape=auto", "--resync=1s"):
        await api.create(MODEL_MONITORS, namespace, monitor())
        await eventually(looked_at)
        assert await announced() is None
        await api.apply(CRDS, None, DEFINITION)
        try:
            made = await eventually(announced)
            assert made["metadata"]["ownerReferences"][0]["name"] == "census"
            await api.delete(POD_MONITORS, namespace, names.POD_MONITOR)
            again = await eventually(announced)
            assert again["metadata"]["uid"] != made["metadata"]["uid"], "watched as everything else"
        finally:
            await api.delete(CRDS, None, NAME)
    log = (tmp_path / "controller.log").read_text()
    assert "Traceback" not in log
