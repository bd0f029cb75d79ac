"""Certificates and kubeconfigs of a cluster that lives for one test run: P-256, valid for a day."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)
SERVICE_ADDRESS = "10.96.0.1"


@dataclass(frozen=True)
class Authority:
    """A CA, and the directory in which it and all that it signs are kept."""

    directory: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def path(self) -> Path:
        """Its certificate, PEM."""
        return self.directory / "ca.crt"

    def server(self, name: str, *addresses: str) -> None:
        """`name`.crt and .key for a server on these addresses and the API's own names."""
        alternatives: list[x509.GeneralName] = [x509.DNSName(each) for each in _SERVICE_NAMES]
        alternatives += [
            x509.IPAddress(ipaddress.ip_address(each)) for each in ("127.0.0.1", SERVICE_ADDRESS, *addresses)
        ]
        self._sign(name, _name(name), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def client(self, name: str, user: str, group: str | None = None) -> None:
        """`name`.crt and .key that the API server knows as `user`, in `group`."""
        self._sign(name, _name(user, group), ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def kubeconfig(self, name: str, server: str) -> Path:
        """`name`.kubeconfig, with the client certificate of that name in it."""
        path = self.directory / f"{name}.kubeconfig"
        files = {
            "client-certificate": str(self.directory / f"{name}.crt"),
            "client-key": str(self.directory / f"{name}.key"),
        }
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "tests", "cluster": {"server": server, "certificate-authority": str(self.path)}}
            ],
            "users": [{"name": name, "user": files}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": name}}],
            "current-context": "tests",
        }
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)
        return path

    def _sign(
        self, name: str, subject: x509.Name, usage: x509.ObjectIdentifier, others: list[x509.GeneralName]
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self.certificate.subject, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        issuer = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
        )
        if others:
            builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
        write(self.directory, name, builder.sign(self.key, hashes.SHA256()), key)


def authority(directory: Path) -> Authority:
    """A new CA in that directory."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name("tests")
    builder = _builder(subject, subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
    certificate = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    write(directory, "ca", certificate, key)
    return Authority(directory, key, certificate)


def service_account_keys(directory: Path) -> None:
    """The key pair that signs service accounts' tokens: sa.key, sa.pub."""
    key = rsa.generate_private_key(65537, 2048)
    (directory / "sa.key").write_bytes(_pem(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (directory / "sa.pub").write_bytes(public)


def write(directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """NAME.crt and NAME.key, PEM."""
    (directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path = directory / f"{name}.key"
    path.touch(0o600)
    path.write_bytes(_pem(key))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common: str, organisation: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(parts)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
