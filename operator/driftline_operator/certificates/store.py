"""The certificates in their Secrets: read, renewed by the plan, written with a check for other writers.

Two Secrets: what injectors serve (`tls.crt`, `tls.key`, and the bundle `ca.crt`), and the authorities' keys,
which only the controller may read.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from driftline_operator import names
from driftline_operator.certificates.plan import Held, read_pair, renew
from driftline_operator.cluster.api import Api, ApiError
from driftline_operator.cluster.resources import SECRETS, Object

_log = logging.getLogger(__name__)

_DAMAGED: Final = (
    KeyError, TypeError, ValueError, binascii.Error, UnsupportedAlgorithm, x509.ExtensionNotFound,
)  # fmt: skip
"""What reading keys and certificates raises for what somebody else put there; TypeError: an encrypted key."""


def read(serving: Object | None, authorities: Object | None) -> Held | None:
    """What the two Secrets hold; None where they don't hold it whole: all is then made anew."""
    if serving is None or authorities is None:
        return None
    try:
        kept = _data(authorities)
        count = sum(name.endswith(".crt") for name in kept)
        pairs = tuple(read_pair(kept[f"ca-{n}.crt"], kept[f"ca-{n}.key"]) for n in range(count))
        for pair in pairs:  # whoever is signed names its signer by this
            pair.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        served = _data(serving)
        return Held(pairs, read_pair(served["tls.crt"], served["tls.key"])) if pairs else None
    except _DAMAGED as error:
        _log.error("the webhook's certificates are damaged and made anew: %s", error)
        return None


def written(held: Held, namespace: str, serving_name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two Secrets: what is served, and the authorities."""
    served = {"tls.crt": held.serving.pem, "tls.key": held.serving.key_pem, "ca.crt": held.bundle}
    kept: dict[str, bytes] = {}
    for n, pair in enumerate(held.authorities):
        kept |= {f"ca-{n}.crt": pair.pem, f"ca-{n}.key": pair.key_pem}
    return (
        _secret(namespace, serving_name, "kubernetes.io/tls", served),
        _secret(namespace, names.CA_SECRET, "Opaque", kept),
    )


async def keep(
    api: Api,
    namespace: str,
    serving_name: str,
    dns_names: Sequence[str],
    now: dt.datetime,
    may_write: Callable[[], bool],
) -> Held | None:
    """Renew what is due. The certificates in force; None where another acts. Raises ApiError."""
    serving = await _get(api, namespace, serving_name)
    authorities = await _get(api, namespace, names.CA_SECRET)
    held = read(serving, authorities)
    renewed = renew(held, dns_names, now)
    wanted_serving, wanted_authorities = written(renewed, namespace, serving_name)
    if renewed is held and serving is not None and serving.get("data") == wanted_serving["data"]:
        return held
    # The authorities first: a serving certificate is never there whose authority is lost.
    for name, wanted, present in (
        (names.CA_SECRET, wanted_authorities, authorities),
        (serving_name, wanted_serving, serving),
    ):
        if not may_write():
            return None
        if present is None:
            await api.create(SECRETS, namespace, wanted)
            continue
        version = present["metadata"]["resourceVersion"]
        metadata = {**wanted["metadata"], "resourceVersion": version}
        await api.replace(SECRETS, namespace, name, {**wanted, "metadata": metadata})
    _log.info("the webhook's certificate is in force until %s", renewed.expires.isoformat())
    return renewed


async def _get(api: Api, namespace: str, name: str) -> Object | None:
    try:
        return await api.get(SECRETS, namespace, name)
    except ApiError as error:
        if error.missing:
            return None
        raise


def _data(secret: Object) -> dict[str, bytes]:
    return {name: base64.b64decode(value) for name, value in (secret.get("data") or {}).items()}


def _secret(namespace: str, name: str, kind: str, data: dict[str, bytes]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY},
        },
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
