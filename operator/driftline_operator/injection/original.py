"""An injected pod as it was before, as far as a decision about it needs: its ports, without our containers.

For pods without a workload whose template could be asked instead. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from driftline_operator import names
from driftline_operator.injection import pod as pods
from driftline_operator.injection.pod import Json

OWN: Final = frozenset({names.PROXY_CONTAINER, names.ANALYZER_CONTAINER, names.REDIRECT_CONTAINER})

_RELAY = re.compile(r"--relay=:(\d+)=[^,]+:(\d+),port=(\d+)(?:/(.+))?")


class _Moved(NamedTuple):
    listen: int
    number: int
    name: str


def original(pod: Mapping[str, Any]) -> Json:
    """The pod without its sidecar, each port that was renamed back at its own number."""
    moved = list(_moved(pod))
    containers = [
        {**each, "ports": list(_ports(each.get("ports") or [], moved))} for each in pods.containers(pod)
    ]
    others = [each for each in pods.init_containers(pod) if each["name"] not in OWN]
    volumes = [each for each in pod["spec"].get("volumes") or [] if each["name"] not in names.IN_A_POD]
    spec = {**pod["spec"], "containers": containers, "initContainers": others, "volumes": volumes}
    return {**pod, "spec": spec}


def _moved(pod: Mapping[str, Any]) -> Iterator[_Moved]:
    for container in pods.init_containers(pod):
        if container["name"] != names.PROXY_CONTAINER:
            continue
        for argument in container.get("args") or []:
            found = _RELAY.fullmatch(argument)
            if found is not None:
                yield _Moved(int(found[1]), int(found[3]), found[4] or "")


def _ports(entries: Iterable[Json], moved: Iterable[_Moved]) -> Iterator[Json]:
    entries = list(entries)
    present = {(entry["containerPort"], entry.get("name") or "") for entry in entries}
    # Where the entry has not the sidecar's number, the port was taken over without moving its name.
    renamed = {key: each.number for each in moved if (key := (each.listen, each.name)) in present}
    renamed = {key: number for key, number in renamed.items() if key[0] != number}
    for entry in entries:
        key = entry["containerPort"], entry.get("name") or ""
        if key in renamed:
            yield {**entry, "containerPort": renamed[key]}
        elif not key[1] and key[0] in renamed.values():
            continue  # the app's own number, which injection left as an entry without name
        else:
            yield entry
