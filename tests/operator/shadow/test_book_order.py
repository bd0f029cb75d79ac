"""Pods count, rounds miss some, days are added up: in any order the same account and the same verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from driftline.shadow.codec import Part
from driftline.shadow.gate import DAY, GRACE_SECONDS, Judgement, period_days
from driftline.shadow.runtime import MirrorConfig, ShadowId
from driftline.spec.shadow import ShadowSpec
from driftline_operator.shadow.book import ShadowBook, days_of, judged
from driftline_operator.shadow.observed import observe_shadow
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.operator.shadow.test_plan import shadow
from tests.support.shadow_fleet import part
from tests.support.shadows import CLASSES, same

CONFIG = MirrorConfig(shadow=ShadowId(uid="u", name="v4"), began=0.0, url="http://x:1", plan=CLASSES)
PODS = ("a", "b", "c")
NONE = part(CONFIG, "a", 0)


def book() -> ShadowBook:
    return ShadowBook("u", 1, CLASSES)


def kept(made: ShadowBook) -> bytes:
    data = made.encode()
    assert data is not None
    return data


def spec_of(days: int) -> ShadowSpec:
    gate = {"agreement": 0.9, "errorRate": 0.05, "minTime": f"{days * 24}h"}
    spec = observe_shadow(shadow(gate=gate, minPairs=100, duration="720h")).spec
    assert spec is not None
    return spec


class World:
    """Pods, what each has counted, and the controller that asks them, or the one after it."""

    def __init__(self, spec: ShadowSpec) -> None:
        self._spec = spec
        self._told: dict[tuple[str, str, int], Part] = {}
        self._earlier: list[Part] = []
        self._boots = dict.fromkeys(PODS, 1)
        self._day, self._whole = 0, 0
        self._book, self._kept = book(), kept(book())

    def count(self, pod: str, more: tuple[int, int, int], *, late: bool) -> None:
        """So many pairs, failures and drops; `late`: of yesterday, whose last pairs are still to come."""
        day = self._day - (late and self._whole < self._day)
        boot = f"boot-{self._boots[pod]}"
        counted = part(CONFIG, pod, more[0], failed=more[1], dropped=more[2], boot=boot, day=day)
        before = self._told.get(counted.key, replace(NONE, sequence=0))
        self._earlier.append(before)
        self._told[counted.key] = replace(
            counted,
            account=before.account + counted.account,
            tally=before.tally + counted.tally,
            sequence=before.sequence + 1,
        )

    def restart(self, pod: str) -> None:
        self._boots[pod] += 1

    def midnight(self) -> None:
        self._whole = self._day
        self._day += 1

    def settle(self) -> None:
        """The day's last pairs have come."""
        self._whole = self._day

    def round(self, pods: list[str]) -> None:
        for pod in pods:
            self.told(pod, 0)
            self._book.heard(pod, self._whole)

    def told(self, pod: str, without: int) -> None:
        """What a pod has but the last so many parts, which are refused; and what it had told before."""
        found = [each for each in self._told.values() if each.pod == pod]
        for each in (*found[: len(found) - without], *self._earlier):
            if each.pod == pod and each.sequence:
                self._book.take(each)

    def look(self) -> None:
        self._book.fold(self._whole, period_days(self._spec.gate), 0.0)

    def keep(self) -> None:
        self._kept = kept(self._book)

    def failover(self) -> None:
        self._book = book()
        self._book.restore(self._kept)

    def ends(self) -> Iterator[tuple[ShadowBook, Judgement]]:
        """What is said once all were asked after a day's end, and what of the pods' own counts at once."""
        whole = book()
        for counted in self._told.values():
            whole.take(counted)
        elapsed = self._whole * DAY + self._spec.traffic.timeout + GRACE_SECONDS + 1
        assert days_of(elapsed, self._spec) == self._whole
        for each in (self._book, whole):
            yield each, judged(each, self._spec, elapsed)


COUNTS = st.tuples(st.sampled_from([0, 7, 900]), st.sampled_from([0, 0, 5, 400]), st.sampled_from([0, 3]))
STEPS = st.one_of(
    st.tuples(st.just("count"), st.sampled_from(PODS), COUNTS, st.booleans()),
    st.tuples(st.just("round"), st.lists(st.sampled_from(PODS), unique=True)),
    st.tuples(st.just("told"), st.sampled_from(PODS), st.integers(0, 3)),
    st.tuples(st.just("restart"), st.sampled_from(PODS)),
    st.tuples(st.sampled_from(["midnight", "settle", "look", "look", "keep", "failover"])),
)
A_DAY_ENDS = (("midnight",), ("settle",))


def after(period: int, steps: list[tuple[Any, ...]]) -> World:
    world = World(spec_of(period))
    for name, *given_ in steps:
        if name == "count":
            world.count(given_[0], given_[1], late=given_[2])
        else:
            getattr(world, name)(*given_)
    return world


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3), st.lists(STEPS, max_size=40))
@example(  # kept at noon; the controller is back after the day's end, and looks before it has asked
    1, [("count", "a", (900, 0, 0), False), ("round", ["a"]), ("keep",),
        ("count", "a", (0, 400, 0), False), *A_DAY_ENDS, ("failover",), ("look",)],
)  # fmt: skip
@example(  # one pod's day is told, another's isn't yet
    1, [("count", "a", (900, 0, 0), False), ("round", ["a", "b"]), ("count", "a", (0, 400, 0), False),
        *A_DAY_ENDS, ("round", ["b"]), ("look",)],
)  # fmt: skip
@example(  # nothing was mirrored on the first of two days
    2, [("midnight",), ("count", "a", (900, 0, 0), False), *A_DAY_ENDS, ("round", ["a"]), ("look",)]
)  # fmt: skip
def test_whenever_pods_are_asked_and_days_added_up(period: int, steps: list[tuple[Any, ...]]) -> None:
    world = after(period, [*steps, *A_DAY_ENDS, ("round", [*PODS]), ("look",)])
    (found, said), (whole, wanted) = world.ends()
    assert found.snapshot().account == whole.snapshot().account
    assert same(found.snapshot().tally, whole.snapshot().tally)
    assert found.days == whole.days
    assert (said.verdict, said.reason, said.rules) == (wanted.verdict, wanted.reason, wanted.rules)
    assert said.snapshot.account == wanted.snapshot.account


def test_days_are_added_up_once_their_pod_was_heard() -> None:
    """Or a week of restarting pods would not fit."""
    world = World(spec_of(1))
    for _ in range(5):
        for pod in PODS:
            world.count(pod, (7, 0, 0), late=False)
            world.restart(pod)
    world.round([*PODS])
    world.midnight()
    world.settle()
    world.round(["a", "b"])
    world.look()
    assert world._book.told == {"c"}
    world.round(["c"])
    world.look()
    assert world._book.told == set()
    assert world._book.snapshot().account.paired == 3 * 5 * 7


def test_a_day_stays_open_while_requests_are_under_way() -> None:
    made = book()
    made.take(part(CONFIG, "a", 5, waiting=1))
    made.heard("a", 1)
    made.fold(1, 1, 0.0)
    assert made.take(part(CONFIG, "a", 6, sequence=2))
    made.fold(1, 1, 0.0)
    assert made.told == set()
