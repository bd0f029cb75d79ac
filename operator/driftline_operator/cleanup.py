"""`driftline-operator cleanup`: before an uninstall, what the controller made outside of its release goes.

The webhook configurations, which are the cluster's, so that no pod waits for an injector that has gone;
the certificates, the hub's token and the Lease. Monitors, their ConfigMaps and running sidecars stay: the
models go on being served.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from driftline_operator import names
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import CERTIFICATES, DEPLOYMENTS, LEASES, PODS, SECRETS, WEBHOOKS

_log = logging.getLogger(__name__)

_WAIT = 60.0


async def cleanup(
    api: Api, namespace: str, controller: str, namespaces: Sequence[str], certificates: Sequence[str] = ()
) -> int:
    """Stop the controller first, for it would make everything anew. The exit status.

    `certificates`: cert-manager's, which by default leaves their Secrets behind, and would make them anew.
    """
    await _stop(api, namespace, controller)
    wanted = {names.webhook_configuration(each) for each in namespaces}
    found, _ = await api.list(WEBHOOKS, labels=f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}")
    for each in found:
        name = each["metadata"]["name"]
        if not wanted or name in wanted:
            await api.delete(WEBHOOKS, None, name)
            _log.info("deleted MutatingWebhookConfiguration %s", name)
    for name in certificates:
        await api.delete(CERTIFICATES, namespace, name)
    for name in (names.CERTIFICATE_SECRET, names.CA_SECRET, names.ISSUER_SECRET, names.HUB_SECRET):
        await api.delete(SECRETS, namespace, name)
    await api.delete(LEASES, namespace, names.LEASE)
    _log.info("deleted the certificates and the lease")
    return 0


async def _stop(api: Api, namespace: str, controller: str) -> None:
    try:
        scaled = await api.patch(DEPLOYMENTS, namespace, controller, {"spec": {"replicas": 0}})
    except ApiError as error:
        if not error.missing:
            raise
        return
    labels = ",".join(f"{key}={value}" for key, value in scaled["spec"]["selector"]["matchLabels"].items())
    async with asyncio.timeout(_WAIT):
        while (await api.list(PODS, namespace, labels=labels))[0]:  # noqa: ASYNC110 - of the API server
            await asyncio.sleep(0.5)
    _log.info("Deployment %s/%s has stopped", namespace, controller)
