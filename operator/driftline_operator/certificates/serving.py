"""A Secret's certificate as a TLS server uses it: loaded anew in place as it is renewed."""

from __future__ import annotations

import base64
import ssl
import tempfile
from datetime import datetime
from pathlib import Path

from cryptography import x509

from driftline_operator.cluster.resources import Object


def load_certificate(context: ssl.SSLContext, secret: Object) -> datetime:
    """Serve that Secret's certificate from the next connection on. Returns when it ends.

    Raises KeyError, ValueError or ssl.SSLError where the Secret holds no such pair.
    """
    certificate, key = (base64.b64decode(secret["data"][name]) for name in ("tls.crt", "tls.key"))
    ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    with tempfile.TemporaryDirectory(prefix="driftline-") as folder:  # the context reads files only
        paths = Path(folder, "tls.crt"), Path(folder, "tls.key")
        for path, content in zip(paths, (certificate, key), strict=True):
            path.touch(0o600)
            path.write_bytes(content)
        context.load_cert_chain(*paths)
    return ends
