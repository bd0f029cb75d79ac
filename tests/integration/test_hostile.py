"""What one user of a namespace can do doesn't stop the operator: the programs against a real API server."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path

import pytest
from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import MODEL_MONITORS, PODS, SECRETS

from tests.integration.test_controller import (
    conditions,
    entries,
    eventually,
    has,
    monitor,
    own,
    running,
)
from tests.integration.test_injector import model_pod
from tests.support.operators import Operator

__all__ = ["own", "running"]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_an_object_of_many_megabytes_doesnt_end_the_programs(
    api: Api, namespace: str, running: Operator
) -> None:
    """1.3 MB for etcd, 7.8 MB as the API server's JSON has it: each `<` in six bytes."""
    await api.create(MODEL_MONITORS, namespace, monitor())
    await eventually(lambda: entries(api, namespace))
    await asyncio.sleep(1)
    given = model_pod("large", app="census")
    given["spec"]["containers"][0]["args"] = ["<" * 130_000] * 10
    await api.create(PODS, namespace, given)  # too large a review: the pod is admitted as it is
    await has(api, namespace, "Injected", "False", "StartedEarlier")
    assert all(map(is_alive, running.pids))


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("a" * 64, {"app": "census"}),
        ("census", {"a/b/c": "x"}),
        ("census", {"": "x"}),
        ("census", {"a" * 64: "x"}),
        ("census", {"Upper.example/a": "x"}),
    ],
    ids=["long name", "two slashes", "no key", "long key", "no domain"],
)
async def test_what_no_webhook_entry_could_have_is_refused(
    api: Api, namespace: str, name: str, labels: dict[str, str]
) -> None:
    """Else it would keep all monitors of the namespace from their entries."""
    given = monitor(name, selector={"matchLabels": labels})
    with pytest.raises(ApiError) as refused:
        await api.create(MODEL_MONITORS, namespace, given)
    assert refused.value.status == 422


async def test_names_that_fit_do(api: Api, namespace: str, running: Operator) -> None:
    labels = {"app": "census", "example.com/of-a.team_1": "x", "9" * 63: "", "a.b-c.d/" + "x" * 63: "1"}
    await api.create(MODEL_MONITORS, namespace, monitor("a" * 63, selector={"matchLabels": labels}))
    await api.create(MODEL_MONITORS, namespace, monitor("a.b.c"))

    async def both() -> bool:
        return len(await entries(api, namespace)) == 2

    await eventually(both)


async def test_a_monitor_named_as_anothers_checkpoint_says_so(
    api: Api, namespace: str, running: Operator
) -> None:
    await api.create(MODEL_MONITORS, namespace, monitor("census"))
    await asyncio.sleep(1.1)  # creation times have seconds
    await api.create(MODEL_MONITORS, namespace, monitor("census-panes"))
    found = await has(api, namespace, "Injected", "False", "NameConflict", "census-panes")
    assert "rename it" in found["message"]
    assert len(await entries(api, namespace)) == 1
    assert (await conditions(api, namespace))["Injected"]["reason"] == "NoPods"


async def test_an_event_in_many_byte_letters_is_taken(api: Api, namespace: str, running: Operator) -> None:
    """The API server counts an Event's note in bytes."""
    given = monitor(reference={"profile": {"file": "ф" * 900}}, injection={"container": "model"})
    given["spec"]["schema"]["features"] = [{"name": f"{'ж' * 100}{n}", "type": "numeric"} for n in range(3)]
    await api.create(MODEL_MONITORS, namespace, given)
    await has(api, namespace, "ReferenceReady", "False", "ProfileOutside")


@pytest.mark.parametrize("token", [b"two\nlines", b"", "no ascii é".encode()], ids=["lines", "empty", "é"])
async def test_a_token_that_no_header_carries_is_made_anew(
    api: Api, namespace: str, running: Operator, token: bytes
) -> None:
    data = {names.TOKEN_KEY: base64.b64encode(token).decode()}
    secret = {"metadata": {"name": names.TOKEN_SECRET}, "data": data}
    await api.create(SECRETS, namespace, secret)
    await api.create(MODEL_MONITORS, namespace, monitor(f"census-{os.urandom(2).hex()}"))

    async def renewed() -> bool:
        found = await api.get(SECRETS, namespace, names.TOKEN_SECRET)
        return bool(len(base64.b64decode(found["data"][names.TOKEN_KEY])) > 40)

    await eventually(renewed)


async def test_a_damaged_bundle_of_authorities_is_mended(
    api: Api, own: str, namespace: str, running: Operator
) -> None:
    await api.create(MODEL_MONITORS, namespace, monitor())
    before = (await eventually(lambda: entries(api, namespace)))[0]["clientConfig"]["caBundle"]
    for damage in (b"\xff\xfe", b""):
        data = {"ca.crt": base64.b64encode(damage).decode()}
        await api.patch(SECRETS, own, names.CERTIFICATE_SECRET, {"data": data})

        async def mended() -> bool:
            found = await api.get(SECRETS, own, names.CERTIFICATE_SECRET)
            return bool(found["data"]["ca.crt"] == before)

        await eventually(mended)
    await eventually(lambda: entries(api, namespace))
    assert (await entries(api, namespace))[0]["clientConfig"]["caBundle"] == before
