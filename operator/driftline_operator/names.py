"""What things are called in a cluster: the one place. Nothing here is computed from a cluster's state."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from driftline import profile_parts

FIELD_MANAGER: Final = "driftline"
"""The owner of what is written by server-side apply."""

GROUP: Final = "driftline.io"
VERSION: Final = "v1alpha1"
PLURAL: Final = "modelmonitors"
SHADOW_PLURAL: Final = "shadowdeployments"

# ---- labels and annotations ----

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "driftline"
MONITOR_LABEL: Final = "driftline.io/monitor"
"""On owned objects: the name of their monitor."""
INJECT_LABEL: Final = "driftline.io/inject"
"""On a pod: `false` keeps Driftline out of it."""
INJECTED_LABEL: Final = "driftline.io/injected"
"""On a pod: `true` once it has the sidecars."""
MONITORS_ANNOTATION: Final = "driftline.io/monitors"
"""On a pod: the monitors its sidecars serve, oldest first, joined by commas."""
INJECTION_ANNOTATION: Final = "driftline.io/injection"
"""On a pod: `Injected`, or the reason why not."""
INJECTION_HASH_ANNOTATION: Final = "driftline.io/injection-hash"
"""On a pod: the hash of what only a new pod can take over."""
RESTARTED_ANNOTATION: Final = "driftline.io/restarted-for"
"""On a workload's pod template: the injection hash its pods were last restarted for."""
RESTARTED_AT_ANNOTATION: Final = "driftline.io/restarted-at"
"""Beside it: when."""
SUSPENDED_ANNOTATION: Final = "driftline.io/suspended"
"""On a monitor's ConfigMap: the injection whose sidecars failed to start, as a key."""
PROFILE_HASH_ANNOTATION: Final = "driftline.io/profile-hash"
MADE_ANNOTATION: Final = "driftline.io/made"
"""On a profile's immutable copy: when it came into force."""
CAPTURED_ANNOTATION: Final = "driftline.io/captured"
"""Beside it: `true` where it was made of captured rows."""
PART_LABEL: Final = "driftline.io/profile-part"
"""On a ConfigMap that holds a further part of a profile: its number, from 2 on."""

SHADOW_LABEL: Final = "driftline.io/shadow"
"""On a candidate's pods, and what else is owned: the UID of its ShadowDeployment."""
CANDIDATE_LABEL: Final = "driftline.io/candidate"
"""On a candidate's pods, and in its Service's selector: which pod template they are of, as its hash."""
PROMOTE_ANNOTATION: Final = "driftline.io/promote"
"""On a ShadowDeployment: the generation of its spec that shall take the live workload's place."""
PROMOTED_ANNOTATION: Final = "driftline.io/promoted-by"
"""On a workload's pod template: the UID and generation of the ShadowDeployment whose candidate it is."""

SCRAPE_ANNOTATIONS: Final = ("prometheus.io/scrape", "prometheus.io/port", "prometheus.io/path")

# ---- in a pod ----

PROXY_CONTAINER: Final = "driftline-proxy"
ANALYZER_CONTAINER: Final = "driftline-analyzer"
REDIRECT_CONTAINER: Final = "driftline-redirect"

RUN_VOLUME: Final = "driftline-run"
RUN_PATH: Final = "/run/driftline"
CONFIG_VOLUME: Final = "driftline-config"
CONFIG_PATH: Final = "/etc/driftline"
TOKEN_VOLUME: Final = "driftline-token"  # noqa: S105 - a volume's name
TOKEN_PATH: Final = "/etc/driftline-token"  # noqa: S105 - a directory

IN_A_POD: Final = frozenset(
    {PROXY_CONTAINER, ANALYZER_CONTAINER, REDIRECT_CONTAINER, RUN_VOLUME, CONFIG_VOLUME, TOKEN_VOLUME}
)
"""What the injection adds to a pod, by name."""

PROXY_PORT: Final = 15080
"""The first relayed port's; further ones are taken from FURTHER_PROXY_PORT on."""
HEALTH_PORT: Final = 15081
"""The proxy's supervisor: health and request metrics."""
HEALTH_PORT_NAME: Final = "dl-health"
ADMIN_PORT: Final = 15082
"""The analyzer: metrics, panes, report."""
ADMIN_PORT_NAME: Final = "dl-metrics"
FURTHER_PROXY_PORT: Final = 15083
LAST_PROXY_PORT: Final = 15099

# ---- objects in the monitors' namespaces ----

TOKEN_SECRET: Final = "driftline-token"  # noqa: S105 - a Secret's name
TOKEN_KEY: Final = "token"  # noqa: S105 - a key's name
MONITOR_KEY: Final = "monitor.yaml"
PROFILE_KEY: Final = profile_parts.PROFILE_KEY
CA_KEY: Final = "ca.crt"
PANES_KEY: Final = "panes"
CAPTURE_KEY: Final = "capture"
"""In a monitor's ConfigMap: the id of a capture that is wanted beside the reference in force."""


def config_map(monitor: str) -> str:
    """The ConfigMap that the sidecars of a monitor mount."""
    return f"driftline-{monitor}"


def profile_config_map(monitor: str, profile_hash: str) -> str:
    """The immutable copy of one of a monitor's profiles."""
    return f"driftline-{monitor}-{profile_hash[:12]}"


def profile_part(config_map: str, number: int) -> str:
    """The ConfigMap of a further part of the profile whose first part is in `config_map`."""
    return f"{config_map}-profile-{number}"


def panes_config_map(monitor: str) -> str:
    """The checkpoint of a monitor's fleet."""
    return f"driftline-{monitor}-panes"


SHADOW_KEY: Final = "shadow.yaml"
"""In a monitor's ConfigMap: what the mirror is told."""
COURSE_KEY: Final = "course"
PAIRS_KEY: Final = "pairs"
PATCH_KEY: Final = "patch.yaml"
"""In a shadow's ConfigMap: what a promotion changes in the live workload, for who applies it otherwise."""
DISAGREEMENTS_KEY: Final = "disagreements.json"
"""In a shadow's ConfigMap: the requests on which the sides differ most; `driftline shadow disagreements`."""
COMPARISON_KEY: Final = "comparison.json"
"""In a shadow's ConfigMap: what the pairs say beside the rules; `driftline shadow comparison`."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def candidate(shadow: str) -> str:
    """The Deployment and the Service of a candidate; a Service's name is a DNS label."""
    name = f"driftline-shadow-{shadow}"
    if len(name) <= 63 and _DNS_LABEL.fullmatch(shadow):
        return name
    return f"driftline-shadow-{hashlib.sha256(shadow.encode()).hexdigest()[:16]}"


def shadow_config_map(shadow: str) -> str:
    """How far a shadow has come, with its pairs. Not a monitor's: those begin `driftline-`."""
    name = f"driftline.shadow.{shadow}"
    return name if len(name) <= 253 else f"driftline.shadow.{hashlib.sha256(shadow.encode()).hexdigest()}"


POD_MONITOR: Final = "driftline-sidecars"
"""The PodMonitor of a namespace's sidecars."""

# ---- objects of the cluster and of the operator's own namespace ----

SHADOW_POLICY: Final = "driftline-shadows"
"""The ValidatingAdmissionPolicy by which who asks for a candidate must be allowed to create Deployments."""
LEASE: Final = "driftline-controller"
SETTINGS_CONFIG_MAP: Final = "driftline-settings"
SETTINGS_INJECTION_KEY: Final = "injection"
"""`enabled`; anything else is the kill switch."""
CERTIFICATE_SECRET: Final = "driftline-webhook-certs"  # noqa: S105 - a Secret's name
HUB_SECRET: Final = "driftline-hub-access"  # noqa: S105 - a Secret's name
HUB_TOKENS_KEY: Final = "controller.yaml"
CA_SECRET: Final = "driftline-webhook-ca"  # noqa: S105 - a Secret's name
ISSUER_SECRET: Final = "driftline-issuer-ca"  # noqa: S105 - a Secret's name
"""With cert-manager: the authority of the chart's own issuer."""


def webhook_configuration(namespace: str) -> str:
    """The MutatingWebhookConfiguration of a namespace's monitors."""
    return f"driftline-{namespace}"


def webhook_entry(namespace: str, monitor: str) -> str:
    """The name of one monitor's entry; the API server wants a domain of three parts or more."""
    return f"{monitor}.{namespace}.inject.driftline.io"


def webhook_path(namespace: str, monitor: str, uid: str, generation: int, told: str = "") -> str:
    """The path at which the injector is asked about pods of that monitor. `told`: `injection.told`'s."""
    return f"/inject/{namespace}/{monitor}/{uid}/{generation}{told}"
