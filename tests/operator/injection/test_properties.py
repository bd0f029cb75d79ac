"""What holds for every pod: only what the mode says changes, and the quality of service stays."""

from __future__ import annotations

from typing import Any

from driftline.spec import AppPort, Endpoint, Injection
from driftline_operator import names
from driftline_operator.injection import pod as pods
from driftline_operator.injection.decide import decide
from driftline_operator.injection.sidecars import Settings
from hypothesis import given
from hypothesis import strategies as st

from tests.support.patches import patched
from tests.support.pods import Json, container, pod, port
from tests.support.specs import monitor

SETTINGS = Settings(image="sidecar:test")
MODES = [
    Injection(),
    Injection(mode="PortSwap", app=AppPort(port=8999, env="PORT")),
    Injection(mode="Redirect"),
]

quantities = st.sampled_from([{}, {"cpu": "1"}, {"cpu": "1", "memory": "1Gi"}])
resources = st.fixed_dictionaries({}, optional={"limits": quantities, "requests": quantities})


@st.composite
def apps(draw: st.DrawFn) -> list[Json]:
    made = []
    for number in range(draw(st.integers(1, 3))):
        declared = [
            port(7000 + 10 * number + place, f"p{number}-{place}") for place in range(draw(st.integers(0, 3)))
        ]
        probe = {"httpGet": {"path": "/", "port": draw(st.sampled_from(["http", 8080, "p0-0", 7000]))}}
        made.append(container(f"c{number}", declared, resources=draw(resources), readinessProbe=probe))
    index = draw(st.integers(0, len(made) - 1))
    made[index]["ports"].append(port(8080, "http"))
    return made


inits = st.lists(st.builds(container, st.sampled_from(["a", "b"]), resources=resources), max_size=2)


@given(apps(), inits, st.sampled_from(MODES), st.booleans())
def test_injection_changes_what_it_says_and_nothing_else(
    containers: list[Json], init: list[Json], injection: Injection, labelled: bool
) -> None:
    metadata: Json = {} if labelled else {"labels": None, "annotations": {"kept": "yes"}}
    before = pod(*containers, metadata=metadata, initContainers=init)
    watching = monitor(endpoint=Endpoint(port="http"), injection=injection)
    decision = decide(before, [watching], SETTINGS)
    assert decision.injects, decision.message
    after = patched(before, decision.patch)
    assert pods.is_guaranteed(after) == pods.is_guaranteed(before)
    first = [names.REDIRECT_CONTAINER] if injection.mode == "Redirect" else []
    ours = [*first, names.PROXY_CONTAINER, names.ANALYZER_CONTAINER]
    assert [each["name"] for each in pods.init_containers(after)] == [*ours, *(each["name"] for each in init)]
    assert pods.init_containers(after)[len(ours) :] == init
    changed = [(old, new) for old, new in zip(containers, pods.containers(after), strict=True) if old != new]
    taken_over = [each for each in containers if any(p.get("name") == "http" for p in each["ports"])]
    if injection.mode == "Redirect":
        assert [old["ports"] for old in containers] == [new["ports"] for new in pods.containers(after)]
        assert all(old in taken_over for old, _ in changed)
    else:
        assert [old for old, _ in changed] == taken_over
    assert all(_without(new) == _without(old) for old, new in changed)
    assert (before["metadata"].get("annotations") or {}).items() <= after["metadata"]["annotations"].items()


def _without(container: Json) -> dict[str, Any]:
    """What no mode touches."""
    return {
        name: value for name, value in container.items() if name not in ("ports", "env", "readinessProbe")
    }
