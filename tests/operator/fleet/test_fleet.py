"""Rounds over pods that answer, fail, come and go: what is judged, exposed, kept over a failover."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from driftline import captured
from driftline.captured import Captured
from driftline.errors import DataError
from driftline.pane_codec import inflate
from driftline.quantity import Duration
from driftline.report import VerdictReport
from driftline.spec import CaptureReference, Drift, MonitorSpec, Reference, Refresh
from driftline_operator.controller.plan.pods import Watched
from driftline_operator.fleet import fleet as fleet_module
from driftline_operator.fleet import metrics
from driftline_operator.fleet.captures import CaptureReason, RefreshReason, decide, refresh
from driftline_operator.fleet.fleet import Fleet, Member
from driftline_operator.fleet.intake import Push, Taken
from driftline_operator.fleet.metrics import FleetSeries
from driftline_operator.fleet.pull import Missed, Page, Puller
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.fleets import DAY_START, SPEC, counted, encoded, plain, reference, rows

PROFILE = reference()
AXES = PROFILE.axes()
KEY = ("ml", "census")
PLACE = f"boot:{PROFILE.hash[:16]}"
Metrics = dict[str, list[dict[str, str]]]


@dataclass
class Pods(Puller):
    """A puller whose pods are here: each minute's rows, by pod."""

    shift: float = 0.0
    missing: dict[str, Missed] = field(default_factory=dict)
    captured_parts: dict[str, Captured] = field(default_factory=dict)
    now: float = 0.0
    began: float = float(DAY_START)
    asked: list[tuple[str, str]] = field(default_factory=list)
    chooses: bool = True

    def __post_init__(self) -> None:
        super().__init__(4)

    def pane(self, ip: str, minute: int) -> bytes:
        rng = np.random.default_rng([minute, *ip.encode()])
        return encoded(PROFILE, counted(AXES, plain(rng, 200, self.shift)), DAY_START + minute * 60)

    async def panes(self, ip: str, monitor: str, cursor: str, token: str | None) -> Page | Missed:
        self.asked.append((ip, cursor))
        if ip in self.missing:
            return self.missing[ip]
        closed = int(self.now - DAY_START) // 60
        first = int(cursor.rpartition(":")[2]) if cursor else 0
        return Page(
            tuple(self.pane(ip, minute) for minute in range(first, closed)), f"{PLACE}:{closed}", self.began
        )

    async def newest(self, ip: str, monitor: str, begin: int, token: str | None) -> Page | Missed:
        page = await self.panes(ip, monitor, "", token)
        if isinstance(page, Missed) or not self.chooses:
            return page
        return page._replace(panes=tuple(p for p in page.panes if inflate(p).start >= begin), begin=begin)

    async def captured_rows(self, ip: str, monitor: str, capture: str, token: str | None) -> int | Missed:
        return self.captured_parts[ip].rows if ip in self.captured_parts else Missed.UNREACHABLE

    async def captured(self, ip: str, monitor: str, capture: str, token: str | None) -> Captured | Missed:
        return self.captured_parts.get(ip, Missed.UNREACHABLE)


def member(pods: int = 3, spec: MonitorSpec = SPEC, *, captured: bool = False) -> Member:
    watched = tuple(Watched(f"pod-{n}", f"uid-{n}", f"10.0.0.{n}", DAY_START) for n in range(pods))
    return Member(spec, None if captured else PROFILE, watched)


async def rounds(
    fleet: Fleet, pods: Pods, minutes: Sequence[int], of: Member | None = None
) -> Iterator[object]:
    """A round shortly after the end of each of these minutes; the transitions."""
    found: list[object] = []
    for minute in minutes:
        pods.now = DAY_START + minute * 60 + 65.0
        fleet.keep({KEY: of or member()}, pods.now)
        outcome = await fleet.round(lambda _: "token", lambda: pods.now)
        found += outcome.transitions.get(KEY, ())
    return iter(found)


async def test_drift_of_all_pods_is_found_and_said_once() -> None:
    pods = Pods()
    fleet = Fleet(pods, 60.0)
    assert list(await rounds(fleet, pods, range(100))) == []
    pods.shift = 12.0
    changes = list(await rounds(fleet, pods, range(100, 420)))
    pods.now += 1
    view = (await fleet.round(lambda _: "token", lambda: pods.now)).views[KEY]
    drift = next(each for each in view.findings if each.aspect == "DataDrift")
    assert (drift.status, drift.reason) == ("True", "DriftDetected")
    assert "age" in drift.message
    drifted = [change for change in changes if change.after == "Drifted"]  # type: ignore[attr-defined]
    assert [(change.feature, change.window) for change in drifted].count(("age", "1h")) == 1  # type: ignore[attr-defined]
    assert (view.answered, view.profile_hash, view.worst[0].feature) == (3, PROFILE.hash, "age")


async def test_a_pod_that_fails_is_counted_by_its_reason_and_left_in_peace() -> None:
    pods = Pods(missing={"10.0.0.1": Missed.TIMEOUT})
    fleet = Fleet(pods, 60.0)
    await rounds(fleet, pods, range(40))
    (figures,) = fleet.figures()
    assert (figures.answered, figures.silent) == (2, 1)
    asked = [ip for ip, _ in pods.asked].count("10.0.0.1")
    assert figures.missed == {"timeout": asked}
    assert asked < 10
    pods.missing.clear()
    await rounds(fleet, pods, range(40, 60))
    (figures,) = fleet.figures()
    assert figures.answered == 3
    book = figures.book
    assert book is not None
    assert book.coverage((DAY_START, DAY_START + 58 * 60.0)) == pytest.approx(1.0)


async def test_what_a_dead_controller_had_judged_goes_on_in_the_next() -> None:
    pods, whole_pods = Pods(shift=12.0), Pods(shift=12.0)
    first, second, whole = (Fleet(pods, 60.0), Fleet(pods, 60.0), Fleet(whole_pods, 60.0))
    await rounds(first, pods, range(150))
    data = first.checkpoint(KEY)
    assert data is not None
    await rounds(first, pods, range(150, 180))  # not in the checkpoint; the pods still have it
    pods.now = DAY_START + 190 * 60.0
    assert second.keep({KEY: member()}, pods.now) == [KEY]
    assert second.restore(KEY, data) == ""
    await rounds(second, pods, range(190, 260))
    await rounds(whole, whole_pods, range(260))
    (found,), (wanted,) = second.figures(), whole.figures()
    assert found.book is not None
    assert wanted.book is not None
    assert found.book.windows == wanted.book.windows
    assert found.book.evaluator.verdict() == wanted.book.evaluator.verdict()


async def test_a_checkpoint_is_only_made_for_what_pods_cannot_give_again() -> None:
    pods = Pods()
    fleet = Fleet(pods, 60.0)
    made = []
    for minute in range(100):
        await rounds(fleet, pods, [minute])
        if fleet.checkpoint(KEY) is not None:
            made.append(minute)
    assert 2 <= len(made) <= 4
    await rounds(fleet, pods, range(100, 104), member(pods=2))
    assert fleet.checkpoint(KEY) is not None  # what the pod left is nowhere else
    await rounds(fleet, pods, range(104, 108), member(pods=2))
    assert fleet.checkpoint(KEY) is None


async def test_a_checkpoint_of_another_model_is_refused_and_of_another_policy_keeps_the_counts() -> None:
    pods = Pods(shift=12.0)
    fleet = Fleet(pods, 60.0)
    await rounds(fleet, pods, range(300))
    data = fleet.checkpoint(KEY)
    assert data is not None
    other = Fleet(pods, 60.0)
    model = msgspec.structs.replace(SPEC.model, version="2")
    other.keep({KEY: member(spec=msgspec.structs.replace(SPEC, model=model))}, pods.now)
    assert "model version" in other.restore(KEY, data)
    lenient = msgspec.structs.replace(SPEC, drift=Drift(min_rows=500))
    other.keep({KEY: member(spec=lenient)}, pods.now)
    assert other.restore(KEY, data) == ""
    (figures,) = other.figures()
    assert figures.book is not None
    assert figures.book.store.panes > 10
    assert not figures.book.evaluator.verdict().drifted


async def test_another_policy_keeps_the_counts_and_another_schema_does_not() -> None:
    pods = Pods()
    fleet = Fleet(pods, 60.0)
    await rounds(fleet, pods, range(30))
    (before,) = fleet.figures()
    policy = msgspec.structs.replace(SPEC, drift=Drift(min_rows=10))
    assert fleet.keep({KEY: member(spec=policy)}, pods.now) == []
    (after,) = fleet.figures()
    assert after.book is before.book
    windows = msgspec.structs.replace(SPEC, windows=(Duration(600),))
    assert fleet.keep({KEY: member(spec=windows)}, pods.now) == [KEY]
    assert fleet.keep({}, pods.now) == []
    assert list(fleet.figures()) == []


async def test_the_last_panes_of_a_pod_count_once() -> None:
    pods = Pods()
    fleet = Fleet(pods, 60.0)
    await rounds(fleet, pods, range(10))
    last = Push("ml", "census", "pod-2", "uid-2", f"{PLACE}:99", DAY_START, (pods.pane("10.0.0.2", 10),))
    now = DAY_START + 10 * 60 + 30.0
    assert [fleet.accept(last, now), fleet.accept(last, now)] == [Taken.TAKEN] * 2
    assert fleet.accept(last._replace(monitor="other"), now) is Taken.UNKNOWN_MONITOR
    await rounds(fleet, pods, range(11, 15), member(pods=2))
    (figures,) = fleet.figures()
    assert figures.book is not None
    rows_of = figures.book.store.window(3600, DAY_START + 3600).counts.rows
    assert rows_of == 200 * (11 * 3 + 2 * 2)


# ---- references ----

CAPTURING = msgspec.structs.replace(
    SPEC, reference=Reference(capture=CaptureReference(rows=300), refresh=Refresh(after=Duration(30 * 86400)))
)


async def test_rows_of_all_pods_make_one_reference() -> None:
    pods = Pods()
    for n in range(2):
        batch = rows(np.random.default_rng(n), 160)
        pods.captured_parts[f"10.0.0.{n}"] = Captured(
            SPEC.schema.features, batch, np.arange(160, dtype=np.float64) + n / 2
        )
    fleet = Fleet(pods, 60.0)
    fleet.keep({KEY: member(spec=CAPTURING, captured=True)}, DAY_START)
    decision = await fleet.captured_rows(KEY, "token", in_force=False)
    assert (decision.fetch, decision.reason, decision.rows) == (True, CaptureReason.ENOUGH_ROWS, 320)
    made = await fleet.profile_of_captured(KEY, "token", 1.0)
    assert made.rows == 320
    assert made.hash == captured.build(CAPTURING, list(pods.captured_parts.values()), 1.0).hash
    pods.captured_parts.clear()
    with pytest.raises(DataError):
        await fleet.profile_of_captured(KEY, "token", 1.0)


async def test_rows_of_more_pods_than_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = Pods()
    for n in range(5):
        batch = rows(np.random.default_rng(n), 160)
        times = np.arange(160, dtype=np.float64)
        pods.captured_parts[f"10.0.0.{n}"] = Captured(SPEC.schema.features, batch, times)
    size = 8 * 160 * (len(SPEC.schema.features) + 1)
    monkeypatch.setattr(fleet_module, "_MOST_CAPTURED", 2 * size + 1)
    fleet = Fleet(pods, 60.0)
    fleet.keep({KEY: member(5, CAPTURING, captured=True)}, DAY_START)
    assert (await fleet.profile_of_captured(KEY, "token", 1.0)).rows == 3 * 160


def test_rows_are_waited_for() -> None:
    assert decide(SPEC, {"a": 999}, in_force=False).reason is CaptureReason.NOT_WANTED
    assert decide(CAPTURING, {"a": 999}, in_force=True).reason is CaptureReason.IN_FORCE
    few = decide(CAPTURING, {"a": 100, "b": 199}, in_force=False)
    assert (few.fetch, few.reason) == (False, CaptureReason.TOO_FEW_ROWS)
    assert "299 of 300" in few.message


@pytest.mark.parametrize(
    ("days", "reason", "wanted"),
    [
        (29, "Stable", RefreshReason.TOO_YOUNG),
        (31, "Stable", RefreshReason.DUE),
        (31, "Warning", RefreshReason.DRIFTING),
        (31, "Drifted", RefreshReason.DRIFTING),
        (31, "InsufficientData", RefreshReason.UNJUDGED),
        (31, None, RefreshReason.UNJUDGED),
    ],
)
def test_a_reference_is_made_anew_while_nothing_drifts(
    days: int, reason: str | None, wanted: RefreshReason
) -> None:
    verdict = None if reason is None else VerdictReport(drifted=reason == "Drifted", reason=reason)
    assert refresh(CAPTURING, 0.0, verdict, days * 86400.0) is wanted
    assert refresh(SPEC, 0.0, verdict, days * 86400.0) is RefreshReason.NOT_WANTED


def test_drift_is_no_hindrance_where_it_is_said_so() -> None:
    reference = msgspec.structs.replace(
        CAPTURING.reference, refresh=Refresh(after=Duration(86400), require_stable=False)
    )
    spec = msgspec.structs.replace(CAPTURING, reference=reference)
    assert refresh(spec, 0.0, None, 2 * 86400.0) is RefreshReason.DUE


# ---- series ----


def exposed(fleet: Fleet) -> Metrics:
    registry = CollectorRegistry()
    registry.register(FleetSeries(fleet.figures, lambda: 0.5))
    found: Metrics = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append({**sample.labels, "": repr(sample.value)})
    return found


async def test_the_table_is_what_is_exposed() -> None:
    assert metrics.__doc__ is not None
    table = {
        name: set() if labels == "-" else set(labels.split(", "))
        for name, labels in re.findall(r"^ +(modelmonitor_\w+) +\w+ +(.+)$", metrics.__doc__, re.MULTILINE)
    }
    pods = Pods(shift=12.0, missing={"10.0.0.1": Missed.REFUSED})
    fleet = Fleet(pods, 60.0)
    await rounds(fleet, pods, range(90))
    (figures,) = fleet.figures()
    assert figures.book is not None
    figures.book.refused["other_profile"] = 1
    found = {
        name: {label for each in samples for label in each} - {""} for name, samples in exposed(fleet).items()
    }
    assert found == table


async def test_what_was_not_judged_has_no_figure_of_drift() -> None:
    pods = Pods(missing={f"10.0.0.{n}": Missed.TIMEOUT for n in (0, 1)})
    fleet = Fleet(pods, 60.0)
    await rounds(fleet, pods, range(90))
    found = exposed(fleet)
    assert "modelmonitor_fleet_feature_drift_detected" not in found
    assert "modelmonitor_fleet_drift_detected" not in found
    coverage = [float(each[""]) for each in found["modelmonitor_fleet_window_coverage_ratio"]]
    assert all(0.3 < each < 0.35 for each in coverage)


async def test_series_are_cut_at_the_limit_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = Pods()
    fleet = Fleet(pods, 60.0)
    await rounds(fleet, pods, range(90))
    whole = sum(map(len, exposed(fleet).values()))
    monkeypatch.setattr(metrics, "SERIES_LIMIT", 5)
    found = exposed(fleet)
    assert sum(map(len, found.values())) == 6
    (cut,) = found["modelmonitor_fleet_series_cut"]
    assert float(cut[""]) == whole - 6
