"""JSON Patch as the API server applies it: only what `difference` makes."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any


def patched(document: Any, operations: Iterable[dict[str, Any]]) -> Any:
    """A copy of the document with the operations done. Raises KeyError or IndexError where one can't be."""
    result = copy.deepcopy(document)
    for operation in operations:
        *parents, last = [
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
        ]
        place = result
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        key: Any = int(last) if isinstance(place, list) else last
        if operation["op"] == "remove":
            del place[key]
        elif operation["op"] == "replace":
            place[key]
            place[key] = copy.deepcopy(operation["value"])
        else:
            assert isinstance(place, dict), "adding to lists is not made"
            place[key] = copy.deepcopy(operation["value"])
    return result
