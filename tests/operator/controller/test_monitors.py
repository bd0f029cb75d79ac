"""The controller's store of monitors: events and lists come in any order."""

from __future__ import annotations

from driftline_operator.controller.monitors import MonitorStore

from tests.operator.test_plan import body


def versioned(name: str, version: str) -> dict[str, object]:
    found = body(name)
    found["metadata"]["resourceVersion"] = version
    return found


def test_a_list_does_not_undo_what_came_while_it_was_read() -> None:
    dirty: list[str] = []
    store = MonitorStore(dirty.append)
    store.note("ADDED", versioned("old", "1"))
    store.note("ADDED", versioned("gone", "2"))
    store.listing()
    listed = [versioned("old", "1"), versioned("gone", "2")]
    store.note("ADDED", versioned("new", "3"))
    store.note("MODIFIED", versioned("old", "4"))
    store.note("DELETED", versioned("gone", "5"))
    store.replace(listed)
    assert {name for _, name in store.every()} == {"old", "new"}
    old = store.get(("ml", "old"))
    assert old is not None
    assert old.body["metadata"]["resourceVersion"] == "4"


def test_a_deletion_that_no_event_told_is_noticed() -> None:
    dirty: list[str] = []
    store = MonitorStore(dirty.append)
    store.note("ADDED", versioned("gone", "1"))
    dirty.clear()
    store.listing()
    store.replace([])
    assert store.every() == {}
    assert dirty == ["ml"]
