"""What the controller says of itself.

modelmonitor_controller_leader                        1 while this replica acts
modelmonitor_controller_reconciles_total{result}      namespaces planned and applied: ok, error
modelmonitor_controller_reconcile_seconds             from plan to the last write
modelmonitor_controller_writes_total                  requests that change something
modelmonitor_controller_cache_age_seconds             since the API server was last heard of, slowest watch
modelmonitor_controller_certificate_expiry_timestamp_seconds
modelmonitor_monitors{namespace}                      ModelMonitors
modelmonitor_pods{namespace,monitor,state}            expected, injected, outdated, failing
modelmonitor_condition{namespace,monitor,type,status} 1 for the status that a condition has
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from driftline_operator.conditions import Finding, Status
from driftline_operator.controller.plan.pods import Survey


class Series:
    """In a registry that is passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "modelmonitor_controller"
        self.leader = Gauge(f"{prefix}_leader", "1 while this replica acts.", registry=registry)
        self.reconciles = Counter(
            f"{prefix}_reconciles", "Namespaces planned and applied.", ["result"], registry=registry
        )
        self.seconds = Histogram(
            f"{prefix}_reconcile_seconds", "From plan to the last write.", registry=registry
        )
        self.writes = Counter(f"{prefix}_writes", "Requests that change something.", registry=registry)
        self.cache_age = Gauge(
            f"{prefix}_cache_age_seconds",
            "Since the API server was last heard of, over the slowest watch.",
            registry=registry,
        )
        self.expiry = Gauge(
            f"{prefix}_certificate_expiry_timestamp_seconds",
            "When the webhook's serving certificate ends, unix seconds.",
            registry=registry,
        )
        self.monitors = Gauge("modelmonitor_monitors", "ModelMonitors.", ["namespace"], registry=registry)
        self.pods = Gauge(
            "modelmonitor_pods", "Pods that a monitor selects.", ["namespace", "monitor", "state"],
            registry=registry,
        )  # fmt: skip
        self.condition = Gauge(
            "modelmonitor_condition",
            "1 for the status that a condition has.",
            ["namespace", "monitor", "type", "status"],
            registry=registry,
        )
        self._shown: dict[str, set[str]] = {}

    def namespace(self, name: str, surveys: Mapping[str, Survey]) -> None:
        """A namespace's monitors and pods; what has gone is no longer exposed."""
        for gone in self._shown.get(name, set()) - set(surveys):
            self.forget(name, gone)
        self._shown[name] = set(surveys)
        if surveys:
            self.monitors.labels(name).set(len(surveys))
        elif self._shown.pop(name, None) is not None:
            self.monitors.remove(name)
        for monitor, found in surveys.items():
            counts = {
                "expected": found.expected,
                "injected": found.injected,
                "outdated": found.outdated,
                "failing": len({each.pod for each in found.failing}),
            }
            for state, count in counts.items():
                self.pods.labels(name, monitor, state).set(count)

    def conditions(self, namespace: str, monitor: str, findings: Sequence[Finding]) -> None:
        """A monitor's conditions."""
        for finding in findings:
            for status in Status:
                held = float(finding.status is status)
                self.condition.labels(namespace, monitor, finding.aspect.value, status.value).set(held)

    def forget(self, namespace: str, monitor: str) -> None:
        """A monitor that has gone."""
        labels = {"namespace": namespace, "monitor": monitor}
        self.pods.remove_by_labels(labels)
        self.condition.remove_by_labels(labels)
