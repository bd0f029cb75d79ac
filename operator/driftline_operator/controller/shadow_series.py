"""What is known of the shadows, for Prometheus.

modelmonitor_shadow_verdict{namespace,monitor,shadow,verdict}          1 for the verdict that it has
modelmonitor_shadow_reason{…,shadow,reason}                            1 for why it has it; no other is there
modelmonitor_shadow_rule_value|lower|upper|threshold{…,shadow,rule}    a rule's numbers; absent without data
modelmonitor_shadow_rule_verdict{…,shadow,rule,verdict}                1 for what the rule says
modelmonitor_shadow_rule_reason{…,shadow,rule,reason}                  1 for why it says it; no other is there
modelmonitor_shadow_coverage{…,shadow}                                 share of eligible requests that paired
modelmonitor_shadow_requests{…,shadow,kind,reason}                     the account over the fleet
modelmonitor_shadow_pods{…,shadow,state}                               live pods: asked, answered
modelmonitor_shadow_refused_parts{…,shadow}                            parts of pods that can't be true

Reasons are series of their own, for an alert on a verdict must not end where its reason changes. What the
pairs say beside the rules is `comparison_series`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from driftline.shadow.account import Account
from driftline.shadow.gate import Judgement, RuleResult
from driftline.shadow.rules import Reason
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from driftline_operator.controller import comparison_series as compared
from driftline_operator.controller.running import Running

_VERDICTS = ("Promotable", "Rejected", "Inconclusive")
_RULE_VERDICTS = ("Pass", "Reject", "Inconclusive")
_LABELS = ("namespace", "monitor", "shadow")

Labels = tuple[str, ...]


class ShadowSeries(Collector):
    """`running`: the shadows, as they are now."""

    def __init__(self, running: Callable[[], Iterator[Running]]) -> None:
        self._running = running

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All series."""
        made = {
            name: GaugeMetricFamily(f"modelmonitor_shadow_{name}", said, labels=labels)
            for name, said, labels in (*_FAMILIES, *compared.families(_LABELS))
        }
        for known in self._running():
            spec = known.observed.spec
            if spec is None:
                continue
            labels = known.observed.namespace, spec.monitor_ref.name, known.observed.name
            _of_one(made, labels, known)
        yield from made.values()


_FAMILIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("verdict", "1 for the verdict that the shadow has.", (*_LABELS, "verdict")),
    ("reason", "1 for why the shadow has its verdict, out of a closed list.", (*_LABELS, "reason")),
    ("coverage", "Share of the eligible requests that were paired.", _LABELS),
    ("requests", "Where the requests went, over the fleet.", (*_LABELS, "kind", "reason")),
    ("pods", "Live pods whose pairs were asked for.", (*_LABELS, "state")),
    ("refused_parts", "Parts of pods that were refused since this replica acts.", _LABELS),
    ("rule_verdict", "1 for what the rule says.", (*_LABELS, "rule", "verdict")),
    ("rule_reason", "1 for why the rule says it, out of a closed list.", (*_LABELS, "rule", "reason")),
    ("rule_value", "What was measured.", (*_LABELS, "rule")),
    ("rule_lower", "Its bound from below, at any time.", (*_LABELS, "rule")),
    ("rule_upper", "Its bound from above, at any time.", (*_LABELS, "rule")),
    ("rule_threshold", "The rule's limit.", (*_LABELS, "rule")),
)


def _of_one(made: dict[str, GaugeMetricFamily], labels: Labels, known: Running) -> None:
    judgement = known.judgement
    verdict = "Inconclusive" if judgement is None or known.back else judgement.verdict
    for each in _VERDICTS:
        made["verdict"].add_metric([*labels, each], float(each == verdict))
    reason = Reason.NO_DATA if judgement is None else judgement.reason
    made["reason"].add_metric([*labels, known.back or reason.value], 1.0)
    for state, count in (("asked", known.pods or 0), ("answered", known.answered)):
        made["pods"].add_metric([*labels, state], count)
    made["refused_parts"].add_metric(labels, known.refused_parts)
    if judgement is not None:
        _judged(made, labels, judgement)
    if known.comparison is not None:
        compared.add(made, labels, known.comparison)


def _judged(made: dict[str, GaugeMetricFamily], labels: Labels, judgement: Judgement) -> None:
    account = judgement.snapshot.account
    made["coverage"].add_metric(labels, account.coverage)
    for kind, reason, count in _requests(account):
        made["requests"].add_metric([*labels, kind, reason], count)
    for rule in judgement.rules:
        _rule(made, (*labels, rule.rule), rule)


def _requests(account: Account) -> Iterator[tuple[str, str, int]]:
    for kind in ("eligible", "mirrored", "paired", "lost", "waiting"):
        yield kind, "", getattr(account, kind)
    yield from (("dropped", reason.value, count) for reason, count in account.dropped.items())
    yield from (("failed", reason.value, count) for reason, count in account.failed.items())


def _rule(made: dict[str, GaugeMetricFamily], labels: Labels, rule: RuleResult) -> None:
    for each in _RULE_VERDICTS:
        made["rule_verdict"].add_metric([*labels, each], float(each == rule.verdict))
    made["rule_reason"].add_metric([*labels, rule.reason.value], 1.0)
    made["rule_threshold"].add_metric(labels, rule.threshold)
    for name, value in (("value", rule.value), ("lower", rule.lower), ("upper", rule.upper)):
        if value is not None:
            made[f"rule_{name}"].add_metric(labels, value)
