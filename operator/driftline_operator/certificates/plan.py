"""When certificates are made anew, and by which authority they are signed. The clock is an argument.

API servers hold a bundle of authorities, injectors a serving certificate; neither changes everywhere at once.
So a new authority is published beside the old one first, signs only once the bundle has had time to spread
(SPREAD), and the old one leaves the bundle only once its last serving certificate has had time to go.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE: Final = dt.timedelta(days=365)
SERVING_LIFE: Final = dt.timedelta(days=60)
RENEW_AT: Final = 2 / 3
"""Share of its life after which a certificate is made anew: weeks are left to mend what goes wrong."""
SPREAD: Final = dt.timedelta(hours=1)
"""How long a change may take until every API server and injector has it; minutes in practice."""
SKEW: Final = dt.timedelta(minutes=5)
"""Validity begins so much earlier, for clocks that are behind."""


class Pair(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, PKCS #8, unencrypted: it is kept in a Secret."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


class Held(NamedTuple):
    """All that is in force. `authorities`: newest first; any of them may have signed what is served."""

    authorities: tuple[Pair, ...]
    serving: Pair

    @property
    def bundle(self) -> bytes:
        """What clients are told to trust."""
        return b"".join(each.pem for each in self.authorities)

    @property
    def expires(self) -> dt.datetime:
        """When the serving certificate ends."""
        return self.serving.certificate.not_valid_after_utc


def renew(held: Held | None, dns_names: Sequence[str], now: dt.datetime) -> Held:
    """What is to be in force now: the same object where nothing is due."""
    authorities = () if held is None else _valid(held.authorities, now)
    if not authorities or _due(authorities[0], now):
        authorities = (_authority(now), *authorities)
    serving = None if held is None else held.serving
    signer = _signer(authorities, now)
    if serving is None or _must_replace(serving, authorities, signer, dns_names, now):
        serving = _serving(signer, dns_names, now)
    authorities = _without_idle(authorities, serving, now)
    renewed = Held(authorities, serving)
    return held if held is not None and renewed == held else renewed


def read_pair(certificate: bytes, key: bytes) -> Pair:
    """A pair from PEM. Raises ValueError where they are damaged, of another kind, or no pair."""
    found = x509.load_pem_x509_certificate(certificate)
    private = serialization.load_pem_private_key(key, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is no elliptic curve key")  # noqa: TRY004 - a value that was read
    if private.public_key() != found.public_key():
        raise ValueError("certificate and key don't belong together")
    return Pair(found, private)


def _valid(authorities: Sequence[Pair], now: dt.datetime) -> tuple[Pair, ...]:
    return tuple(each for each in authorities if now < each.certificate.not_valid_after_utc)


def _age(pair: Pair, now: dt.datetime) -> dt.timedelta:
    return now - pair.certificate.not_valid_before_utc - SKEW


def _due(pair: Pair, now: dt.datetime) -> bool:
    life = pair.certificate.not_valid_after_utc - pair.certificate.not_valid_before_utc
    return _age(pair, now) >= RENEW_AT * life


def _signer(authorities: Sequence[Pair], now: dt.datetime) -> Pair:
    """The newest authority that everybody trusts by now; the newest of all where none is so old."""
    return next((each for each in authorities if _age(each, now) >= SPREAD), authorities[0])


def _must_replace(
    serving: Pair, authorities: Sequence[Pair], signer: Pair, dns_names: Sequence[str], now: dt.datetime
) -> bool:
    return (
        _due(serving, now)
        or not any(_signed(serving, each) for each in authorities)
        or not _signed(serving, signer)
        or _names(serving) != set(dns_names)
    )


def _without_idle(authorities: Sequence[Pair], serving: Pair, now: dt.datetime) -> tuple[Pair, ...]:
    """Without those that signed nothing that anybody could still be served."""
    if _age(serving, now) < SPREAD:
        return tuple(authorities)
    newest = authorities[0]
    return tuple(each for each in authorities if each is newest or _signed(serving, each))


def _signed(pair: Pair, by: Pair) -> bool:
    try:
        pair.certificate.verify_directly_issued_by(by.certificate)
    except Exception:  # noqa: BLE001 - ValueError, TypeError, InvalidSignature: all mean no
        return False
    return True


def _names(pair: Pair) -> set[str]:
    found = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(found.value.get_values_for_type(x509.DNSName))


def _authority(now: dt.datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"driftline webhooks {now:%Y-%m-%dT%H:%M:%SZ}")]
    )
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
    builder = _builder(name, name, key, now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Pair(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)


def _serving(signer: Pair, dns_names: Sequence[str], now: dt.datetime) -> Pair:
    """Signed by the authority, and valid no longer than it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_names[0][:64])])
    life = min(SERVING_LIFE, signer.certificate.not_valid_after_utc - now)
    builder = _builder(name, signer.certificate.subject, key, now, life)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName(each) for each in dns_names]), critical=False
    )
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    issuer = signer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
    )
    return Pair(builder.sign(signer.key, hashes.SHA256()), key)


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
