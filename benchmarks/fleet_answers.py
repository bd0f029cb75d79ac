"""The simulated pods of `benchmarks.fleet`: what their analyzers would answer, made once and kept as files.

    python -m benchmarks.fleet_answers DIRECTORY [--monitors 300] [--pods 1000] [--models 50] [--rows 20]
        [--minutes 12]

A model has a reference of its own, and each pod of its first monitor rows of its own; the monitors after the
first `--models` have the same again (nothing of it is shared in the controller). A pod's first answer is a
day, rolled up with age as an analyzer does it, then a pane a minute. `--rows`: of one pod in one minute.
What is there already is kept: 50 models with 200 pods take some four minutes.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

import numpy as np
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.counting import count
from driftline.pane import Pane
from driftline.pane_codec import encode_pane
from driftline.profile import Profile, Role
from driftline.profile_build import BuildPlan, MemoryRows, ReferenceColumn, build_profile
from driftline.profile_codec import decode_profile, encode_profile
from driftline_operator.fleet.pull import read_page

FEATURES = 30
CATEGORICAL = 3
MINUTE, HOUR, DAY = 60, 3600, 86400
NOON = 1_795_435_200
"""A multiple of a day's twelfth: the windows of 24 hours are due here."""
REFERENCE_ROWS = 20_000


class Model:
    """One monitor's model: columns with distributions of its own."""

    def __init__(self, number: int) -> None:
        self._rng = np.random.default_rng([1, number])
        self._means = self._rng.normal(0, 10, FEATURES)
        self._spreads = self._rng.lognormal(0, 1, FEATURES)
        self._shares = self._rng.dirichlet(np.full(8, 5.0), CATEGORICAL)

    def batch(self, rows: int, rng: np.random.Generator) -> Batch:
        """Rows without drift, each a request of its own."""
        columns: dict[str, Column] = {}
        for index in range(FEATURES - CATEGORICAL):
            values = rng.normal(self._means[index], self._spreads[index], rows)
            columns[f"f{index:02d}"] = NumericColumn(values)
        for index in range(CATEGORICAL):
            codes = rng.choice(8, rows, p=self._shares[index]).astype(np.int32)
            columns[f"c{index}"] = CategoricalColumn(codes, tuple("abcdefgh"))
        columns["label"] = CategoricalColumn(rng.integers(0, 2, rows).astype(np.int32), ("no", "yes"))
        return Batch(rows, columns, rows)

    def reference(self) -> Profile:
        """Of three days, with calibration for all windows."""
        rows = self.batch(REFERENCE_ROWS, self._rng)
        columns = tuple(
            ReferenceColumn(
                name,
                isinstance(column, NumericColumn),
                Role.PREDICTION if name == "label" else Role.FEATURE,
            )
            for name, column in rows.columns.items()
        )
        times = np.linspace(0, 3 * DAY, REFERENCE_ROWS)
        plan = BuildPlan(columns=columns, windows=(5 * MINUTE, HOUR, DAY))
        return build_profile(MemoryRows([(rows, times)]), plan)


class Pod:
    """One pod of a model, counting against its reference."""

    def __init__(self, model: Model, profile: Profile, number: int, rows: int) -> None:
        self._model, self._axes, self._rows = model, profile.axes(), rows
        self._rng = np.random.default_rng([2, number])

    def pane(self, start: int, length: int) -> bytes:
        """One pane with its own length before it."""
        counts = count(self._axes, self._model.batch(self._rows * length // MINUTE, self._rng))
        pane = Pane(start=start, length=length, profile_hash=self._axes.profile_hash, counts=counts)
        data = encode_pane(pane)
        return struct.pack("<I", len(data)) + data

    def history(self, now: int) -> bytes:
        """A day, as an analyzer rolls it up."""
        return b"".join(self.pane(*place) for place in places(now))


def places(now: int) -> list[tuple[int, int]]:
    """Start and length of each pane of a day, in order."""
    found = [(at, HOUR) for at in range(now - 26 * HOUR, now - 7 * HOUR, HOUR)]
    found += [(at, 5 * MINUTE) for at in range(now - 7 * HOUR, now - HOUR, 5 * MINUTE)]
    return found + [(at, MINUTE) for at in range(now - HOUR, now, MINUTE)]


class Answers:
    """The files: a reference by monitor; a day, and each minute after it, by pod."""

    def __init__(self, directory: Path, monitors: int, pods: int, models: int, rows: int) -> None:
        self.monitors, self.pods, self._rows = monitors, pods, rows
        self.models = min(models, monitors)
        self._place = directory / f"{monitors}-{pods}-{rows}"

    def profile(self, monitor: int) -> bytes:
        """A model's reference, encoded."""
        return (self._place / f"profile-{monitor % self.models}").read_bytes()

    def page(self, pod: int, minute: int) -> bytes:
        """What a pod answers in that minute; 0: its day until then."""
        monitor = pod % self.monitors
        first = pod - monitor + monitor % self.models
        return (self._place / f"pod-{first}-{minute}").read_bytes()

    def newest(self, pod: int, begin: int) -> bytes:
        """Its day, without what begins earlier."""
        starts = [start for start, _ in places(NOON)]
        panes = read_page(self.page(pod, 0))
        chosen = [pane for start, pane in zip(starts, panes, strict=True) if start >= begin]
        return b"".join(struct.pack("<I", len(pane)) + pane for pane in chosen)

    def pods_of(self, monitor: int) -> range:
        """The numbers of a monitor's pods."""
        return range(monitor, self.pods, self.monitors)

    def make(self, minutes: int) -> None:
        """All that isn't there yet."""
        self._place.mkdir(parents=True, exist_ok=True)
        for monitor in range(self.models):
            self._make(monitor, minutes)

    def _make(self, monitor: int, minutes: int) -> None:
        model, kept = Model(monitor), self._place / f"profile-{monitor}"
        if not kept.exists():
            _keep(kept, encode_profile(model.reference()))
        profile = decode_profile(kept.read_bytes(), kept.name)
        for number in self.pods_of(monitor):
            pod = Pod(model, profile, number, self._rows)
            last = self._place / f"pod-{number}-{minutes}"
            if last.exists():
                continue
            _keep(self._place / f"pod-{number}-0", pod.history(NOON))
            for minute in range(1, minutes + 1):
                start = NOON + (minute - 1) * MINUTE
                _keep(self._place / f"pod-{number}-{minute}", pod.pane(start, MINUTE))


def _keep(path: Path, data: bytes) -> None:
    """Whole or not at all: a run may be cut off."""
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.rename(path)


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What pods are simulated."""
    parser.add_argument("directory", type=Path)
    parser.add_argument("--monitors", type=int, default=300)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--minutes", type=int, default=12)
    return parser


def main() -> None:
    """The command line."""
    options = arguments(argparse.ArgumentParser(prog="python -m benchmarks.fleet_answers")).parse_args()
    of = (options.monitors, options.pods, options.models, options.rows)
    Answers(options.directory, *of).make(options.minutes)


if __name__ == "__main__":
    main()
