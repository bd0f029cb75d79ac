"""The strategic merge of the candidate's template is the API server's own."""

from __future__ import annotations

import asyncio
import copy
import subprocess
from pathlib import Path

import pytest
from driftline_operator.cluster.api import JSON_PATCH, Api
from driftline_operator.cluster.resources import DEPLOYMENTS
from driftline_operator.shadow.candidate import Wanted
from driftline_operator.shadow.merging import merged
from driftline_operator.shadow.observed import observe_shadow
from driftline_operator.shadow.promotion import patch_text
from driftline_operator.shadow.template import changed

from tests.operator.shadow.test_plan import shadow
from tests.support.merges import CANDIDATES, CASES, LIVE, Json

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


@pytest.mark.parametrize("name", CANDIDATES)
async def test_the_text_of_a_promotion_does_what_it_does(
    api: Api, namespace: str, kubectl: list[str], tmp_path: Path, name: str
) -> None:
    """Applied as the documentation says, beside the template that a promotion writes."""
    for each in ("census", "twin"):
        body = workload(LIVE)
        body["metadata"]["name"] = each
        live = await api.create(DEPLOYMENTS, namespace, body)
    spec = observe_shadow(shadow(candidate=CANDIDATES[name])).spec
    assert spec is not None
    text = tmp_path / "patch.yaml"
    text.write_text(patch_text(spec, Wanted((), "", live, 8080, "model")))
    command = [*kubectl, "patch", "deployment", "census", "-n", namespace, "--patch-file", str(text)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    theirs = await api.get(DEPLOYMENTS, namespace, "census")
    made = changed(live["spec"]["template"], spec.candidate, "model")
    replace = [{"op": "replace", "path": "/spec/template", "value": made}]
    ours = await api.patch(DEPLOYMENTS, namespace, "twin", replace, kind=JSON_PATCH)
    assert ours["spec"]["template"] == theirs["spec"]["template"]
    assert ours["spec"]["template"]["metadata"]["labels"] == LIVE["metadata"]["labels"]
