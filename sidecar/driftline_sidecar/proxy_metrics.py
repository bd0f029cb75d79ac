"""The proxy's series, written from the shared counters in Prometheus's text format.

The text is written here instead of by prometheus-client because that package costs the supervisor
5 MB of resident memory, a sixth of what proxy and worker may take together. A test reads it back with
prometheus-client's own parser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from driftline_sidecar import counters as slots
from driftline_sidecar.metrics import COMMON_LABELS, PREFIX, SERIES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, Sequence[tuple[str, str]], str]
"""Suffix of the family's name, labels beside the common ones, value."""

_SamplesOf = Callable[["memoryview[int]"], Iterable[Sample]]


class Owner(NamedTuple):
    """Whose samples a block of the counters holds; empty labels: no monitor's."""

    namespace: str
    monitor: str
    model: str
    block: memoryview[int]


class Process(NamedTuple):
    """What the supervisor counts itself."""

    restarts: Mapping[str, int]
    """Replaced workers by reason."""
    refused: int
    """Contents of the monitor file that were refused."""
    in_force: bool
    """Whether the monitor file's present content is in force."""
    version: str


def render(owners: Sequence[Owner], process: Process) -> bytes:
    """All series; a family's samples stand together, one block after the other."""
    lines: list[str] = []
    for name, samples_of in _OF_A_BLOCK.items():
        _header(lines, name)
        for owner in owners:
            common = list(zip(COMMON_LABELS, owner[:3], strict=True))
            _samples(lines, name, common, samples_of(owner.block))
    nobody = [(label, "") for label in COMMON_LABELS]
    for name, samples in _of_the_process(process).items():
        _header(lines, name)
        _samples(lines, name, nobody, samples)
    return ("\n".join(lines) + "\n").encode()


def _header(lines: list[str], name: str) -> None:
    series = SERIES[name]
    lines.append(f"# HELP {PREFIX}{name} {series.help}")
    lines.append(f"# TYPE {PREFIX}{name} {series.kind}")


def _samples(
    lines: list[str], name: str, common: Sequence[tuple[str, str]], samples: Iterable[Sample]
) -> None:
    for suffix, labels, value in samples:
        text = ",".join(f'{key}="{_escaped(label)}"' for key, label in (*common, *labels))
        lines.append(f"{PREFIX}{name}{suffix}{{{text}}} {value}")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _one(slot: int) -> _SamplesOf:
    return lambda block: [("", (), str(block[slot]))]


def _by_reason(reasons: Mapping[str, int]) -> _SamplesOf:
    return lambda block: [("", (("reason", reason),), str(block[slot])) for reason, slot in reasons.items()]


def _by_code(block: memoryview[int]) -> Iterator[Sample]:
    for slot in range(slots.STATUS, slots.STATUS_OTHER):
        if block[slot]:
            yield "", (("code", str(slots.STATUS_FIRST + slot - slots.STATUS)),), str(block[slot])
    if block[slots.STATUS_OTHER]:
        yield "", (("code", "other"),), str(block[slots.STATUS_OTHER])


def _histogram(first: int, total: int) -> _SamplesOf:
    def samples(block: memoryview[int]) -> Iterator[Sample]:
        count = 0
        for index, bound in enumerate((*map(repr, slots.BOUNDS), "+Inf")):
            count += block[first + index]
            yield "_bucket", (("le", bound),), str(count)
        yield "_sum", (), repr(block[total] / 1e9)
        yield "_count", (), str(count)

    return samples


def _of_the_process(process: Process) -> dict[str, list[Sample]]:
    restarts: list[Sample] = [
        ("", (("reason", reason),), str(count)) for reason, count in process.restarts.items()
    ]
    return {
        "worker_restarts_total": restarts,
        "proxy_config_refused_total": [("", (), str(process.refused))],
        "proxy_config_last_reload_successful": [("", (), str(int(process.in_force)))],
        "proxy_build_info": [("", (("version", process.version),), "1")],
    }


_OF_A_BLOCK: Final[Mapping[str, _SamplesOf]] = {
    "requests_total": _by_code,
    "request_duration_seconds": _histogram(slots.DURATION, slots.DURATION_SUM),
    "time_to_first_byte_seconds": _histogram(slots.FIRST_BYTE, slots.FIRST_BYTE_SUM),
    "in_flight_requests": _one(slots.IN_FLIGHT),
    "interrupted_requests_total": _one(slots.INTERRUPTED),
    "upstream_errors_total": _by_reason(slots.UPSTREAM),
    "client_connections": _one(slots.CONNECTIONS),
    "client_connections_total": _one(slots.ACCEPTED),
    "received_bytes_total": _one(slots.RECEIVED_BYTES),
    "sent_bytes_total": _one(slots.SENT_BYTES),
    "opaque_connections_total": _by_reason(slots.OPAQUE),
    "capture_seen_total": _one(slots.SEEN),
    "capture_captured_total": _one(slots.CAPTURED),
    "capture_sampled_out_total": _one(slots.SAMPLED_OUT),
    "capture_dropped_total": _by_reason(slots.DROPPED),
    "capture_lost_total": _one(slots.LOST),
    "capture_bytes_total": _one(slots.CAPTURE_BYTES),
}
