"""The strategic merge of the candidate's template is the API server's own."""

from __future__ import annotations

import copy

import pytest
from driftline_operator.cluster.api import Api
from driftline_operator.cluster.resources import DEPLOYMENTS
from driftline_operator.shadow.merging import merged

from tests.support.merges import CASES, LIVE, Json

STRATEGIC = "application/strategic-merge-patch+json"


def workload(template: Json) -> Json:
    spec = {"selector": {"matchLabels": {"app": "census"}}, "template": template, "replicas": 0}
    return {"metadata": {"name": "census"}, "spec": spec}


@pytest.mark.parametrize("name", CASES)
async def test_as_the_api_server_merges(api: Api, namespace: str, name: str) -> None:
    """Both results by way of the API server, which adds the same defaults to both."""
    await api.create(DEPLOYMENTS, namespace, workload(LIVE))
    patch = {"spec": {"template": CASES[name]}}
    theirs = await api.patch(DEPLOYMENTS, namespace, "census", copy.deepcopy(patch), kind=STRATEGIC)
    ours = workload(merged(LIVE, CASES[name]))
    ours["metadata"]["name"] = "ours"
    made = await api.create(DEPLOYMENTS, namespace, ours)
    assert made["spec"]["template"] == theirs["spec"]["template"]
