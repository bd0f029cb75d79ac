"""A book as bytes, for a ConfigMap: windows and verdicts go on where another controller left off. Pure.

What the pods still hold is asked of them again; what only the controller has is kept: the merged panes (pods
may have gone), what was added of each pod, and what lasts of the verdicts. Where it doesn't fit, the oldest
panes go; which those were is kept, for the hub may have them: `restore` returns them, `recall` takes them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from driftline.episode import VerdictsState
from driftline.errors import DataError

from driftline_operator.fleet.book import Book, Lacking
from driftline_operator.fleet.pods import Boot, Place, PodBook, Span, joined

VERSION: Final = 2
MOST_BYTES: Final = 700_000
"""A ConfigMap holds 1 MiB, base64 included."""
_MOST_INFLATED: Final = 64 << 20


class _Boot(msgspec.Struct, array_like=True):
    cursor: str
    folded: int
    fresh: list[tuple[int, int, bytes]]


class _Pod(msgspec.Struct, array_like=True):
    name: str
    uid: str
    started: float
    left: float | None
    boots: dict[str, _Boot]
    covered: list[Span]


class _Book(msgspec.Struct):
    version: int
    profile_hash: str
    model_version: str
    policy: bytes
    """The verdicts' own: others begin anew."""
    began: float
    panes: list[tuple[int, int, bytes]]
    judged: dict[int, int]
    verdicts: VerdictsState
    pods: list[_Pod]
    left_out: list[tuple[int, int, int]] = []
    """Start, length and CRC-32 of the panes that didn't fit."""
    whole: dict[str, list[Span]] = {}
    """By pod's UID the time that was covered with them."""
    lacking: dict[str, Lacking] = {}
    """By pod's UID what hasn't been asked of it yet."""


class LeftOut(NamedTuple):
    """What a checkpoint had no room for."""

    panes: Mapping[Place, int]
    """By place the CRC-32 of what was packed there."""
    covered: Mapping[str, list[Span]]

    @property
    def lengths(self) -> list[int]:
        """Of those panes."""
        return sorted({length for _, length in self.panes})


def encode(book: Book) -> bytes:
    """At most MOST_BYTES; what was left out shows as less coverage, never as fewer rows unsaid."""
    panes, judged = book.store.dump()
    pods = [_pod(pod) for pod in book.pods.values()]
    verdicts = book.evaluator.state()
    left_out: list[tuple[int, int, int]] = []
    covered: dict[str, list[Span]] = {}
    while True:
        whole = _Book(
            VERSION, book.profile.hash, book.spec.model.version, _policy(book), book.began, panes, judged,
            verdicts, pods, left_out, covered, book.lacking,
        )  # fmt: skip
        data = zlib.compress(msgspec.msgpack.encode(whole), 1)  # panes are packed already
        if len(data) <= MOST_BYTES or not (panes or pods):
            return data
        if panes:
            covered = covered or {pod.uid: pod.covered for pod in pods}
            left_out += [(start, length, zlib.crc32(each)) for start, length, each in panes[: _cut(panes)]]
            cut = panes[len(panes) // 4][0] + panes[len(panes) // 4][1] if len(panes) > 3 else None
            panes = panes[_cut(panes) :]
            pods = [_without(pod, cut) for pod in pods]
        else:
            pods = []


def _cut(panes: list[tuple[int, int, bytes]]) -> int:
    """How many go at once."""
    return len(panes) // 4 + 1


def restore(book: Book, data: bytes) -> LeftOut | None:
    """Go on from there. What had no room: None where all is there.

    Raises DataError where it is damaged, of another version or another reference.
    """
    found = _decoded(data)
    if found.version != VERSION:
        raise DataError(f"a checkpoint of version {found.version}, this program reads {VERSION}")
    if found.profile_hash != book.profile.hash:
        raise DataError("a checkpoint against another reference")
    if found.model_version != book.spec.model.version:
        raise DataError(f"a checkpoint of model version {found.model_version!r}")
    pods = {pod.uid: _read(pod) for pod in found.pods}
    book.store.restore(found.panes, found.judged)  # raises before anything of the book has changed
    if found.policy == _policy(book):
        book.evaluator.restore(found.verdicts)
    book.pods.update(pods)
    book.lacking.update(found.lacking)
    book.began = min(book.began, found.began)
    book.show_again(_shown(book, found.judged))
    if not found.left_out:
        return None
    panes = {(start, length): check for start, length, check in found.left_out}
    return LeftOut(panes, found.whole)


def recall(book: Book, left_out: LeftOut, panes: Mapping[Place, bytes]) -> bool:
    """Add what had no room, once all of it is there as it was; else nothing, and its time stays uncovered.

    Right after `restore`, before anything was taken.
    """
    found = {place: panes[place] for place in left_out.panes if place in panes}
    if any(zlib.crc32(found.get(place, b"")) != check for place, check in left_out.panes.items()):
        return False
    book.store.merge(found.items())
    for uid, covered in left_out.covered.items():
        pod = book.pods.get(uid)
        if pod is not None:
            pod.covered = joined([*covered, *pod.covered])
    book.show_again(_shown(book, book.store.judged))
    return True


def _shown(book: Book, judged: Mapping[int, int]) -> dict[int, int]:
    return {seconds: end for seconds, end in judged.items() if seconds in book.store.windows}


def _policy(book: Book) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(book.spec.drift))


def _decoded(data: bytes) -> _Book:
    try:
        engine = zlib.decompressobj()
        raw = engine.decompress(data, _MOST_INFLATED)
        if engine.unconsumed_tail or not engine.eof:
            raise DataError("a checkpoint that is cut off or too large")
        return msgspec.msgpack.decode(raw, type=_Book)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"a checkpoint that can't be read: {error}") from error


def _pod(pod: PodBook) -> _Pod:
    boots = {
        name: _Boot(boot.cursor, boot.folded, [(*place, data) for place, data in boot.fresh.items()])
        for name, boot in pod.boots.items()
    }
    return _Pod(pod.name, pod.uid, pod.started, pod.left, boots, pod.covered)


def _read(pod: _Pod) -> PodBook:
    boots = {}
    for name, boot in pod.boots.items():
        fresh = {(start, length): data for start, length, data in boot.fresh}
        boots[name] = Boot(boot.cursor, boot.folded, fresh)
    return PodBook(pod.name, pod.uid, pod.started, pod.left, boots, list(pod.covered))


def _without(pod: _Pod, before: int | None) -> _Pod:
    """The time whose panes were left out is no longer covered."""
    if before is None:
        return _Pod(pod.name, pod.uid, pod.started, pod.left, pod.boots, [])
    covered = [(max(a, before), b) for a, b in pod.covered if b > before]
    return _Pod(pod.name, pod.uid, pod.started, pod.left, pod.boots, covered)
