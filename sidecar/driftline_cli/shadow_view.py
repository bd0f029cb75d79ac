"""A shadow's judgement as a table for people."""

from __future__ import annotations

from collections.abc import Iterator

from driftline.shadow.comparison import Comparison
from driftline.shadow.gate import Judgement, RuleResult
from driftline.shadow.outlook import segments_status
from driftline.shadow.status import shadow_status

from driftline_cli.shadow_comparison import comparison_lines, plain

_SHOWN = 5


def table(judgement: Judgement) -> str:
    """The verdict, the account, each rule with its bounds, the segments that agree least."""
    return "\n".join([*_judged(judgement), *_segments(judgement), *_sample(judgement)])


def last_words(judgement: Judgement, found: Comparison) -> str:
    """The verdict, the account, the rules, and all that the pairs say beside them."""
    compared = (f"  {line}" for line in comparison_lines(found))
    return "\n".join([*_judged(judgement), *compared, *_sample(judgement)])


def _judged(judgement: Judgement) -> Iterator[str]:
    account = judgement.snapshot.account
    dropped = sum(account.dropped.values())
    status = shadow_status(judgement, 1)
    yield f"{judgement.verdict}: {judgement.reason.value}"
    if status.message:
        yield f"  {status.message}"
    yield (
        f"  {account.eligible:,} eligible = {account.mirrored:,} mirrored + {dropped:,} dropped"
        f" + {account.lost:,} lost + {account.waiting:,} waiting; "
        f"{account.paired:,} paired, coverage {account.coverage:.1%}"
    )
    reasons = [*account.dropped.items(), *account.failed.items()]
    if reasons:
        yield "  " + ", ".join(f"{reason.value} {count:,}" for reason, count in reasons)
    yield f"  {'rule':<22}{'value':>10}{'lower':>10}{'upper':>10}{'limit':>10}  verdict"
    yield from map(_rule, judgement.rules)


def _segments(judgement: Judgement) -> Iterator[str]:
    for segment in segments_status(judgement.snapshot.tally)[:_SHOWN]:
        agreement = _number(segment.agreement)
        name = plain(f"{segment.segment} = {segment.value}")
        yield f"  {name}: {segment.pairs:,} pairs, agreement {agreement}"


def _sample(judgement: Judgement) -> Iterator[str]:
    for entry in judgement.snapshot.tally.sample[:_SHOWN]:
        yield plain(f"  {entry.request}: live {entry.live} | candidate {entry.candidate}")


def _rule(rule: RuleResult) -> str:
    numbers = "".join(
        f"{_number(value):>10}" for value in (rule.value, rule.lower, rule.upper, rule.threshold)
    )
    return f"  {rule.rule:<22}{numbers}  {rule.verdict} ({rule.reason.value})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
