"""The ModelMonitors of the cluster, decoded once when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from driftline_operator.cluster.resources import Object
from driftline_operator.controller.observed import Observed, observe

Key = tuple[str, str]


class MonitorStore:
    """Filled by events and, whole, by resync: a deletion that no event told is noticed then."""

    def __init__(self, dirty: Callable[[str], None]) -> None:
        """`dirty` is called with the namespace of whatever changed."""
        self._dirty = dirty
        self._known: dict[Key, Observed] = {}
        self._noted: set[Key] = set()
        """Since the list that is on its way was asked for."""

    def note(self, kind: str, body: Object) -> None:
        """One that came, changed, or (`DELETED`) went."""
        key = body["metadata"]["namespace"], body["metadata"]["name"]
        before = self._known.get(key)
        self._noted.add(key)
        if kind == "DELETED" or body["metadata"].get("deletionTimestamp"):
            # kopf tells of each identity by itself: the end of the old one may come after a new namesake.
            if before is not None and before.uid == str(body["metadata"].get("uid")):
                del self._known[key]
                self._dirty(key[0])
            return
        if before is not None and _same_spec(before.body, body):
            if before.body["metadata"].get("resourceVersion") == body["metadata"].get("resourceVersion"):
                return
            self._known[key] = before._replace(body=body)  # a status, ours most often: decode nothing
            return
        self._known[key] = observe(body)
        self._dirty(key[0])

    def listing(self) -> None:
        """A list is about to be asked for: what is noted from now on may be newer than it."""
        self._noted.clear()

    def replace(self, bodies: Iterable[Object]) -> None:
        """All there are, as of the last `listing`."""
        newer = set(self._noted)
        present = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in bodies}
        for key in [each for each in self._known if each not in present and each not in newer]:
            self.note("DELETED", self._known[key].body)
        for key, each in present.items():
            if key not in newer:
                self.note("MODIFIED", each)

    def of(self, namespace: str) -> list[Observed]:
        """Those of one namespace."""
        return [each for key, each in self._known.items() if key[0] == namespace]

    def get(self, key: Key) -> Observed | None:
        """One, by namespace and name."""
        return self._known.get(key)

    def every(self) -> dict[Key, Observed]:
        """All of them."""
        return dict(self._known)

    @property
    def namespaces(self) -> set[str]:
        """Where there are any."""
        return {key[0] for key in self._known}


def _same_spec(before: Object, after: Object) -> bool:
    first, second = before["metadata"], after["metadata"]
    return all(first.get(each) == second.get(each) for each in ("uid", "generation"))
