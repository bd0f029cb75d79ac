"""From a window's counts to what is said of it: statistics, judgement, and what lasts.

Pure: no clock, no socket. One `Evaluator` per profile and policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from driftline.counts import ColumnCounts
from driftline.episode import Verdicts, VerdictsState, dataset, label, transition_report
from driftline.judge import OUTPUTS, Window, judge
from driftline.measure import Measurer
from driftline.pane import PaneCounts
from driftline.profile import FeatureProfile, FeatureType, Profile, Role
from driftline.quality import check, ratios
from driftline.report import FeatureReport, QualityReport, TransitionReport, VerdictReport, WindowReport
from driftline.spec import MonitorSpec
from driftline.stats import Statistic, statistics
from driftline.verdict import FeatureJudgement, Reason, State, WindowJudgement

FILLING = "Filling"
"""A window that began before counting did: shown, but no verdict is built on it."""

_NOT_SHOWN = frozenset({"chi2_log_pvalue"})


_NONE_AMISS = (0.0, 0.0, 0.0, 0.0, 0.0)
"""The first of the quality's ratios where every value is a good one."""


class Evaluator:
    """Judges windows of one monitor against one profile, in order of time."""

    def __init__(self, spec: MonitorSpec, profile: Profile, wanted: frozenset[str] | None = None) -> None:
        """`wanted`: the statistics beside the PSI to compute, by name; None: all there are.

        Where only some are wanted, who judges many monitors spares too: windows that have rows too few for
        a verdict aren't measured at all.
        """
        self._spec = spec
        self._profile = profile
        self._wanted = wanted
        self._measurer = Measurer(profile)
        self._verdicts = Verdicts([int(window) for window in spec.windows], spec.drift)

    def evaluate(
        self, window: Window, counts: PaneCounts, *, whole: bool, again: bool = False
    ) -> tuple[WindowReport, tuple[TransitionReport, ...]]:
        """Judge one window; only a `whole` one counts for what lasts.

        `again`: a window that was given before.

        A window that is still filling holds another part of the day than the reference's blocks of its
        length do, so that its verdict would be about the time of day.
        """
        found: dict[str, dict[str, Statistic]] = {feature.name: {} for feature in self._profile.features}
        if self._wanted is None or window.rows >= self._spec.drift.min_rows:
            found = {feature.name: self._statistics(feature, counts) for feature in self._profile.features}
            values = {
                name: {key: statistic.value for key, statistic in of.items()} for name, of in found.items()
            }
            measurements = self._measurer.measure(counts, self._spec.drift.thresholds, values)
        else:
            measurements = self._measurer.unmeasured()
        judgement = judge(window, measurements, self._profile.calibration, self._spec.drift)
        transitions: tuple[TransitionReport, ...] = ()
        if whole and again:
            judgement = self._verdicts.settled(judgement)
        elif whole:
            judgement, changed = self._verdicts.observe(judgement)
            transitions = tuple(transition_report(change) for change in changed)
        return self._report(judgement, counts, found, whole=whole), transitions

    def state(self) -> VerdictsState:
        """What lasts, for another process to go on with."""
        return self._verdicts.state()

    def restore(self, state: VerdictsState) -> None:
        """Go on from there."""
        self._verdicts.restore(state)

    def verdict(self) -> VerdictReport:
        """The monitor's verdict over all windows evaluated so far."""
        return self._verdicts.verdict()

    def role(self, seconds: int) -> str:
        """What the window of that length is for."""
        return self._verdicts.roles[seconds].value

    def _statistics(self, feature: FeatureProfile, counts: PaneCounts) -> dict[str, Statistic]:
        if self._wanted is not None and not self._wanted:
            return {}
        current = counts.features[feature.name]
        return statistics(feature.axis, feature.counts, current, feature.sd, feature.max_abs, self._wanted)

    def _report(
        self,
        judgement: WindowJudgement,
        counts: PaneCounts,
        found: Mapping[str, Mapping[str, Statistic]],
        *,
        whole: bool,
    ) -> WindowReport:
        judged = {feature.name: feature for feature in judgement.features}
        features = {
            feature.name: self._feature(
                feature,
                judged.get(feature.name),
                judgement.state,
                counts.features[feature.name],
                found[feature.name],
            )
            for feature in self._profile.features
        }
        outputs = (feature for feature in features.values() if feature.role in OUTPUTS)
        return WindowReport(
            window=label(judgement.seconds),
            role=self.role(judgement.seconds),
            start=judgement.start,
            end=judgement.end,
            rows=judgement.rows,
            requests=judgement.requests,
            state=judgement.state,
            reason="" if whole else FILLING,
            scale=judgement.scale,
            blocks=judgement.blocks,
            features=features,
            dataset=dataset(judgement, self._spec.drift),
            prediction_drifted=any(feature.drifted for feature in outputs),
            duplicate_ratio=counts.sketch.duplicate_ratio,
        )

    def _feature(
        self,
        feature: FeatureProfile,
        judged: FeatureJudgement | None,
        state: State,
        counts: ColumnCounts,
        found: Mapping[str, Statistic],
    ) -> FeatureReport:
        role = feature.role.value
        judged = judged or FeatureJudgement(feature.name, role, Reason(state.value))
        shown = {name: found[name] for name in found if name not in _NOT_SHOWN} if found else found
        values = {name: statistic.value for name, statistic in shown.items()} if shown else {}
        if self._wanted is not None and judged.psi is not None:
            values["psi"] = judged.psi
        now = ratios(counts)
        quality = check(feature.counts, counts, now, self._spec.quality)
        if not (found or quality or state.judged) and judged.psi is None and now[:5] == _NONE_AMISS:
            return _nothing(feature.type, feature.role, judged.reason, now.new_category)
        return FeatureReport(
            type=feature.type.value,
            role=role,
            statistics=values,
            p=judged.p,
            p_adjusted=judged.p_adjusted,
            extrapolated=judged.extrapolated,
            effective_rows=judged.effective_rows,
            missing_ratio=now.missing,
            out_of_range_ratio=now.out_of_range,
            new_category_ratio=now.new_category,
            quality=tuple(
                QualityReport(reason=finding.reason, value=finding.value, limit=finding.limit)
                for finding in quality
            ),
            effect=judged.effect,
            large=judged.large,
            unusual=judged.unusual,
            warned=judged.reason is Reason.WARNING,
            drifted=judged.reason is Reason.DRIFTED,
            reason=judged.reason,
            notes={
                name: reason.value
                for name, statistic in shown.items()
                if (reason := statistic.reason) is not None
            },
        )


@lru_cache(maxsize=256)
def _nothing(kind: FeatureType, role: Role, reason: Reason, new_category: float | None) -> FeatureReport:
    """What is said of a column of which nothing was measured and all values are good: as most often."""
    return FeatureReport(
        type=kind.value,
        role=role.value,
        statistics={},
        effective_rows=0.0,
        missing_ratio=0.0,
        out_of_range_ratio=0.0,
        new_category_ratio=new_category,
        reason=reason,
    )
