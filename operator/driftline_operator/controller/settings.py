"""What the controller's command line says."""

from __future__ import annotations

import msgspec

from driftline_operator import names
from driftline_operator.injection.sidecars import Settings


class ControllerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`driftline-operator controller`."""

    namespace: str
    """The operator's own: Lease, certificates and kill switch are there."""
    identity: str
    """Of this replica, as the Lease names it: the pod's name."""
    metrics: tuple[str, int]
    intake: tuple[str, int]
    """Where ending pods push their last panes; TLS."""
    sidecar: Settings
    """The same as the injectors': what pods would get now is decided here too."""
    injector_service: str = "driftline-injector"
    injector_url: str = ""
    """Instead of the Service: an injector outside of the cluster, such as `https://127.0.0.1:9443`."""
    controller_service: str = "driftline-controller"
    certificates: str = "self"
    """`self`: made and renewed here; `external`: somebody else fills the Secret, such as cert-manager."""
    certificate_secret: str = names.CERTIFICATE_SECRET
    failure_policy: str = "Ignore"
    scrape: str = "auto"
    may_restart: bool = True
    may_run_candidates: bool = True
    """False: shadows of existing Services only."""
    needs_shadow_policy: bool = True
    """Candidates are only run, and `traffic.allowSensitive` is only obeyed, where the admission policy is in
    force that says who may ask for them."""
    watch_namespaces: tuple[str, ...] = ()
    resync: float = 300.0
    """Seconds after which everything is looked at again, whatever was missed."""
    status_interval: float = 30.0
    """Seconds between two writes of a status whose conditions stay as they are."""
    pull_interval: float = 30.0
    """Seconds between two rounds over all pods."""
    pull_concurrency: int = 32
    lease_duration: float = 15.0
    hub_service: str = ""
    """The hub's Service, whose name the certificate must have too; where the hub is, `sidecar` says."""
    kubeconfig: str | None = None
