"""What is counted outlives the mirror, the analyzer and whoever fetched it before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from driftline.errors import DataError
from driftline.shadow.account import Account, Drop, Failure
from driftline.shadow.codec import decode_part, encode_part
from driftline.shadow.ledger import Ledger
from driftline_sidecar.analyzer.mirror.book import Book
from driftline_sidecar.analyzer.mirror.reading import Outcome, Pair, Side
from driftline_sidecar.analyzer.mirror.shelf import MOST, Shelf, unpacked

from tests.support.mirrors import PLAN, mirror_config, parts_of, snapshot_of

CONFIG = mirror_config("http://127.0.0.1:1")
AT = 1_800_000_000.0
PAIRED = Outcome(False, False, pair=Pair("id", Side(1, ("no",)), Side(1, ("no",)), {"sex": [0]}))


def counted(book: Book, day: int, eligible: int, paired: int) -> None:
    for _ in range(eligible):
        book.offer(day, None)
    book.settle(day, [PAIRED] * paired, AT)


def killed(folder: Path, *, unwritten: int = 0) -> tuple[Shelf, bytes]:
    """A life that ended without a word, and what had been fetched of it."""
    shelf = Shelf(folder, "ml/demo")
    book = Book(CONFIG, "pod", "a" * 16)
    counter = shelf.counter(book.boot)
    counted(book, 0, 10, 6)
    counted(book, 1, 5, 2)
    shelf.put(book.parts())
    counter.set(book.eligible + unwritten)
    return shelf, shelf.since(0)[0]


class TestBook:
    def test_a_part_of_each_day_that_changed(self) -> None:
        book = Book(CONFIG, "pod", "boot")
        counted(book, 0, 3, 1)
        counted(book, 1, 2, 2)
        assert [(p.day, p.sequence, p.account.paired) for p in book.parts()] == [(0, 1, 1), (1, 1, 2)]
        assert book.parts() == []
        book.offer(1, Drop.BUDGET)
        assert [(p.day, p.sequence) for p in book.parts()] == [(1, 2)]

    def test_it_adds_up_whatever_happens(self) -> None:
        book = Book(CONFIG, "pod", "boot")
        counted(book, 0, 10, 4)
        book.offer(0, Drop.QUEUE_FULL)
        book.drop(0, Drop.BREAKER_OPEN)
        book.lose([0, 0])
        account, apart = book.total()
        assert not [*account.problems()]
        assert account == Account(
            eligible=11, mirrored=4, paired=4, lost=2, waiting=3,
            dropped={Drop.BREAKER_OPEN: 1, Drop.QUEUE_FULL: 1}, first=AT, last=AT,
        )  # fmt: skip
        assert apart == 0

    def test_it_knows_when_the_first_and_the_last_came_back(self) -> None:
        book = Book(CONFIG, "pod", "boot")
        for _ in range(4):
            book.offer(0, None)
        book.settle(0, [Drop.NOT_READY], AT)
        assert book.total()[0].span == 0
        assert book.total()[0].first is None
        for at in (AT + 5, AT + 60, AT + 700):
            book.settle(0, [PAIRED], at)
        account, _ = book.total()
        assert (account.first, account.last, account.span) == (AT + 5, AT + 700, 695)

    def test_the_candidates_own_failures_are_told_by_time(self) -> None:
        book = Book(CONFIG, "pod", "boot")
        own, both = Outcome(False, True, Failure.TIMEOUT), Outcome(True, True, Failure.LIVE_FAILED)
        for at in (AT, AT + 601, AT + 602):
            counted(book, 0, 3, 0)
            book.settle(0, [own, both, PAIRED], at)
        (part,) = [decode_part(encode_part(part)) for part in book.parts()]
        slot = int(AT // 600)
        assert part.account.failures == {slot: 1, slot + 1: 2}
        assert (part.account + part.account).worst == 6
        assert Account(failures={1: 5, 3: 4, 4: 2}).worst == 6
        assert Account().worst == 0

    def test_a_clock_that_is_set_back_refuses_no_pairs(self) -> None:
        book = Book(CONFIG, "pod", "boot")
        for at in (AT + 3_600, AT, AT + 30):
            counted(book, 0, 1, 0)
            book.settle(0, [PAIRED], at)
        (part,) = [decode_part(encode_part(part)) for part in book.parts()]
        assert (part.account.paired, part.account.first, part.account.last) == (3, AT, AT + 3_600)


class TestShelf:
    def test_a_cursor_gets_what_changed_since(self) -> None:
        shelf, book = Shelf(None, "ml/demo"), Book(CONFIG, "pod", "boot")
        counted(book, 0, 1, 1)
        counted(book, 1, 1, 1)
        shelf.put(book.parts())
        body, revision = shelf.since(0)
        assert len(parts_of(body)) == 2
        assert shelf.since(revision) == (b"", revision)
        counted(book, 1, 1, 1)
        shelf.put(book.parts())
        assert [(p.day, p.sequence) for p in parts_of(shelf.since(revision)[0])] == [(1, 2)]

    def test_the_successor_ends_what_a_killed_one_left(self, tmp_path: Path) -> None:
        _, fetched = killed(tmp_path, unwritten=7)
        successor = Shelf(tmp_path, "ml/demo")
        found = successor.since(0)[0]
        account = snapshot_of(CONFIG, found).account
        assert account == Account(eligible=22, mirrored=8, paired=8, lost=4 + 3 + 7, first=AT, last=AT)
        assert [(p.boot, p.account.lost) for p in parts_of(found)] == [("a" * 16, 4), ("a" * 16, 10)]
        ledger = Ledger(CONFIG.shadow.uid, CONFIG.shadow.generation, PLAN)
        assert all(ledger.take(part) for part in parts_of(fetched))
        assert all(ledger.take(part) for part in parts_of(found))
        assert ledger.snapshot().account == account

    def test_a_second_successor_changes_nothing_more(self, tmp_path: Path) -> None:
        killed(tmp_path, unwritten=7)
        first = Shelf(tmp_path, "ml/demo").since(0)[0]
        assert Shelf(tmp_path, "ml/demo").since(0)[0] == first

    def test_killed_in_its_first_moment(self, tmp_path: Path) -> None:
        shelf, book = Shelf(tmp_path, "ml/demo"), Book(CONFIG, "pod", "a" * 16)
        counter = shelf.counter(book.boot)
        shelf.put(book.parts())
        counter.set(3)
        account = snapshot_of(CONFIG, Shelf(tmp_path, "ml/demo").since(0)[0]).account
        assert account == Account(eligible=3, lost=3)

    @pytest.mark.parametrize(
        "damage", [lambda raw: raw[:-3], lambda raw: b"\xff" * 40, lambda raw: raw[:40] + b"x" + raw[41:]]
    )
    def test_what_is_damaged_is_left_out(self, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
        killed(tmp_path)
        path = tmp_path / "shadow-ml.demo.parts"
        path.write_bytes(damage(path.read_bytes()))
        for part in parts_of(Shelf(tmp_path, "ml/demo").since(0)[0]):
            assert not [*part.account.problems()]

    def test_a_folder_that_cannot_be_written_to_costs_only_the_copy(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("a file")
        shelf, book = Shelf(tmp_path / "state", "ml/demo"), Book(CONFIG, "pod", "boot")
        shelf.counter("boot").set(1)
        shelf.put(book.parts())
        assert shelf.unsaved
        assert len(parts_of(shelf.since(0)[0])) == 1

    def test_so_many_parts_and_no_more(self) -> None:
        shelf, book = Shelf(None, "ml/demo"), Book(CONFIG, "pod", "boot")
        for day in range(MOST + 10):
            counted(book, day, 1, 1)
            shelf.put(book.parts())
        assert [part.day for part in parts_of(shelf.since(0)[0])] == [*range(10, MOST + 10)]

    @pytest.mark.parametrize(
        "other",
        [
            lambda began: ("another", 1, began),
            lambda began: ("uid", 2, began),
            lambda began: ("uid", 1, began + 60),
        ],
        ids=["shadow", "generation", "anew"],
    )
    def test_parts_of_another_comparison_are_forgotten(
        self, tmp_path: Path, other: Callable[[float], tuple[str, int, float]]
    ) -> None:
        shelf, _ = killed(tmp_path)
        shelf.forget_others(("uid", 1, CONFIG.began))
        assert len(parts_of(shelf.since(0)[0])) == 2
        shelf.forget_others(other(CONFIG.began))
        assert shelf.since(0)[0] == b""


@pytest.mark.parametrize("raw", [b"\x01", b"\xff\xff\xff\xff", b"\x05\x00\x00\x00abc"])
def test_parts_that_are_cut_off(raw: bytes) -> None:
    with pytest.raises(DataError, match="cut off"):
        list(unpacked(raw))
