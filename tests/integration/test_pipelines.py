"""What Argo Rollouts and Flagger make of a shadow's verdict: their own code on the documented snippets."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from driftline_operator.aside import serve_aside
from driftline_operator.controller.verdicts import routes
from prometheus_client import CollectorRegistry

from e2e.cluster.build import pipelines
from tests.integration.test_documented import block
from tests.support.tools import need

ADDRESS = "http://driftline-controller.driftline-system.svc:8080"
Json = dict[str, Any]


def shadow(verdict: str, observed: int = 1) -> Json:
    """The documented one, of generation 1."""
    status = {"verdict": verdict, "reason": "R", "observedGeneration": observed}
    return {"metadata": {"name": "census-v4", "generation": 1}, "status": status}


@asynccontextmanager
async def answering(*shadows: Json, synced: bool = True) -> AsyncIterator[str]:
    """The controller's endpoint, for the shadows of the namespace `ml`; its address."""
    told = routes(lambda namespace: shadows if namespace == "ml" else (), lambda: synced)
    runner = await serve_aside(("127.0.0.1", 0), CollectorRegistry(), list, more=told)
    try:
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
def program() -> Path:
    need("go")
    return pipelines()


async def said_by(program: Path, pipeline: str, snippet: str, address: str) -> Json:
    """What a pipeline makes of its snippet in docs/shadow.md, asking that address."""
    given = block("shadow.md", snippet)
    assert given.count(ADDRESS) == 1
    command, given = [str(program), pipeline], given.replace(ADDRESS, address)
    ended = await asyncio.to_thread(
        subprocess.run, command, input=given, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    found: Json = json.loads(ended.stdout)["shadow"]
    return found


@pytest.mark.slow
@pytest.mark.timeout(120, func_only=True)  # the program may have to be built
async def test_the_documented_snippets_in_their_own_code(program: Path) -> None:
    async def both(*shadows: Json, synced: bool = True) -> tuple[Json, Json]:
        async with answering(*shadows, synced=synced) as address:
            measured = await said_by(program, "argo", "kind: AnalysisTemplate", address)
            return measured, await said_by(program, "flagger", "confirm-promotion", address)

    measured, called = await both(shadow("Promotable"))
    assert (measured["phase"], measured["value"]) == ("Successful", '"Promotable"')
    assert called == {"type": "confirm-promotion", "passed": True, "message": ""}

    for given, phase, verdict in (
        (shadow("Rejected"), "Failed", "Rejected"),
        (shadow("Inconclusive"), "Inconclusive", "Inconclusive"),
        (shadow("Promotable", observed=2), "Inconclusive", "Inconclusive"),
    ):
        measured, called = await both(given)
        assert (measured["phase"], json.loads(measured["value"])) == (phase, verdict)
        assert not called["passed"]
        assert json.loads(called["message"])["verdict"] == verdict  # as Flagger's Events show it

    # Errors of Argo's, which it asks again, and refusals of Flagger's.
    for measured, called in (await both(), await both(shadow("Promotable"), synced=False)):
        assert measured["phase"] == "Error"
        assert not called["passed"]
    assert "503" in measured["message"]
