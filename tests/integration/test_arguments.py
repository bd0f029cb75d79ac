"""The chart's policy on `injection.app.args`: who may only write monitors can't change what is run."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

import pytest
from driftline_operator.cluster.api import Api

from tests.integration.test_controller import eventually, monitor
from tests.integration.test_shadow import as_ana, may, policies

__all__ = ["policies"]  # a fixture

Json = dict[str, Any]
REFUSED = "needs the right to patch Deployments"
ARGS: Json = {"mode": "PortSwap", "app": {"port": 8081, "args": ["--port=8081"]}}
ENV: Json = {"mode": "PortSwap", "app": {"port": 8081, "env": "PORT"}}


@pytest.fixture
async def guarded(api: Api, policies: None, namespace: str, kubectl: list[str]) -> str:
    """A namespace where ana may write monitors, and nothing else; the policy is in force."""
    may(kubectl, namespace, "monitors", "create,update,patch,get,delete", "modelmonitors.driftline.io")

    def refused() -> bool:
        """It takes a moment to come into force."""
        said = as_ana(kubectl, namespace, ["create", "-f", "-"], monitor("probe", injection=ARGS))
        as_ana(kubectl, namespace, ["delete", "mm", "probe", "--ignore-not-found"])
        return REFUSED in said

    await eventually(lambda: asyncio.to_thread(refused))
    return namespace


def patched(kubectl: list[str], namespace: str, spec: Json, name: str) -> str:
    return as_ana(kubectl, namespace, ["patch", "mm", name, "--type=merge", "-p", json.dumps({"spec": spec})])


async def test_arguments_need_the_right_to_change_workloads(
    api: Api, guarded: str, kubectl: list[str]
) -> None:
    create = ["create", "-f", "-"]
    assert "created" in as_ana(kubectl, guarded, create, monitor("renamed"))
    assert "created" in as_ana(kubectl, guarded, create, monitor("swapped", injection=ENV))
    assert REFUSED in patched(kubectl, guarded, {"injection": ARGS}, "renamed")
    replacing = {"injection": {"app": {"env": None, "args": ["-c", "import os"]}}}
    assert REFUSED in patched(kubectl, guarded, replacing, "swapped")

    subprocess.run(
        [*kubectl, "-n", guarded, *create], input=json.dumps(monitor("given", injection=ARGS)),
        text=True, check=True, capture_output=True,
    )  # fmt: skip
    assert "patched" in patched(kubectl, guarded, {"drift": {"minRows": 500}}, "given"), "not about arguments"
    elsewhere = {"selector": {"matchLabels": {"app": "somebody-elses"}}}
    assert REFUSED in patched(kubectl, guarded, elsewhere, "given")
    assert REFUSED in patched(kubectl, guarded, {"endpoint": {"port": "admin"}}, "given")
    assert REFUSED in patched(kubectl, guarded, {"injection": {"container": "other"}}, "given")

    may(kubectl, guarded, "some", "patch", "deployments.apps,statefulsets.apps")
    assert REFUSED in patched(kubectl, guarded, elsewhere, "given"), "a selector means DaemonSets' pods too"
    may(kubectl, guarded, "all", "patch", "daemonsets.apps")
    await eventually(
        lambda: asyncio.to_thread(lambda: "patched" in patched(kubectl, guarded, elsewhere, "given"))
    )
    assert "created" in as_ana(kubectl, guarded, create, monitor("hers", injection=ARGS))
