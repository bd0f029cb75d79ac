"""What pods tell of a shadow's pairs counts until its end, and not after it."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
from driftline.shadow.account import Account
from driftline.shadow.codec import WARMING, encode_part
from driftline.shadow.gate import DAY
from driftline.shadow.runtime import MirrorConfig, ShadowId
from driftline_operator import names
from driftline_operator.cluster.api import ApiError
from driftline_operator.controller import shadow_rounds
from driftline_operator.controller.plan.pods import Survey, Watched
from driftline_operator.controller.running import Running
from driftline_operator.controller.shadow_rounds import LivePods, ShadowRounds
from driftline_operator.controller.shadows import Shadows
from driftline_operator.fleet.intake import PushedPairs, Taken
from driftline_operator.fleet.pull import Missed, Pairs
from driftline_operator.shadow import book as books
from driftline_operator.shadow.book import ShadowBook
from driftline_operator.shadow.course import Course, Rollout, decode
from driftline_operator.shadow.findings import refused
from driftline_operator.shadow.keeping import key_of_token, restored
from driftline_operator.shadow.observed import observe_shadow
from driftline_operator.shadow.plan import ShadowPlan
from driftline_operator.shadow.reasons import Ending, Promotion, Refusal

from tests.operator.shadow.test_plan import shadow
from tests.support.shadow_fleet import part
from tests.support.shadows import CLASSES

NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
BEGAN = NOW.timestamp() - 60
CONFIG = MirrorConfig(shadow=ShadowId(uid="uid-v4", name="v4"), began=BEGAN, url="http://x:1", plan=CLASSES)
GATE = {"agreement": 0.9, "errorRate": 0.05, "minTime": "2s", "allowUnderADay": True}
ROLLING_OUT = Rollout(state=Promotion.ROLLING_OUT, since=NOW.timestamp(), before={}, spec={})


class Kept:
    """An applier that takes everything."""

    def __init__(self) -> None:
        self.objects: list[Any] = []

    async def ensure(self, desired: Any) -> None:
        self.objects.append(desired.body)

    async def status(self, _: Any, body: Any) -> Any:
        return body

    async def create(self, *_: Any) -> None:
        pass


class Told:
    """The namespaces' tokens."""

    token = "t" * 40

    def of(self, _: str) -> str:
        return self.token


class Watching:
    """The watch cache of ShadowDeployments."""

    def __init__(self, *bodies: Any) -> None:
        self.bodies = bodies

    def shadows(self, _: str) -> tuple[Any, ...]:
        return self.bodies


@pytest.fixture
def shadows() -> Shadows:
    """Of one replica, without a cluster."""
    fixed = {"allowed": True, "needs_policy": False, "identity": "this", "status_interval": 30.0}
    return Shadows(*cast(Any, (None, Kept(), Watching(), Told())), **cast(Any, fixed), now=lambda: NOW)


@pytest.fixture
def known(shadows: Shadows) -> Running:
    """A shadow that is compared, and may be promoted."""
    course = Course(uid="uid-v4", generation=1, began=BEGAN, plan=CLASSES, verdict="Promotable")
    book = ShadowBook("uid-v4", 1, CLASSES)
    made = Running(observe_shadow(shadow(gate=GATE, minPairs=100)), course, book)
    made.live, made.heard = 1, {"a": NOW.timestamp()}
    made.take(part(CONFIG, "a", 400, waiting=3))
    shadows.judge(made)
    assert made.judgement is not None
    assert made.judgement.verdict == "Promotable"
    return made


def test_a_pod_is_known_to_mirror_by_its_part(known: Running) -> None:
    other = msgspec.structs.replace(CONFIG, shadow=ShadowId(uid="uid-v4", name="v4", generation=2))
    known.take(part(other, "b", 0))
    assert known.mirroring == {"a"}
    known.take(part(CONFIG, "b", 0))
    assert known.mirroring == {"a", "b"}


async def test_a_pod_that_warms_the_candidate_up_tells_no_pairs(shadows: Shadows) -> None:
    warming = Course(uid="uid-v4", generation=1, ready_since=BEGAN, plan=CLASSES)
    known = Running(observe_shadow(shadow(gate=GATE, minPairs=100)), warming)
    known.take(part(CONFIG, "a", 0, day=WARMING))
    assert (known.warming, known.mirroring, known.book) == ({"a"}, set(), None)
    shadows.judge(known)
    assert known.judgement is None
    await shadows._step(known, msgspec.structs.replace(warming, warm_since=BEGAN + 1))
    assert known.warming == {"a"}
    await shadows._step(known, msgspec.structs.replace(known.course, began=NOW.timestamp()))
    known.take(part(CONFIG, "b", 0, day=WARMING))
    assert known.mirroring == set(), "it has not heard of the beginning yet"
    known.take(part(CONFIG, "a", 400))
    assert known.mirroring == set(), "of another beginning"
    known.take(part(msgspec.structs.replace(CONFIG, began=NOW.timestamp()), "a", 400))
    assert known.mirroring == {"a"}
    assert known.book is not None
    assert known.book.snapshot().account.paired == 400


async def test_readiness_that_is_lost_forgets_who_warmed_it_up(shadows: Shadows) -> None:
    warming = Course(uid="uid-v4", generation=1, ready_since=BEGAN, plan=CLASSES)
    known = Running(observe_shadow(shadow(gate=GATE)), warming, warming={"a"})
    await shadows._step(known, Course(uid="uid-v4", generation=1))
    assert known.warming == set()
    known.take(part(CONFIG, "a", 0, day=WARMING))
    assert known.warming == set()


@pytest.mark.parametrize("change", [{"ended": Ending.DURATION_OVER}, {"rollout": ROLLING_OUT}])
async def test_the_last_verdict_stands(shadows: Shadows, known: Running, change: dict[str, Any]) -> None:
    before = known.judgement
    ended = msgspec.structs.replace(known.course, **change, ended_at=NOW.timestamp())
    await shadows._step(known, ended)
    # The candidate has gone, and a mirror that doesn't know yet asks it all the same.
    known.take(part(CONFIG, "a", 400, failed=5000, sequence=2))
    shadows.judge(known)
    assert known.judgement == before


async def test_pairs_that_dont_fit_leave_what_is_kept_as_it_is_and_are_said(
    shadows: Shadows, known: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their sums without what they are of would count twice, and what they are of without the sums never."""
    await shadows._keep(known, known.course)
    before = known.pairs
    assert known.book is not None
    known.take(part(CONFIG, "b", 400))
    known.book.heard("b", 1)
    known.book.fold(1, 1, NOW.timestamp())
    monkeypatch.setattr(books, "MOST_BYTES", 300)
    await shadows._keep(known, known.course)
    objects = cast(Any, shadows._applier).objects
    assert objects[-1]["binaryData"] == objects[-2]["binaryData"]
    assert (known.pairs, shadows._told(known).asked.full) == (before, True)
    monkeypatch.undo()
    await shadows._keep(known, known.course)
    assert not shadows._told(known).asked.full
    again = ShadowBook("uid-v4", 1, CLASSES)
    again.restore(known.pairs)
    assert again.snapshot().account.paired == 400 + 400


async def test_with_another_token_it_is_signed_anew(shadows: Shadows, known: Running) -> None:
    """Whoever goes on from there has only the token that there is by then."""
    said = refused(known.course, Refusal.NO_WORKLOAD, "")
    made = ShadowPlan(known.observed, known.course, (), (), None, said)
    applier, tokens = cast(Any, shadows._applier), cast(Any, shadows._tokens)
    await shadows._apply(known, made)
    assert not applier.objects  # nothing is kept yet
    await shadows._keep(known, known.course)
    await shadows._apply(known, made)
    assert len(applier.objects) == 1
    tokens.token = "u" * 40
    await shadows._apply(known, made)
    await shadows._apply(known, made)
    assert len(applier.objects) == 2
    told = observe_shadow(shadow(gate=GATE, minPairs=100))
    assert restored(told, applier.objects[1], key_of_token("u" * 40)).course == known.course
    assert restored(told, applier.objects[0], key_of_token("u" * 40)).course.anew


async def test_a_verdict_is_taken_back_while_there_is_no_candidate(shadows: Shadows, known: Running) -> None:
    said = refused(known.course, Refusal.MONITOR_NOT_FOUND, "", known.judgement)
    await shadows._apply(known, ShadowPlan(known.observed, known.course, (), (), None, said))
    status = known.observed.body["status"]
    assert (status["verdict"], known.back) == ("Inconclusive", "MonitorNotFound")
    assert (status["reason"], status["pairs"]) == ("MonitorNotFound", 400)


@pytest.mark.parametrize("ending", list(Ending))
async def test_after_its_end_a_verdict_stands_or_is_taken_back(
    shadows: Shadows, known: Running, ending: Ending
) -> None:
    """Though the monitor has gone by then: condition, status and series say the same."""
    known.course = msgspec.structs.replace(known.course, ended=ending, ended_at=NOW.timestamp())
    said = refused(known.course, Refusal.MONITOR_NOT_FOUND, "", known.judgement)
    await shadows._apply(known, ShadowPlan(known.observed, known.course, (), (), None, said))
    status = known.observed.body["status"]
    found = next(each for each in status["conditions"] if each["type"] == "Promotable")
    stands = ending in (Ending.REJECTED, Ending.DURATION_OVER, Ending.PROMOTED)
    expected = ("Promotable", "AllRulesHold", "True") if stands else ("Inconclusive", ending, "Unknown")
    assert (status["verdict"], status["reason"], found["status"]) == expected
    assert known.back == ("" if stands else ending)
    assert found["reason"] == status["reason"]


async def test_what_began_anew_has_a_verdict_like_any_other(shadows: Shadows, known: Running) -> None:
    """Once it has pairs again; one that had ended before has none of which anything is known."""
    for began, wanted in ((BEGAN, "Promotable"), (None, "Inconclusive")):
        change = {"anew": True, "began": began, "ended": Ending.DURATION_OVER, "ended_at": NOW.timestamp()}
        known.course = msgspec.structs.replace(known.course, **change)
        said = refused(known.course, Refusal.MONITOR_NOT_FOUND, "", known.judgement)
        await shadows._apply(known, ShadowPlan(known.observed, known.course, (), (), None, said))
        assert known.observed.body["status"]["verdict"] == wanted


class Pods:
    """A puller whose pods, by IP, tell these parts; a word where they tell none."""

    def __init__(self, **told: list[bytes] | Missed) -> None:
        self.told = told

    async def pairs(self, ip: str, monitor: str, cursor: str, token: str | None) -> Pairs | Missed:
        found = self.told[ip]
        return found if isinstance(found, Missed) else Pairs(tuple(found), "later")


class OneToken:
    def of(self, _: str) -> str:
        return "token"


def rounds_of(shadows: Shadows, known: Running, pods: Pods, *watched: str) -> ShadowRounds:
    """The turn of one shadow over pods whose UIDs are their IPs."""
    shadows._running[known.observed.key] = known
    spec = known.observed.spec
    assert spec is not None
    survey = Survey(len(watched), watched=tuple(Watched(f"pod-{uid}", uid, uid, 0.0) for uid in watched))
    plan = cast(Any, type("Plan", (), {"survey": survey}))
    live = LivePods(
        lambda: {(known.observed.namespace, spec.monitor_ref.name): plan}, lambda _: {*watched, "a"}
    )
    return ShadowRounds(shadows, cast(Any, pods), cast(Any, OneToken()), live, lambda _: None, lambda: NOW)


def shadow_of(course: Course) -> MirrorConfig:
    """What mirrors are told of it."""
    shadow = ShadowId(uid=course.uid, name="v4", generation=course.generation)
    assert course.began is not None
    return msgspec.structs.replace(CONFIG, shadow=shadow, began=course.began)


def told(pod: str, paired: int, **more: Any) -> bytes:
    return encode_part(part(CONFIG, pod, paired, **more))


def began_at(began: float) -> MirrorConfig:
    return msgspec.structs.replace(CONFIG, began=began)


def untrue(pod: str) -> bytes:
    return encode_part(replace(part(CONFIG, pod, 400), account=Account(eligible=1, mirrored=1, paired=1)))


def paired(known: Running) -> int:
    assert known.book is not None
    return known.book.snapshot().account.paired


async def test_what_one_pod_garbles_is_said_and_the_others_count(
    shadows: Shadows, known: Running, caplog: pytest.LogCaptureFixture
) -> None:
    pods = Pods(b=[untrue("b"), told("b", 7, boot="boot-2")], c=[told("c", 50)], d=Missed.UNREADABLE)
    rounds = rounds_of(shadows, known, pods, "b", "c", "d")
    for _ in range(2):
        await rounds.turn()
    assert paired(known) == 400 + 7 + 50
    assert known.refusals == {"b": "pod-b", "d": "pod-d"}
    assert (known.pods, known.answered, known.missed) == (3, 1, {"refused_parts": 1, "unreadable": 1})
    assert known.refused_parts == 4
    assert caplog.text.count("pod pod-b: a shadow part can't be true: 1 pairs, and 400") == 1
    assert known.cursors == {"b": "", "c": "later", "d": ""}, "what was refused is asked for again"
    assert shadows._told(known).asked.refused == ("pod-b", "pod-d")
    pods.told |= {"b": [told("b", 9, boot="boot-3")], "d": [told("d", 1)]}
    await rounds.turn()
    assert not known.refusals
    assert paired(known) == 400 + 7 + 9 + 50 + 1


async def test_a_pod_tells_of_itself_up_to_today_and_of_so_many_lives(
    shadows: Shadows, known: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_rounds, "MOST_LIVES", 3)
    monkeypatch.setattr(books, "MOST_LIVES", 3)
    lives = [told("c", 1, boot=f"boot-{n}") for n in range(5)]
    pods = Pods(b=[told("c", 5), told("b", 5, day=2), told("b", 6, day=1)], c=lives)
    await rounds_of(shadows, known, pods, "b", "c").turn()
    assert paired(known) == 400 + 6 + 3
    assert known.refused_parts == 2 + 2


async def test_a_day_is_added_up_once_its_pod_has_told_all_of_it(shadows: Shadows, known: Running) -> None:
    """Its day had ended before a controller came back that had the pairs of its noon."""
    began = NOW.timestamp() - 1.5 * DAY
    known.course, config = msgspec.structs.replace(known.course, began=began), began_at(began)

    def all_of(pod: str, paired: int, **more: Any) -> bytes:
        return encode_part(part(config, pod, paired, sequence=9, **more))

    known.book = ShadowBook("uid-v4", 1, CLASSES)
    for pod in "bcd":
        known.take(part(config, pod, 10))
    shadows.judge(known)
    pods = Pods(b=[all_of("b", 15)], c=[all_of("c", 15), untrue("c")], d=Missed.REFUSED)
    rounds = rounds_of(shadows, known, pods, "b", "c", "d")
    await rounds.turn()
    assert (paired(known), known.book.told) == (15 + 15 + 10, {"c", "d"})
    pods.told |= {"c": [], "d": [all_of("d", 15)]}  # of c another analyzer answers, which knows nothing yet
    await rounds.turn()
    await rounds.turn()
    assert (paired(known), known.book.told) == (3 * 15, {"c"})
    pods.told["c"] = [all_of("c", 20, boot="boot-0")]
    await rounds.turn()
    assert (paired(known), known.book.told) == (3 * 15 + 20, set())
    assert known.refused_parts == 1


@pytest.mark.parametrize("change", [{"generation": 2}, {"began": BEGAN + 30}], ids=["edited", "anew"])
async def test_what_pods_still_hold_of_another_comparison_is_no_fault(
    shadows: Shadows, known: Running, change: dict[str, Any]
) -> None:
    """On its sixth day the spec is edited, or what was kept is lost: the shelves hold days to come."""
    known.course = msgspec.structs.replace(known.course, **change)
    known.book = ShadowBook("uid-v4", known.course.generation, CLASSES)
    now = shadow_of(known.course)
    pods = Pods(
        b=[*(told("b", 100, day=day) for day in range(6)), encode_part(part(now, "b", 7, boot="boot-2"))]
    )
    await rounds_of(shadows, known, pods, "b").turn()
    assert paired(known) == 7
    assert known.book.days == {0}
    assert (known.cursors, known.answered, known.refused_parts) == ({"b": "later"}, 1, 0)


async def test_a_push_counts_only_of_a_pod_of_the_monitor(shadows: Shadows, known: Running) -> None:
    rounds = rounds_of(shadows, known, Pods(b=[told("b", 5)]), "b")
    spec = known.observed.spec
    assert spec is not None

    async def push(uid: str, *parts: bytes, monitor: str = spec.monitor_ref.name) -> Taken:
        return await rounds.accept(PushedPairs(known.observed.namespace, monitor, uid, parts))

    assert await push("nobody", told("nobody", 5_000)) is Taken.NOT_YET
    assert await push("b", told("b", 3)) is Taken.TAKEN
    await rounds.turn()
    assert await push("nobody", told("nobody", 5_000)) is Taken.UNKNOWN_POD
    assert await push("b", told("b", 8, sequence=2)) is Taken.TAKEN
    assert await push("a", told("a", 401, sequence=2)) is Taken.TAKEN, "it has told before, and left"
    assert await push("b", untrue("b"), told("b", 9, sequence=3)) is Taken.REFUSED
    assert await push("b", monitor="other") is Taken.UNKNOWN_MONITOR
    assert paired(known) == 401 + 9


async def test_until_a_shadow_is_read_a_push_is_to_come_again(shadows: Shadows, known: Running) -> None:
    """Who has just taken over would lose a leaving pod's pairs: told 404 it asks no more."""
    body, older = shadow(), shadow("older")
    shadows._source = Watching(body, older)
    rounds = rounds_of(shadows, known, Pods(), "a")
    assert await rounds.accept(push_of(known, "a", 900)) is Taken.NOT_YET, "the older is still to be read"
    shadows._source = Watching(body)
    other = push_of(known, "a", 900)._replace(monitor="other")
    shadows.forget()
    assert await rounds.accept(push_of(known, "a", 900)) is Taken.NOT_YET
    assert await rounds.accept(other) is Taken.UNKNOWN_MONITOR
    body["metadata"]["deletionTimestamp"] = "2026-11-27T12:00:00Z"
    assert await rounds.accept(push_of(known, "a", 900)) is Taken.UNKNOWN_MONITOR
    del body["metadata"]["deletionTimestamp"]
    shadows._running[known.observed.key] = known
    assert await rounds.accept(push_of(known, "a", 900)) is Taken.TAKEN
    assert paired(known) == 900
    body["metadata"]["uid"] = "uid-anew"
    assert await rounds.accept(push_of(known, "a", 950)) is Taken.NOT_YET, "another one of that name"


def kept_pairs(shadows: Shadows) -> int:
    """What another controller would go on with."""
    made = ShadowBook("uid-v4", 1, CLASSES)
    written = cast(Any, shadows._applier).objects[-1]
    made.restore(base64.b64decode(written["binaryData"][names.PAIRS_KEY]))
    return made.snapshot().account.paired


def push_of(known: Running, pod: str, paired: int) -> PushedPairs:
    spec = known.observed.spec
    assert spec is not None
    return PushedPairs(known.observed.namespace, spec.monitor_ref.name, pod, [told(pod, paired, sequence=2)])


async def test_what_a_leaving_pod_was_thanked_for_is_kept(shadows: Shadows, known: Running) -> None:
    """A controller that is killed at once after that loses nothing of it."""
    await shadows._keep(known)
    rounds = rounds_of(shadows, known, Pods(), "a")
    assert await rounds.accept(push_of(known, "a", 900)) is Taken.TAKEN
    assert kept_pairs(shadows) == 900


async def test_what_cant_be_kept_is_to_be_sent_again(
    shadows: Shadows, known: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(_: Any) -> None:
        raise ApiError(503, "ServiceUnavailable", "away", "PATCH")

    rounds = rounds_of(shadows, known, Pods(), "a")
    with monkeypatch.context() as patched:
        patched.setattr(shadows._applier, "ensure", down)
        assert await rounds.accept(push_of(known, "a", 900)) is Taken.NOT_KEPT
    assert await rounds.accept(push_of(known, "a", 900)) is Taken.TAKEN
    assert kept_pairs(shadows) == 900


async def test_pods_that_leave_together_share_a_write_and_the_last_course_stays(
    shadows: Shadows, known: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    applier, free = cast(Any, shadows._applier), asyncio.Event()

    async def slow(desired: Any) -> None:
        await free.wait()
        applier.objects.append(desired.body)

    monkeypatch.setattr(applier, "ensure", slow)
    pods = [f"pod-{n}" for n in range(20)]
    rounds = rounds_of(shadows, known, Pods(), *pods)
    pushes = [asyncio.create_task(rounds.accept(push_of(known, pod, 10))) for pod in pods]
    await asyncio.sleep(0)
    ended = msgspec.structs.replace(known.course, ended=Ending.DURATION_OVER, ended_at=NOW.timestamp())
    step = asyncio.create_task(shadows._step(known, ended))
    await asyncio.sleep(0)
    free.set()
    assert {*await asyncio.gather(*pushes)} == {Taken.TAKEN}
    await step
    assert len(applier.objects) <= 3
    assert kept_pairs(shadows) == 400 + 20 * 10
    assert decode(applier.objects[-1]["data"][names.COURSE_KEY], "uid-v4", 1) == known.course == ended
