"""What one replica knows of one shadow beside the cluster's objects, from round to round."""

from __future__ import annotations

import asyncio

import msgspec
from driftline.shadow.codec import WARMING, Part
from driftline.shadow.comparison import Comparison, comparison
from driftline.shadow.gate import Judgement
from driftline.spec.shadow_status import ShadowStatus

from driftline_operator.shadow.book import Labels, ShadowBook
from driftline_operator.shadow.course import Course
from driftline_operator.shadow.observed import ObservedShadow


class Running(msgspec.Struct):
    """One shadow as this replica knows it."""

    observed: ObservedShadow
    course: Course
    book: ShadowBook | None = None
    judgement: Judgement | None = None
    back: str = ""
    """Why the status takes the judgement back; empty: it doesn't."""
    comparison: Comparison | None = None
    """What it says beside the rules, as it was last kept: with many segments it takes a second to make."""
    refused: str = ""
    cursors: dict[str, str] = {}
    """By pod's UID."""
    pods: int | None = None
    """Live ones that can be asked; None: no round has come yet."""
    answered: int = 0
    mirroring: set[str] = set()
    """Pods, by UID, that have told of a mirror of this shadow; of those that are there."""
    warming: set[str] = set()
    """Those of one that warms the candidate up."""
    saved: tuple[int, float] = (0, 0.0)
    """The book's `changes` as they were last kept, and when."""
    pairs: bytes = b""
    """The book as it was last kept."""
    full: bool = False
    """Whether the book fits its ConfigMap no longer: `pairs` stays then, whole in itself."""
    writing: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    """Held while it is kept, or an older state could be written after a newer one."""
    signed: bytes | None = None
    """The key with which it was last kept, empty: none; None: nothing is kept yet."""
    written: float = 0.0
    text: str = ""
    """What a promotion changes, as it is kept for people."""
    labels: Labels = Labels()
    """What the hub said of them."""
    missed: dict[str, int] = {}
    """Pods whose pairs couldn't be had, by the reason."""
    seen: dict[str, float] = {}
    """The monitor's pods, by UID, and when they last were asked; those that went a while ago are left out."""
    refusals: dict[str, str] = {}
    """Of the pods, by UID, of which a part was refused in the last round: their names."""
    refused_parts: int = 0
    """Since this replica acts, each time that one was."""
    complaint: str = ""
    """What the API server said of its status the last time; empty: it took it."""
    said: tuple[Judgement | None, ShadowStatus] | None = None
    """The judgement and what the status says of it: made once, looked at each few seconds."""

    def compare(self) -> None:
        """Say of the last judgement's pairs what they say beside the rules."""
        if self.judgement is not None:
            self.comparison = comparison(self.judgement.snapshot)

    def is_ours(self, part: Part) -> bool:
        """Is it of this comparison, or of its warm-up? Pods still hold those of earlier generations."""
        course = self.course
        began = course.ready_since if part.day == WARMING else course.began
        return part.life == (course.uid, course.generation, began)

    def take(self, part: Part) -> None:
        """Count what a pod tells, while it is compared.

        The last verdict stands: a mirror that hasn't heard of the end asks a candidate that is gone.
        """
        if not self.is_ours(part) or not self.course.is_mirroring():
            return
        if part.day == WARMING:
            self.warming.add(part.pod)
        elif self.book is not None:
            self.book.take(part)
            self.mirroring.add(part.pod)
