"""Counting one monitor's rows against one profile: panes, windows, and what they say.

A new profile gets a new one of these: panes on unlike grids never merge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from driftline.captured import limits_of
from driftline.categories import Categories
from driftline.columns import Batch
from driftline.counting import count
from driftline.counts import CategoricalCounts, ColumnCounts, NumericCounts
from driftline.episode import label
from driftline.evaluation import Evaluator
from driftline.grid import Grid
from driftline.judge import Window
from driftline.pane import Axes, FeatureAxis, PaneCounts
from driftline.profile import Profile
from driftline.report import TransitionReport, VerdictReport, WindowReport
from driftline.spec import Feature, MonitorSpec
from driftline.windows import PaneStore, WindowCounts, step

from driftline_sidecar.analyzer.history import History
from driftline_sidecar.analyzer.tally import Tally
from driftline_sidecar.courtesy import give_way

LOG_LENGTH = 200


class Counting:
    """Panes and verdicts from `began` (unix seconds) on."""

    def __init__(
        self, spec: MonitorSpec, profile: Profile, features: Sequence[Feature], began: float
    ) -> None:
        self.spec = spec
        self.profile = profile
        self.axes: Axes = profile.axes().limited(limits_of(features))
        self.panes = PaneStore(self.axes, int(spec.pane), _lengths(spec), spec.model.version)
        self.windows: dict[int, WindowReport] = {}
        self.shortest: PaneCounts | None = None
        """The counts of the shortest window, as last evaluated."""
        self.log: list[TransitionReport] = []
        self._evaluator = Evaluator(spec, profile)
        self.began = began
        self._pane = int(spec.pane)
        self._shortest = min(_lengths(spec))
        self._previewed = 0
        self.prediction_name = spec.schema.prediction.name
        self.prediction: NumericCounts | None = None
        """All predicted values since then, where they are numbers."""

    def add(self, batch: Batch, at: float, tally: Tally) -> None:
        """Count a batch of rows that came at that time (unix seconds)."""
        if batch.rows == 0:
            return
        counts = count(self.axes, batch, give_way)
        self.panes.add(counts, at)
        tally.rows += batch.rows
        for name, column in counts.features.items():
            _tell(tally, name, column)
        if self.prediction_name in counts.features:
            axis = self.axes.features[self.prediction_name]
            self._tell_predictions(tally, counts.features[self.prediction_name], axis)

    def step(self, now: float, history: History) -> tuple[TransitionReport, ...]:
        """Evaluate the windows that are due by then; what changed. Idempotent within a step."""
        changed: list[TransitionReport] = []
        for window in self.panes.due(now):
            changed += self._evaluate(window, history)
        self._preview(int(now), history)
        self.panes.settle(now)
        self.log = [*self.log, *changed][-LOG_LENGTH:]
        return tuple(changed)

    def replace_policy(self, spec: MonitorSpec) -> None:
        """Judge by another policy from now on; what is counted stays, what lasted begins anew."""
        self.spec = spec
        self._evaluator = Evaluator(spec, self.profile)

    def verdict(self) -> VerdictReport:
        """The monitor's verdict over all windows."""
        return self._evaluator.verdict()

    def _evaluate(self, found: WindowCounts, history: History) -> tuple[TransitionReport, ...]:
        counts = found.counts or PaneCounts.empty(self.axes)
        window = Window(found.seconds, found.start, found.end, counts.rows, counts.requests)
        # The pane in which counting began counts as whole: less than one pane of it is missing.
        whole = found.start >= self.began // self._pane * self._pane
        report, changed = self._evaluator.evaluate(window, counts, whole=whole)
        self.windows[found.seconds] = report
        if found.seconds == self._shortest:
            self.shortest = counts
        if found.end > self.began:
            history.add_window(report)
        return changed

    def _preview(self, now: int, history: History) -> None:
        """Until a window's first step, show it at the end of each pane: nobody waits hours for a look."""
        end = now // self._pane * self._pane
        if end <= max(self._previewed, self.began):
            return
        self._previewed = end
        for seconds in self.panes.windows:
            known = self.windows.get(seconds)
            if end < self.began + step(seconds, self._pane) and (known is None or known.end < end):
                self._evaluate(self.panes.window(seconds, end), history)

    def _tell_predictions(self, tally: Tally, counts: ColumnCounts, axis: FeatureAxis) -> None:
        if isinstance(counts, NumericCounts):
            self.prediction = counts if self.prediction is None else self.prediction + counts
        elif isinstance(axis, Categories):
            for name, rows in zip(axis.known, counts.known.tolist(), strict=True):
                tally.predicted(name, rows)
            tally.predicted("other", counts.other + counts.new_rows)


def cumulative(counts: NumericCounts, grid: Grid) -> tuple[list[float], list[int], float]:
    """The deciles, the values at or below each of them (and all), and their sum: a histogram."""
    below = np.cumsum(counts.counts)
    at = [int(below[2 * index + 1]) for index in grid.decile_index]
    open_cells = counts.counts[0::2]
    total = counts.sums.sum() + (open_cells * grid.centres).sum() + (counts.counts[1::2] * grid.edges).sum()
    return grid.decile_edges.tolist(), [*at, counts.valid], float(total)


def window_names(spec: MonitorSpec) -> list[str]:
    """The windows as reports and series call them."""
    return [label(int(window)) for window in spec.windows]


def _lengths(spec: MonitorSpec) -> list[int]:
    return [int(window) for window in spec.windows]


def _tell(tally: Tally, name: str, counts: ColumnCounts) -> None:
    tally.violated(name, "missing", counts.missing)
    tally.violated(name, "null", counts.null)
    tally.violated(name, "wrong_type", counts.wrong_type)
    tally.violated(name, "out_of_range", counts.out_of_range)
    if isinstance(counts, CategoricalCounts):
        tally.violated(name, "new_category", counts.new_rows)
    else:
        tally.violated(name, "non_finite", counts.nan + counts.pos_inf + counts.neg_inf)
