"""A fleet judges as one pod would: the same traffic over 1 and 50 pods; pods that go, restart, come back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from driftline import captured
from driftline.captured import Captured
from driftline.columns import Batch, CategoricalColumn, Column, NumericColumn
from driftline.counting import count
from driftline.errors import DataError
from driftline.pane import Pane
from driftline.pane_codec import encode_pane
from driftline.profile import Profile
from driftline.quantity import Duration
from driftline.report import VerdictReport
from driftline.spec import MonitorSpec
from driftline_operator.conditions import Aspect
from driftline_operator.fleet import checkpoint, views
from driftline_operator.fleet.book import Book, Seen
from driftline_operator.fleet.peers import compare
from scipy.stats import chi2_contingency

from tests.support.fleets import plain as rows
from tests.support.specs import categorical, monitor, numeric

PANE = 60
BEGAN = 1_700_006_400.0  # a multiple of a day
WINDOWS = (Duration(300), Duration(1800), Duration(3600))
SPEC: MonitorSpec = monitor(features=(numeric("age"), categorical("job")), windows=WINDOWS).spec
ROWS = 400
"""A minute, over all pods."""


@pytest.fixture(scope="module")
def profile() -> Profile:
    generator = np.random.default_rng(1)
    number = 40_000
    batch = rows(generator, number)
    times = np.arange(number, dtype=np.float64) * 60 / ROWS
    return captured.build(SPEC, [Captured(SPEC.schema.features, batch, times)], BEGAN)


def split(batch: Batch, pods: int) -> list[Batch]:
    parts = []
    for pod in range(pods):
        at = slice(pod, None, pods)
        age, job, employed = (batch.columns[name] for name in ("age", "job", "employed"))
        assert isinstance(age, NumericColumn)
        assert isinstance(job, CategoricalColumn)
        assert isinstance(employed, CategoricalColumn)
        number = len(age.values[at])
        columns: dict[str, Column] = {
            "age": NumericColumn(age.values[at]),
            "job": CategoricalColumn(job.codes[at], job.dictionary),
            "employed": CategoricalColumn(employed.codes[at], employed.dictionary),
        }
        parts.append(Batch(number, columns, number))
    return parts


def seen(pod: int) -> Seen:
    return Seen(f"pod-{pod}", f"uid-{pod}", BEGAN)


def cursor(profile: Profile, boot: str, sequence: int = 1) -> str:
    return f"{boot}:{profile.hash[:16]}:{sequence}"


def pane(profile: Profile, batch: Batch, start: float) -> Pane:
    counts = count(profile.axes(), batch, lambda: None)
    return Pane(start=int(start), length=PANE, profile_hash=profile.hash, counts=counts)


def run(
    book: Book,
    profile: Profile,
    minutes: range,
    pods: int,
    shift: float = 0.0,
    silent: Sequence[int] = (),
    odd: int | None = None,
) -> VerdictReport:
    """Traffic of these minutes through the pods, each pulled at every minute's end."""
    for minute in minutes:
        start = BEGAN + minute * PANE
        batches = split(rows(np.random.default_rng(minute + 2), ROWS, shift), pods)
        now = start + PANE + 5
        book.see([seen(pod) for pod in range(pods)], now)
        for pod, batch in enumerate(batches):
            if pod in silent:
                continue
            if pod == odd:
                batch = rows(np.random.default_rng(minute), batch.rows, 30.0)
            book.take(
                seen(pod),
                cursor(profile, f"boot{pod}"),
                BEGAN,
                [encode_pane(pane(profile, batch, start))],
                now,
            )
        book.step(now)
    return book.evaluator.verdict()


def book_of(profile: Profile) -> Book:
    return Book(SPEC, profile, BEGAN, 30.0)


@pytest.mark.parametrize("shift", [0.0, 12.0])
def test_one_pod_and_fifty_give_the_same_verdict(profile: Profile, shift: float) -> None:
    one, fifty = book_of(profile), book_of(profile)
    alone = run(one, profile, range(300), 1, shift)
    together = run(fifty, profile, range(300), 50, shift)
    assert together == alone
    assert alone.drifted is (shift > 0)
    assert {k: v.report for k, v in one.windows.items()} == {k: v.report for k, v in fifty.windows.items()}
    assert all(each.coverage > 0.99 for each in fifty.windows.values())


def test_too_few_pods_answering_is_no_verdict(profile: Profile) -> None:
    book = book_of(profile)
    verdict = run(book, profile, range(120), 10, 12.0, silent=range(6))
    assert not verdict.drifted
    found = {each.aspect: each for each in views.view(book, 4).findings}
    drift = found[Aspect.DATA_DRIFT]
    assert (drift.status, drift.reason) == ("Unknown", "LowCoverage")
    assert "40%" in drift.message
    assert all(each.state == "LowCoverage" for each in views.view(book, 4).windows)


def test_nothing_is_no_pass(profile: Profile) -> None:
    book = book_of(profile)
    book.see([seen(0)], BEGAN + 5)
    for minute in range(90):
        now = BEGAN + minute * PANE + 65
        book.take(seen(0), cursor(profile, "b"), BEGAN, [], now)
        book.step(now)
    for finding in views.view(book, 1).findings:
        assert (finding.status, finding.reason) == ("Unknown", "NoData")


def test_panes_that_come_twice_count_once(profile: Profile) -> None:
    book = book_of(profile)
    batch = rows(np.random.default_rng(3), 100)
    given = [encode_pane(pane(profile, batch, BEGAN))]
    for now in (BEGAN + 65, BEGAN + 70, BEGAN + 400, BEGAN + 500):
        book.see([seen(0)], now)
        book.take(seen(0), cursor(profile, "b"), BEGAN, given, now)
        book.step(now)
    assert book.windows[1800].report.rows == 100


def test_an_open_pane_that_is_pushed_and_then_again_with_more_rows(profile: Profile) -> None:
    book = book_of(profile)
    few = pane(profile, rows(np.random.default_rng(3), 60), BEGAN)
    more = few + pane(profile, rows(np.random.default_rng(4), 40), BEGAN)
    book.take(seen(0), cursor(profile, "b"), BEGAN, [encode_pane(few)], BEGAN + 30)
    book.take(seen(0), cursor(profile, "b", 2), BEGAN, [encode_pane(more)], BEGAN + 33)
    book.see([], BEGAN + 40)
    book.step(BEGAN + 400)
    assert book.windows[300].report.rows == 100


def test_a_pod_that_has_gone_stays_in_the_windows(profile: Profile) -> None:
    book = book_of(profile)
    run(book, profile, range(30), 4)
    before = book.windows[3600].report.rows
    run(book, profile, range(30, 33), 2)
    assert book.windows[3600].report.rows >= before
    assert book.windows[1800].coverage > 0.95


def test_another_boot_counts_and_the_time_between_is_missing(profile: Profile) -> None:
    book = book_of(profile)
    run(book, profile, range(10), 1)
    for minute in range(15, 20):  # five minutes were lost with the first boot
        start = BEGAN + minute * PANE
        now = start + PANE + 5
        batch = rows(np.random.default_rng(minute), ROWS)
        book.take(
            seen(0),
            cursor(profile, "second"),
            BEGAN + 15 * PANE,
            [encode_pane(pane(profile, batch, start))],
            now,
        )
        book.step(now)
    book.step(BEGAN + 23 * PANE)
    assert book.windows[1800].report.rows == 15 * ROWS
    assert book.coverage((BEGAN + 5 * PANE, BEGAN + 20 * PANE)) == pytest.approx(10 / 15, abs=0.02)


def test_panes_of_another_reference_are_refused_and_cover_nothing(profile: Profile) -> None:
    book = book_of(profile)
    other = pane(profile, rows(np.random.default_rng(1), 50), BEGAN)
    other = Pane(start=other.start, length=PANE, profile_hash="x" * 64, counts=other.counts)
    book.see([seen(0)], BEGAN)
    book.take(seen(0), f"b:{'x' * 16}:1", BEGAN, [encode_pane(other)], BEGAN + 65)
    book.step(BEGAN + 200)
    assert book.refused == {"other_profile": 1}
    assert book.windows[300].coverage == 0.0


def test_a_pod_that_sees_something_else_is_named(profile: Profile) -> None:
    book = book_of(profile)
    run(book, profile, range(90), 4, odd=2)
    (found,) = book.outliers
    assert (found.pod, found.feature) == ("pod-2", "age")
    assert found.psi > 1
    assert views.view(book, 4).outliers[0].pod == "pod-2"


def test_pods_that_see_the_same_are_not_named(profile: Profile) -> None:
    book = book_of(profile)
    run(book, profile, range(60), 3)
    assert book.outliers == []


def test_windows_and_verdicts_survive_a_failover(profile: Profile) -> None:
    first, whole = book_of(profile), book_of(profile)
    run(first, profile, range(200), 3, 12.0)
    data = checkpoint.encode(first)
    second = Book(SPEC, profile, BEGAN + 200 * PANE, 30.0)
    checkpoint.restore(second, data)
    assert second.evaluator.verdict() == first.evaluator.verdict()
    run(second, profile, range(200, 230), 3, 12.0)
    run(whole, profile, range(230), 3, 12.0)
    assert second.evaluator.verdict() == whole.evaluator.verdict()
    assert {k: v.report for k, v in second.windows.items()} == {k: v.report for k, v in whole.windows.items()}


def test_a_damaged_checkpoint_is_refused_and_changes_nothing(profile: Profile) -> None:
    book = book_of(profile)
    run(book, profile, range(20), 2)
    data = checkpoint.encode(book)
    other = book_of(profile)
    for bad in (b"", data[:-5], data[:50] + b"\x00" + data[51:]):
        with pytest.raises(DataError):
            checkpoint.restore(other, bad)
    assert other.store.panes == 0
    assert not other.pods


def test_a_checkpoint_fits_a_config_map(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    book = book_of(profile)
    run(book, profile, range(120), 3)
    most = len(checkpoint.encode(book)) * 2 // 3
    monkeypatch.setattr(checkpoint, "MOST_BYTES", most)
    data = checkpoint.encode(book)
    assert len(data) <= most
    other = book_of(profile)
    checkpoint.restore(other, data)
    assert 0 < other.store.panes < book.store.panes
    span = (BEGAN, BEGAN + 120 * PANE)
    assert other.coverage(span) < book.coverage(span)


@pytest.mark.parametrize("seed", range(20))
def test_pods_of_one_distribution_are_hardly_ever_named(seed: int) -> None:
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(3000, np.full(10, 0.1), size=30).astype(np.float64)
    psi, p = compare(counts, np.ones(30))
    assert psi.max() < 0.1
    # The smallest of thirty: below a thousandth in one of thirty-three such fleets.
    assert p.min() > 1e-5


def test_the_comparison_is_pearsons() -> None:
    counts = np.random.default_rng(5).multinomial(500, [0.4, 0.3, 0.2, 0.1], size=4).astype(np.float64)
    _, p = compare(counts, np.ones(4))
    for pod in range(4):
        others = np.delete(counts, pod, axis=0).sum(axis=0)
        assert p[pod] == pytest.approx(chi2_contingency([counts[pod], others], correction=False).pvalue)
