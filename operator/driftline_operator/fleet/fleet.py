"""All books, and the rounds over the pods: pull, merge, judge, and what the status says of it.

    fleet.keep(monitors)              which monitors there are, their references and their pods
    await fleet.round(token_of, now)  ask every pod, judge what is due; the views of all monitors
    fleet.accept(push, now)           a leaving pod's last panes
    fleet.checkpoint(key)             bytes to be kept, None where nothing changed; `fleet.restore` takes them
    fleet.profile_of_captured(...)    rows of all pods made into a reference

Time is given: unix seconds.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from driftline import captured
from driftline.captured import Captured
from driftline.errors import DataError
from driftline.profile import Profile
from driftline.report import TransitionReport, VerdictReport
from driftline.spec import MonitorSpec

from driftline_operator.controller.plan.pods import Watched
from driftline_operator.controller.plan.status import FleetView
from driftline_operator.fleet import checkpoint, views
from driftline_operator.fleet.book import Book, Seen, Told
from driftline_operator.fleet.captures import CaptureDecision, decide
from driftline_operator.fleet.checkpoint import LeftOut
from driftline_operator.fleet.intake import Push, Taken
from driftline_operator.fleet.memory import trimmer
from driftline_operator.fleet.metrics import Figures
from driftline_operator.fleet.patience import Patience
from driftline_operator.fleet.pods import Place
from driftline_operator.fleet.pull import Missed, Page, Puller

_log = logging.getLogger(__name__)

Key = tuple[str, str]

_SAVED_EVERY: Final = 45
"""Panes: pods keep their panes as they are for sixty."""
_AT_ONCE: Final = 4
"""Pods whose whole day is held in memory."""
_MOST_CAPTURED: Final = 256 << 20
"""Bytes of all pods' rows that make one reference: pods beyond that are left out."""


class Member(NamedTuple):
    """A monitor as the fleet needs it."""

    spec: MonitorSpec
    profile: Profile | None
    pods: tuple[Watched, ...]


class Outcome(NamedTuple):
    """What a round found."""

    views: Mapping[Key, FleetView]
    transitions: Mapping[Key, Sequence[TransitionReport]]
    refused: frozenset[str] = frozenset()
    """Namespaces of pods that didn't take our token this time."""


class Fleet:
    """`interval`: seconds between two rounds."""

    def __init__(self, puller: Puller, interval: float) -> None:
        self._puller = puller
        self._interval = interval
        self._members: dict[Key, Member] = {}
        self._books: dict[Key, Book] = {}
        self._answered: dict[Key, int] = {}
        self._missed: dict[Key, Counter[str]] = {}
        self._views: dict[Key, tuple[tuple[int, int | None], FleetView]] = {}
        self._refused: set[str] = set()
        self._patience = Patience(interval)
        self._trim = trimmer()
        self._saved: dict[Key, tuple[int, float]] = {}
        """What `Book.changes` was at the last checkpoint, and when that was."""

    # ---- what there is ----

    def keep(self, members: Mapping[Key, Member], now: float) -> list[Key]:
        """Exactly these monitors. Whose counting changed begins anew: they are returned, to be restored."""
        begun = []
        for key, member in members.items():
            book = self._books.get(key)
            if member.profile is None:
                self._books.pop(key, None)
            elif book is None or _counts_otherwise(book, member):
                self._books[key] = Book(member.spec, member.profile, now, self._interval, _phase(key))
                self._saved.pop(key, None)
                self._views.pop(key, None)
                begun.append(key)
            elif any(getattr(book.spec, part) != getattr(member.spec, part) for part in ("drift", "quality")):
                book.replace_policy(member.spec)
            elif book.spec != member.spec:
                book.spec = member.spec
            if key in self._books:
                self._books[key].see([Seen(p.name, p.uid, p.started) for p in member.pods], now)
        self._members = dict(members)
        present = [("/".join(key), pod.uid) for key, each in members.items() for pod in each.pods]
        self._patience.keep({*present, *((f"{monitor} before", uid) for monitor, uid in present)})
        for known in (self._books, self._answered, self._missed, self._saved, self._views):
            for key in [key for key in known if key not in members]:
                known.pop(key)
        return begun

    def drop(self, key: Key) -> None:
        """Leave that monitor out of this round; the next `keep` begins it anew."""
        self._members.pop(key, None)
        self._books.pop(key, None)

    def figures(self) -> Iterable[Figures]:
        """For the series."""
        for key, member in self._members.items():
            answered = self._answered.get(key, 0)
            yield Figures(
                *key,
                member.spec.model.name,
                answered,
                max(0, len(member.pods) - answered),
                dict(self._missed.get(key, {})),
                self._books.get(key),
            )

    # ---- in ----

    async def round(self, token_of: Callable[[str], str | None], clock: Callable[[], float]) -> Outcome:
        """Ask all pods side by side, then judge; gives way between monitors: leases are renewed meanwhile."""
        self._refused.clear()
        await asyncio.gather(*(self._ask(key, token_of, clock) for key in list(self._members)))
        made: dict[Key, FleetView] = {}
        changed: dict[Key, Sequence[TransitionReport]] = {}
        for key in list(self._members):
            made[key], changed[key] = self._judge(key, clock())
            await asyncio.sleep(0)
        self._trim()
        return Outcome(made, changed, frozenset(self._refused))

    def _judge(self, key: Key, now: float) -> tuple[FleetView, Sequence[TransitionReport]]:
        book, answered = self._books.get(key), self._answered.get(key)
        if book is not None:
            try:
                changed = book.step(now)
                return self._view(key, book, answered), changed
            except Exception:  # noqa: BLE001 - logged with its trace
                # What one monitor's pods sent must not stop the others; a book half changed is worth nothing.
                _log.exception("%s/%s begins anew", *key)
                self._drop(key)
        return FleetView(answered=answered), ()

    def _drop(self, key: Key) -> None:
        self._books.pop(key, None)
        self._views.pop(key, None)

    def _view(self, key: Key, book: Book, answered: int | None) -> FleetView:
        """Made anew where a window was judged since."""
        at = book.judgements, answered
        seen, view = self._views.get(key, (None, FleetView()))
        if seen != at:
            view = views.view(book, answered)
            self._views[key] = at, view
        return view

    async def _ask(self, key: Key, token_of: Callable[[str], str | None], clock: Callable[[], float]) -> None:
        member = self._members[key]
        token, book, monitor = token_of(key[0]), self._books.get(key), "/".join(key)
        pods = [pod for pod in member.pods if pod.ip]

        async def one(pod: Watched) -> bool:
            began = clock()
            if not self._patience.may_ask((monitor, pod.uid), began):
                return False
            page = await self._page(book, pod, monitor, token, began)
            self._patience.answered((monitor, pod.uid), began, missed=isinstance(page, Missed))
            if not isinstance(page, Missed) and book is not None and book is self._books.get(key):
                page = self._taken(key, book, pod, page, began)
            if isinstance(page, Missed):
                self._missed.setdefault(key, Counter())[page.value] += 1
                if page is Missed.REFUSED:
                    self._refused.add(key[0])
                return False
            return True

        answers = await asyncio.gather(*map(one, pods))
        if member.pods:
            self._answered[key] = sum(answers)
        else:
            self._answered.pop(key, None)

    async def _page(
        self, book: Book | None, pod: Watched, monitor: str, token: str | None, now: float
    ) -> Page | Missed:
        """Of a pod that is new to us the newest panes: a day of all of them would take the round's time."""
        cursor = "" if book is None else book.cursor(pod.uid)
        if book is None or cursor:
            return await self._puller.panes(pod.ip, monitor, cursor, token)
        return await self._puller.newest(pod.ip, monitor, book.newest(now), token)

    async def catch_up(
        self, token_of: Callable[[str], str | None], clock: Callable[[], float], seconds: float
    ) -> None:
        """Ask for what wasn't asked at first, monitor by monitor, for so long; the next call goes on."""
        end = clock() + seconds
        for key, member in list(self._members.items()):
            book = self._books.get(key)
            lacking = [] if book is None else [pod for pod in member.pods if pod.uid in book.lacking]
            for at in range(0, len(lacking), _AT_ONCE):
                if book is None or book is not self._books.get(key) or not clock() < end:
                    return
                await self._recount(key, book, lacking[at : at + _AT_ONCE], token_of(key[0]), clock)

    async def _recount(
        self,
        key: Key,
        book: Book,
        pods: Sequence[Watched],
        token: str | None,
        clock: Callable[[], float],
    ) -> None:
        monitor, now = "/".join(key), clock()
        asked = [pod for pod in pods if self._patience.may_ask((f"{monitor} before", pod.uid), now)]
        pages = await asyncio.gather(*(self._puller.panes(pod.ip, monitor, "", token) for pod in asked))
        told: dict[str, Told] = {}
        for pod, page in zip(asked, pages, strict=True):
            missed = isinstance(page, Missed)
            self._patience.answered((f"{monitor} before", pod.uid), now, missed=missed)
            if isinstance(page, Missed):
                self._missed.setdefault(key, Counter())[page.value] += 1
            else:
                told[pod.uid] = Told(page.cursor, page.began, page.panes)
        if book is not self._books.get(key) or not told:
            return
        try:
            book.recount(told, now)
        except Exception:  # noqa: BLE001 - logged with its trace; a book half changed is worth nothing
            _log.exception("%s/%s begins anew", *key)
            self._drop(key)

    def _taken(self, key: Key, book: Book, pod: Watched, page: Page, through: float) -> Page | Missed:
        # Panes that are still counting weren't given.
        closed = through // book.pane * book.pane
        try:
            seen = Seen(pod.name, pod.uid, pod.started)
            book.take(seen, page.cursor, page.began, page.panes, closed, page.begin)
        except Exception:  # noqa: BLE001 - logged with its trace; one pod must not stop the others
            _log.exception("%s/%s: the panes of pod %s", *key, pod.name)
            return Missed.UNREADABLE
        return page

    def accept(self, push: Push, now: float) -> Taken:
        """A leaving pod's last panes. Sent twice, or pulled before, they count once."""
        key = push.namespace, push.monitor
        book = self._books.get(key)
        if key not in self._members:
            return Taken.UNKNOWN_MONITOR
        if book is not None:
            known = book.pods.get(push.uid)
            started = push.began if known is None else known.started
            book.take(Seen(push.pod, push.uid, started), push.cursor, push.began, push.panes, now)
            if known is None and push.uid in book.pods:  # no room for it otherwise
                book.pods[push.uid].left = now
        return Taken.TAKEN

    # ---- over a failover ----

    def checkpoint(self, key: Key) -> bytes | None:
        """A book as bytes; None where there is none, or nothing worth a write came since the last time.

        What pods that live still hold is asked of them again, from the checkpoint's cursors on: worth a write
        is what only the controller has, and the time before the pods roll up what came since.
        """
        book = self._books.get(key)
        if book is None or not book.store.sequence:
            return None
        changes, at = self._saved.get(key, (-1, 0.0))
        # Not all in one round.
        # A clock that was set back must not end all writing.
        if book.changes == changes and at <= book.stepped < at + _SAVED_EVERY * book.pane * (
            1 - _phase(key) / 3
        ):
            return None
        self._saved[key] = book.changes, book.stepped
        return checkpoint.encode(book)

    def not_saved(self, key: Key) -> None:
        """The last checkpoint couldn't be written."""
        self._saved.pop(key, None)

    def restore(self, key: Key, data: bytes) -> str | LeftOut:
        """Go on from a checkpoint; empty, or why it can't be used: then the pods are asked from anew.

        Or which panes it had no room for: `recall` takes them.
        """
        book = self._books.get(key)
        if book is None:
            return "the monitor has no reference"
        try:
            return checkpoint.restore(book, data) or ""
        except DataError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - logged with its trace
            _log.exception("%s/%s: the checkpoint", *key)
            return type(error).__name__

    def recall(self, key: Key, left_out: LeftOut, panes: Mapping[Place, bytes]) -> bool:
        """Add what a checkpoint had no room for; False: something of it is lacking, and nothing was added."""
        book = self._books.get(key)
        return book is not None and checkpoint.recall(book, left_out, panes)

    def history(self, key: Key) -> tuple[str, list[tuple[int, int, bytes]]]:
        """The reference's hash, and what lasts of the panes: start, length and bytes of each."""
        book = self._books.get(key)
        return ("", []) if book is None else (book.profile.hash, book.store.rolled_up())

    # ---- references ----

    def verdict(self, key: Key) -> VerdictReport | None:
        """A fleet's verdict; None where there is no book."""
        book = self._books.get(key)
        return None if book is None else book.evaluator.verdict()

    async def captured_rows(
        self, key: Key, token: str | None, capture: str = "", *, in_force: bool = False
    ) -> CaptureDecision:
        """How many rows the pods keep for a capture, and whether that is enough for a reference."""
        member, monitor = self._members[key], "/".join(key)
        pods = [pod for pod in member.pods if pod.ip]
        found = await asyncio.gather(
            *(self._puller.captured_rows(pod.ip, monitor, capture, token) for pod in pods)
        )
        rows = {
            pod.uid: count for pod, count in zip(pods, found, strict=True) if not isinstance(count, Missed)
        }
        return decide(member.spec, rows, in_force=in_force)

    async def profile_of_captured(
        self, key: Key, token: str | None, now: float, capture: str = ""
    ) -> Profile:
        """One reference of all pods' rows. Raises DataError where they make none."""
        member, monitor = self._members[key], "/".join(key)
        parts: list[Captured] = []
        left = _MOST_CAPTURED
        for pod in member.pods:
            if not pod.ip or left <= 0:
                continue
            found = await self._puller.captured(pod.ip, monitor, capture, token)
            if not isinstance(found, Missed):
                parts.append(found)
                left -= 8 * found.rows * (len(found.features) + 1)
        if left <= 0:
            _log.warning(
                "%s: the reference is made of %d of %d pods' rows", monitor, len(parts), len(member.pods)
            )
        return await asyncio.to_thread(captured.build, member.spec, parts, now)


def _phase(key: Key) -> float:
    """A monitor's turn among the others, in [0, 1): the same in every controller."""
    return zlib.crc32("/".join(key).encode()) / 2**32


def _counts_otherwise(book: Book, member: Member) -> bool:
    """Do the panes change their meaning, or the windows?"""
    if member.profile is None or book.profile.hash != member.profile.hash:
        return True
    return any(
        getattr(book.spec, part) != getattr(member.spec, part)
        for part in ("schema", "model", "pane", "windows")
    )
