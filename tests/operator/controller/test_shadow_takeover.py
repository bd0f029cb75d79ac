"""Another controller goes on with what was kept: it asks before it decides, and what was said stands."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import numpy as np
import pytest
from driftline.shadow.codec import Part, encode_part
from driftline.shadow.gate import DAY
from driftline.shadow.performance import of_classes
from driftline.shadow.runtime import MirrorConfig, ShadowId
from driftline_operator.controller import shadows as module
from driftline_operator.controller.running import Running
from driftline_operator.controller.shadow_rounds import ShadowRounds
from driftline_operator.controller.shadows import Shadows
from driftline_operator.fleet.pull import Missed
from driftline_operator.shadow.book import Labels, ShadowBook
from driftline_operator.shadow.observed import observe_shadow
from driftline_operator.shadow.plan import ShadowPlan
from driftline_operator.shadow.reasons import Ending
from driftline_operator.shadow.status import said

from tests.operator.controller.test_shadow_rounds import NOW, Kept, Pods, Told, rounds_of
from tests.operator.shadow.test_plan import comparing, planned, reason, running, shadow
from tests.support.shadow_fleet import part

DAILY = {"agreement": 0.9, "errorRate": 0.05, "minTime": "24h"}
HURRIED = {"agreement": 0.9, "errorRate": 0.05, "minTime": "2s", "allowUnderADay": True}
LABELLED = {**HURRIED, "performance": {"accuracy": 0.02}}
PODS = ("b", "c", "d", "e")


class Cluster:
    """Its API server has what the last controller wrote."""

    def __init__(self, applier: Kept) -> None:
        self._applier = applier

    async def get(self, *_: Any) -> Any:
        return self._applier.objects[-1]


def replica(applier: Kept) -> Shadows:
    fixed = {"allowed": True, "needs_policy": False, "identity": "this", "status_interval": 30.0}
    given = cast(Any, (Cluster(applier), applier, None, Told()))
    return Shadows(*given, **cast(Any, fixed), now=lambda: NOW)


class Story:
    """A shadow that began some seconds ago, and the replicas that look after it one after another."""

    def __init__(self, ago: float, gate: dict[str, Any], **spec: Any) -> None:
        self.body = shadow(gate=gate, minPairs=100, **spec)
        self.course = msgspec.structs.replace(comparing().course, began=NOW.timestamp() - ago)
        assert self.course.plan is not None
        shadow_id = ShadowId(uid="uid-v4", name="v4")
        self.config = MirrorConfig(
            shadow=shadow_id, began=NOW.timestamp() - ago, url="http://x:1", plan=self.course.plan
        )
        self.applier = Kept()
        self.shadows = replica(self.applier)
        self.known = Running(observe_shadow(self.body), self.course)
        self.known.book = ShadowBook("uid-v4", 1, self.course.plan)

    def part(self, pod: str, paired: int = 4_000, **more: Any) -> Part:
        return part(self.config, pod, paired, **more)

    async def take_over(self) -> None:
        await self.shadows._keep(self.known, self.known.course)
        self.shadows = replica(self.applier)
        self.known = await self.shadows._load(self.known.observed)

    def rounds(self, **told: Any) -> ShadowRounds:
        given = {pod: answer if isinstance(answer, Missed) else [*answer] for pod, answer in told.items()}
        return rounds_of(self.shadows, self.known, Pods(**given), *told)

    def all_tell(self, **more: Any) -> ShadowRounds:
        return self.rounds(**{pod: [encode_part(self.part(pod, sequence=9, **more))] for pod in PODS})

    def look(self, promote: str = "") -> ShadowPlan:
        """Its course becomes what was planned."""
        body = self.body
        if promote:
            asked = {"annotations": {"driftline.io/promote": promote}}
            body = {**body, "metadata": {**body["metadata"], **asked}}
        made = planned(body, running(self.body), self.shadows._told(self.known))
        self.known.course = made.course
        return made


async def test_nothing_is_promoted_before_the_pods_are_asked() -> None:
    """Of one pod of four the noon was kept; the day has ended since."""
    story = Story(DAY + 1800, DAILY, onPass="Promote", duration="96h")
    story.known.take(story.part("b"))
    await story.take_over()
    for promote in ("", "1"):
        made = story.look(promote)
        assert (made.course.rollout, made.course.declined, made.patch) == (None, None, ())
    await story.all_tell().turn()
    assert story.look().course.rollout is not None


async def test_it_doesnt_end_before_the_pods_are_asked() -> None:
    story = Story(DAY + 1800, DAILY, duration="24h")
    story.known.take(story.part("b"))
    await story.take_over()
    assert story.look().course.ended is None
    await story.all_tell(failed=2_000).turn()
    assert story.look().course.ended is Ending.REJECTED


async def test_pods_that_dont_answer_at_once_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(DAY + 1800, DAILY, duration="24h")
    for pod in PODS:
        story.known.take(story.part(pod))
    await story.take_over()
    rounds = story.rounds(b=Missed.REFUSED, c=Missed.REFUSED, d=Missed.REFUSED, e=Missed.REFUSED)
    await rounds.turn()
    assert story.look().course.ended is None
    monkeypatch.setattr(module, "_TAKEOVER_SECONDS", 0.0)
    await rounds.turn()
    made = story.look()
    assert (made.course.ended, made.course.verdict) == (Ending.DURATION_OVER, "Inconclusive")
    assert reason(made, "Promotable") == "SilentPods"


async def test_the_last_word_is_said_until_then() -> None:
    story = Story(DAY + 1800, DAILY, duration="96h")
    await story.all_tell().turn()
    before = story.known.judgement
    assert before is not None
    since = story.look().course.verdict_since
    await story.take_over()
    assert story.known.judgement is not None
    assert said(story.known.observed, story.known.judgement) == said(story.known.observed, before)
    made = story.look()
    assert (reason(made, "Promotable"), reason(made, "Mirroring")) == ("AllRulesHold", "NotAskedYet")
    assert (made.course.verdict, made.course.verdict_since) == ("Promotable", since)


@pytest.mark.parametrize(("loss", "verdict"), [(0.0, "Promotable"), (0.5, "Rejected")])
async def test_what_labels_said_stands_after_the_end(loss: float, verdict: str) -> None:
    """They are not kept, and of what has ended nobody asks for them again."""
    story = Story(60, LABELLED)
    rows = np.arange(3_000)
    every = of_classes(rows, np.ones(3_000, bool), rows >= loss * 3_000)
    story.known.labels = Labels(every, every, NOW.timestamp())
    await story.all_tell().turn()
    before = story.known.judgement
    assert before is not None
    assert before.verdict == verdict
    ended = Ending.REJECTED if loss else Ending.DURATION_OVER
    course = story.look().course
    await story.shadows._step(story.known, msgspec.structs.replace(course, ended=ended))
    await story.take_over()
    after = story.known.judgement
    assert after is not None
    assert said(story.known.observed, after) == said(story.known.observed, before)
    assert (story.look().course.verdict, story.known.course.ended) == (verdict, ended)


async def test_labels_are_waited_for_after_a_takeover(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(60, LABELLED)
    await story.take_over()
    await story.all_tell().turn()
    assert story.known.judgement is None
    every = of_classes(np.arange(3_000), np.ones(3_000, bool), np.ones(3_000, bool))
    story.known.labels = Labels(every, every, NOW.timestamp())
    await story.all_tell().turn()
    assert story.look().course.verdict == "Promotable"
    await story.take_over()
    monkeypatch.setattr(module, "_TAKEOVER_SECONDS", 0.0)
    await story.all_tell().turn()
    assert story.look().course.verdict == "Inconclusive"


async def test_pods_that_stopped_telling_are_not_said_to_mirror() -> None:
    """Three of four can't be read, or are refused, since the tenth minute of a day."""
    story = Story(DAY + 1800, DAILY, duration="96h")
    for pod in PODS:
        story.known.take(story.part(pod, 10))
    story.known.heard = dict.fromkeys(PODS, NOW.timestamp() - DAY)
    untrue = encode_part(story.part("e", 400))[:-1]
    rounds = story.rounds(
        b=[encode_part(story.part("b", 5_000, sequence=9))],
        c=Missed.UNREADABLE, d=Missed.UNREADABLE, e=[untrue],
    )  # fmt: skip
    await rounds.turn()
    made = story.look()
    assert (made.course.verdict, reason(made, "Promotable")) == ("Inconclusive", "SilentPods")
    (message,) = [each.message for each in made.findings if each.aspect == "Mirroring"]
    assert message.startswith("1 of 4 live pods mirror")


async def test_a_pod_that_misses_a_round_still_counts() -> None:
    story = Story(60, HURRIED)
    await story.all_tell().turn()
    assert story.look().course.verdict == "Promotable"
    missing = dict.fromkeys(PODS, Missed.REFUSED)
    await story.rounds(**missing).turn()
    assert story.look().course.verdict == "Promotable"
    story.known.heard = dict.fromkeys(PODS, NOW.timestamp() - 301)
    await story.rounds(**missing).turn()
    assert reason(story.look(), "Promotable") == "SilentPods"


async def test_live_pods_that_cant_be_asked_are_silent_too() -> None:
    story = Story(60, HURRIED)
    rounds = story.all_tell()
    plans = rounds._live.planned()
    (plan,) = plans.values()
    cast(Any, plan).survey = plan.survey._replace(expected=9)
    await rounds.turn()
    made = story.look()
    assert reason(made, "Promotable") == "SilentPods"
    (message,) = [each.message for each in made.findings if each.aspect == "Mirroring"]
    assert message == (
        "4 of 4 live pods mirror; 5 more can't be asked: their sidecars don't run, or they have none"
    )
