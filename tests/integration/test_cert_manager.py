"""With cert-manager's own controllers: the chart's authority signs, the webhook trusts, renewals overlap."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from driftline_operator import names
from driftline_operator.cluster.api import JSON_PATCH, Api, ApiError, load
from driftline_operator.cluster.resources import (
    CERTIFICATES,
    MODEL_MONITORS,
    NAMESPACES,
    PODS,
    SECRETS,
    WEBHOOKS,
)

from e2e.cluster.build import binary, cert_manager, cert_manager_definitions
from e2e.cluster.control_plane import ControlPlane
from e2e.cluster.control_plane import running as control_plane
from tests.integration.conftest import ACCOUNTS
from tests.integration.test_controller import eventually, is_injected, monitor
from tests.integration.test_release import SYSTEM, Release
from tests.support.charts import CHART
from tests.support.children import child
from tests.support.pods import pod, serving
from tests.support.tools import need

LEAF, AUTHORITY, MODELS = "driftline-webhook", "driftline-ca", "models"
Json = dict[str, Any]


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """With cert-manager at work."""
    need("go")
    program = cert_manager()
    with control_plane(tmp_path / "plane") as found:
        apply = [str(binary()), "kubectl", f"--kubeconfig={found.kubeconfig}", "apply", "--server-side"]
        subprocess.run([*apply, "-f", str(cert_manager_definitions())], check=True, capture_output=True)
        with child([str(program), str(found.kubeconfig)], tmp_path / "cert-manager.log"):
            yield found


class Served(NamedTuple):
    """A Secret of cert-manager's."""

    certificate: x509.Certificate
    key: bytes
    authority: x509.Certificate


async def served(api: Api, name: str = names.CERTIFICATE_SECRET) -> Served | None:
    try:
        data = (await api.get(SECRETS, SYSTEM, name))["data"]
    except ApiError as error:
        if not error.missing:
            raise
        return None
    certificate, key, authority = (base64.b64decode(data[each]) for each in ("tls.crt", "tls.key", "ca.crt"))
    return Served(x509.load_pem_x509_certificate(certificate), key, x509.load_pem_x509_certificate(authority))


async def renewed(api: Api, certificate: str, secret: str) -> Served:
    """As `cmctl renew` does it: what is issued next."""
    before = await served(api, secret)
    assert before is not None
    found = await api.get(CERTIFICATES, SYSTEM, certificate)
    asked = {
        "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "renew",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    others = [each for each in found["status"]["conditions"] if each["type"] != "Issuing"]
    status = {"status": {"conditions": [*others, asked]}}
    await api.patch(CERTIFICATES, SYSTEM, certificate, status, subresource="status")

    async def another() -> Served | None:
        now = await served(api, secret)
        return now if now is not None and now.certificate != before.certificate else None

    issued: Served = await eventually(another)
    return issued


async def comes_with_its_sidecar(api: Api, name: str) -> None:
    """Asked through the API server, which trusts the entry's bundle and nothing else."""

    async def injected() -> bool:
        made = await api.create(PODS, MODELS, pod(serving(), metadata={"name": name, "namespace": MODELS}))
        await api.delete(PODS, MODELS, name)
        return is_injected(dict(made))

    await eventually(injected)


async def bundle(api: Api) -> bytes:
    """What API servers trust."""
    found = await api.get(WEBHOOKS, None, names.webhook_configuration(MODELS))
    return base64.b64decode(found["webhooks"][0]["clientConfig"]["caBundle"])


async def ours_among_secrets(api: Api) -> list[str]:
    found, _ = await api.list(SECRETS, SYSTEM)
    # Helm's record of the release is no certificate.
    named = [each["metadata"]["name"] for each in found if not each["type"].startswith("helm.sh/")]
    return [each for each in named if "driftline" in each]


@pytest.mark.slow
@pytest.mark.timeout(300, func_only=True)  # the program may have to be built
async def test_cert_manager_issues_renews_and_leaves_nothing(plane: ControlPlane, tmp_path: Path) -> None:
    release = Release(plane, tmp_path)
    async with Api(await load(str(plane.kubeconfig))) as api:
        await api.create(NAMESPACES, None, {"metadata": {"name": MODELS}})
        with contextlib.suppress(ApiError):  # the controller-manager makes it too, within seconds
            await api.create(ACCOUNTS, MODELS, {"metadata": {"name": "default"}})
        asked = "--set=certificates.issuer=cert-manager"
        await release.helm("install", "driftline", CHART, "-n", SYSTEM, "--create-namespace", asked)
        # The injector runs beside the cluster here, so the API server calls it by this name.
        here = [{"op": "add", "path": "/spec/dnsNames/-", "value": "localhost"}]
        await api.patch(CERTIFICATES, SYSTEM, LEAF, here, kind=JSON_PATCH)
        first = await eventually(lambda: _named(api, "localhost"), 60)
        first.certificate.verify_directly_issued_by(first.authority)
        with release.programs(controlling=["--certificates=external"]):
            await eventually(lambda: api.create(MODEL_MONITORS, MODELS, monitor()))
            await comes_with_its_sidecar(api, "first")
            await _renewals_overlap(api, first)
        await release.uninstall(api)
        await asyncio.sleep(3)  # whatever would make them anew has had the time
        assert await ours_among_secrets(api) == []


async def _named(api: Api, name: str) -> Served | None:
    found = await served(api)
    if found is None:
        return None
    names_ = found.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found if name in names_.get_values_for_type(x509.DNSName) else None


async def _renewals_overlap(api: Api, first: Served) -> None:
    """Whoever trusts the authority's older certificate trusts what the newer one signs, and the reverse."""
    trusted = await bundle(api)
    second = await renewed(api, LEAF, names.CERTIFICATE_SECRET)
    assert second.key != first.key
    assert second.authority == first.authority
    await comes_with_its_sidecar(api, "second")
    assert await bundle(api) == trusted, "a renewal is no change for the API server"
    before = await served(api, names.ISSUER_SECRET)
    newer = await renewed(api, AUTHORITY, names.ISSUER_SECRET)
    assert before is not None
    assert (newer.key, newer.certificate == before.certificate) == (before.key, False)
    third = await renewed(api, LEAF, names.CERTIFICATE_SECRET)
    assert third.authority == newer.certificate
    third.certificate.verify_directly_issued_by(first.authority)
    second.certificate.verify_directly_issued_by(newer.certificate)
    await comes_with_its_sidecar(api, "third")

    async def spread() -> bool:
        return x509.load_pem_x509_certificate(await bundle(api)) == newer.certificate

    await eventually(spread)
    await comes_with_its_sidecar(api, "fourth")
