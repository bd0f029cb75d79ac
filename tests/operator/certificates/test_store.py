"""Secrets that somebody else has changed: what can't be used is made anew, and never ends the controller."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from driftline_operator.certificates.plan import renew
from driftline_operator.certificates.store import read, written

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
HELD = renew(None, ["injector.driftline.svc"], NOW)
KEY = ec.generate_private_key(ec.SECP256R1())


def plain(key: ec.EllipticCurvePrivateKey, secret: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)


def bare() -> bytes:
    """An authority without any extension."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    made = made.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + dt.timedelta(days=90))
    return made.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


LOCKED = serialization.BestAvailableEncryption(b"x")
OPEN = serialization.NoEncryption()


def changed(secret: dict[str, Any], data: dict[str, bytes]) -> dict[str, Any]:
    more = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {**secret, "data": {**secret["data"], **more}}


def test_what_was_written_is_read() -> None:
    found = read(*written(HELD, "ns", "certs"))
    assert found is not None
    assert (found.bundle, found.serving.pem) == (HELD.bundle, HELD.serving.pem)


@pytest.mark.parametrize(
    ("served", "kept"),
    [
        ({"tls.key": plain(HELD.serving.key, LOCKED)}, {}),
        ({"tls.key": plain(KEY, OPEN)}, {}),
        ({"tls.crt": b"\xff"}, {}),
        ({}, {"ca-0.key": plain(HELD.authorities[0].key, LOCKED)}),
        ({}, {"ca-0.crt": bare(), "ca-0.key": plain(KEY, OPEN)}),
        ({}, {"ca-0.crt": b""}),
    ],
    ids=["locked key", "other key", "garbage", "locked authority", "authority without key id", "empty"],
)
def test_what_is_damaged_is_made_anew(served: dict[str, bytes], kept: dict[str, bytes]) -> None:
    first, second = written(HELD, "ns", "certs")
    found = read(changed(first, served), changed(second, kept))
    assert found is None
    assert renew(found, ["injector.driftline.svc"], NOW).serving != HELD.serving
