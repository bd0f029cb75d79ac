"""Send labels, feedback and KPI events to a Driftline hub, and read what they say of the model.

    from driftline.client import Hub

    with Hub("https://hub:8090", token, namespace="ml", monitor="census") as hub:
        hub.label("id-1", "yes")
        hub.labels([("id-1", "yes"), (("UA1545", "2013-01-01"), "late")])
        hub.feedback("id-1", thumb="down", comment="no")
        hub.kpi("id-1", "revenue", 12.5)
        print(hub.report())

`AsyncHub` is the same with `await`. What fails for a while is tried again; what the hub won't have raises
`HubError` with its words. Everything may be sent twice: the hub counts it once.

This is the domain's one package that does I/O; nothing else of the domain may import it.
"""

from typing import TYPE_CHECKING

from driftline.client.errors import HubError, Refused, Unreachable
from driftline.client.events import Target, feedback_of, kpi_of, label_of
from driftline.client.hub import Hub

if TYPE_CHECKING:
    from driftline.client.aio import AsyncHub

__all__ = [
    "AsyncHub",
    "Hub",
    "HubError",
    "Refused",
    "Target",
    "Unreachable",
    "feedback_of",
    "kpi_of",
    "label_of",
]


def __getattr__(name: str) -> object:
    """`AsyncHub` needs aiohttp, which takes a third of a second to import: only who asks for it waits."""
    if name == "AsyncHub":
        from driftline.client.aio import AsyncHub

        return AsyncHub
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
