"""What can't be true of what a pod tells, whoever tells it: sums that don't fit together. Pure.

It doesn't find out who lies well: a pod may claim pairs that never were. But what it claims is of one piece,
and can't make the sums over all pods say what no pod says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from driftline.shadow.account import Account
from driftline.shadow.fields import Fields
from driftline.shadow.tally import Counts, Slice, Tally

MOST_COUNT: Final = 1 << 53
"""Of anything: beyond it a float skips integers, and no status takes a sum of many."""


def problems(account: Account, tally: Tally) -> Iterator[str]:
    """What is wrong, in words; nothing where all fits.

    An account that doesn't add up is none of it: it must be heard, for it forbids every verdict.
    """
    for name, count in account.counts():
        if not 0 <= count <= MOST_COUNT:
            yield f"{name} is {'negative' if count < 0 else f'beyond {MOST_COUNT}'} ({count})"
    yield from _of_one_piece(account, tally)
    yield from _outputs(tally)
    yield from _slice("all pairs", tally.all)
    for (name, code), of in tally.segments.items():
        yield from _slice(f"segment {name}[{code}]", of)
        if of.requests > tally.all.requests:
            yield f"segment {name}[{code}] has more requests than all pairs"
    yield from _fields(tally.fields)


def _of_one_piece(account: Account, tally: Tally) -> Iterator[str]:
    """Account and tally are of the same requests. Of a mirrored one there may be no word of who failed."""
    if account.paired != tally.all.requests:
        yield f"{account.paired} pairs, and {tally.all.requests} that were compared"
    if not account.paired <= _total(tally.errors) <= account.mirrored:
        yield f"{_total(tally.errors)} outcomes of {account.mirrored} mirrored requests"
    if not ((account.first is None) == (account.last is None) and account.span >= 0):
        yield f"the first of them came at {account.first}, the last at {account.last}"
    of_candidate = int(tally.errors[0, 1])
    if min(account.failures.values(), default=0) < 0 or sum(account.failures.values()) > of_candidate:
        yield f"failures by time {account.failures} of {of_candidate} of the candidate alone"
    at_most = {
        "live_latency": _total(tally.live_latency),
        "candidate_latency": _total(tally.candidate_latency),
        "requests that went twice": max(
            _total(values.counts)
            for values in (tally.twice.alike, tally.twice.deltas, tally.twice.live, tally.twice.candidate)
            if values is not None
        ),
    }
    for name, count in at_most.items():
        if not 0 <= count <= account.mirrored:
            yield f"{count} {name} of {account.mirrored} mirrored requests"


def _outputs(tally: Tally) -> Iterator[str]:
    rows, shifts = _total(tally.confusion), {_total(values.counts) for values in tally.shifts}
    if tally.plan.sort == "body":
        if rows or shifts != {0}:
            yield "outputs of answers of free form"
    elif tally.plan.sort == "class" and _total(tally.hidden.counts) != tally.all.requests:
        yield f"{_total(tally.hidden.counts)} of {tally.all.requests} pairs may hide a class"
    elif not tally.all.requests <= rows <= MOST_COUNT or shifts != {tally.all.requests}:
        yield f"outputs of {rows} rows of {tally.all.requests} pairs"


def _slice(name: str, of: Slice) -> Iterator[str]:
    if not 0 <= of.several <= of.requests or _total(of.differ.counts) != of.requests:
        yield f"{name}: {_total(of.differ.counts)} compared of {of.requests} requests"
    deltas = [_total(values.counts) for values in (of.delta, of.size) if values is not None]
    if len(set(deltas)) > 1 or not all(0 <= count <= of.requests for count in deltas):
        yield f"{name}: {deltas} differences of {of.requests} requests"
    for values in (of.differ, of.delta, of.size):
        if values is not None and not 0 <= values.clipped <= _total(values.counts):
            yield f"{name}: {values.clipped} clipped of {_total(values.counts)}"


def _fields(fields: Fields) -> Iterator[str]:
    for compared, *apart in (*fields.kept.values(), fields.others):
        if min(apart) < 0 or not sum(apart) <= compared <= MOST_COUNT:
            yield f"a field that was compared {compared} times and differs {sum(apart)} times"


def _total(counts: Counts) -> int:
    """Below 0 where a count is: it was beyond what an int64 takes, or so large that their sum may be."""
    if counts.size and (int(counts.min()) < 0 or int(counts.max()) > MOST_COUNT):
        return -1
    return int(counts.sum())
