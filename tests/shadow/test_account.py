"""The account: it adds up, says where it doesn't, and merges."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from driftline.shadow.account import Account, Drop, Failure
from hypothesis import given, settings
from hypothesis import strategies as st

COUNT = st.integers(0, 1_000)


def _counts(reasons: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 99), min_size=reasons, max_size=reasons)


@st.composite
def accounts(draw: st.DrawFn) -> Account:
    """One that adds up, as any order of events leaves it."""
    dropped = {reason: count for reason, count in zip(Drop, draw(_counts(len(Drop))), strict=True) if count}
    failed = {
        reason: count for reason, count in zip(Failure, draw(_counts(len(Failure))), strict=True) if count
    }
    paired, lost, waiting = draw(COUNT), draw(COUNT), draw(COUNT)
    mirrored = paired + sum(failed.values())
    return Account(
        eligible=mirrored + sum(dropped.values()) + lost + waiting,
        mirrored=mirrored, paired=paired, lost=lost, waiting=waiting, dropped=dropped, failed=failed,
    )  # fmt: skip


@settings(deadline=None)
@given(accounts(), accounts(), accounts())
def test_what_adds_up_still_does_merged_in_any_order(a: Account, b: Account, c: Account) -> None:
    merged = (a + b) + c
    assert [*merged.problems()] == []
    assert merged == a + (b + c)
    assert a + b == b + a
    assert (a + Account()).eligible == a.eligible
    assert 0 <= merged.coverage <= merged.attempted <= 1


@settings(deadline=None)
@given(st.lists(st.none() | st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)).map(sorted)), st.randoms())
def test_a_sum_lasts_from_the_first_of_all_to_the_last(
    lasting: list[list[float] | None], random: Random
) -> None:
    random.shuffle(lasting)
    accounts = [Account() if each is None else Account(first=each[0], last=each[1]) for each in lasting]
    times = [at for each in lasting if each is not None for at in each]
    total = sum(accounts, Account())
    assert (total.first, total.last) == (min(times, default=None), max(times, default=None))


@pytest.mark.parametrize("name", ["eligible", "mirrored", "paired", "lost", "waiting"])
@settings(deadline=None)
@given(account=accounts())
def test_one_request_more_anywhere_is_noticed(name: str, account: Account) -> None:
    changed = msgspec.structs.replace(account, **{name: getattr(account, name) + 1})
    assert [*changed.problems()]


def test_the_problem_names_the_numbers() -> None:
    account = Account(eligible=10, mirrored=7, paired=5, dropped={Drop.BUDGET: 2}, failed={Failure.RESET: 1})
    assert [*account.problems()] == [
        "eligible 10 is not mirrored 7 + dropped 2 + lost 0 + waiting 0",
        "mirrored 7 is not paired 5 + failed 1",
    ]
    assert [*Account(eligible=-1, lost=-1).problems()] == [
        "eligible is negative (-1)",
        "lost is negative (-1)",
    ]


def test_coverage_counts_pairs_and_attempts_count_what_the_candidate_brought_upon_itself() -> None:
    account = Account(
        eligible=101, mirrored=20, paired=5, waiting=1,
        dropped={Drop.BREAKER_OPEN: 60, Drop.QUEUE_FULL: 10, Drop.BUDGET: 4, Drop.NOT_READY: 6},
        failed={Failure.TIMEOUT: 15},
    )  # fmt: skip
    assert [*account.problems()] == []
    assert account.coverage == 0.05
    assert account.attempted == 0.96
    assert account.unserved == 66


def test_nothing_covers_nothing() -> None:
    assert (Account().coverage, Account().attempted) == (0.0, 0.0)
    assert [*Account().problems()] == []
