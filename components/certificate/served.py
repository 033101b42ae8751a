"""Whether the certificates that a service serves are those that it should serve.

The rules are those for a PFX, so that a certificate which another vault holds, and which is read
nowhere else, keeps them too.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from . import chain as certificate_chain
from .leaf import leaf_of, shown_name
from .rules import CertificateError
from .service_certificate import judge


def thumbprint(der: bytes) -> str:
    """SHA-1 in upper-case hexadecimal, as Windows shows it."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def thumbprint_of_pem(pem: str) -> str:
    """The same for the first certificate of a PEM text. Raises ValueError if there is none."""
    first = x509.load_pem_x509_certificates(pem.encode())[0]
    return thumbprint(first.public_bytes(serialization.Encoding.DER))


def fault(
    served: Sequence[bytes],
    *,
    fqdn: str,
    test_environment: bool,
    expected_thumbprint: str = "",
    expected_chain: str = "",
) -> str:
    """Says what is wrong with a served chain, or nothing.

    Args:
        served: certificates (DER) in the order in which they were served.
        fqdn: the name that clients use.
        test_environment: whether a wildcard or self-signed certificate may be served.
        expected_thumbprint: SHA-1 of the stack's certificate, or empty where it is not known.
        expected_chain: PEM of the stack's certificate and intermediates, or empty.
    """
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in served]
        leaf = leaf_of(certificates[0])
    except (ValueError, CertificateError):
        return "something that is no certificate, or a damaged one"
    if expected_thumbprint and thumbprint(served[0]) != expected_thumbprint.upper():
        return f"the certificate {describe(served[0])}"
    if not leaf.covers(fqdn.lower().rstrip(".")):
        return f"a certificate that is not for {fqdn}: {describe(served[0])}"
    now = datetime.now(UTC)
    if not leaf.valid(now):
        return f"a certificate that is not valid at this time: {describe(served[0])}"
    refusals = judge(
        leaf,
        certificate_chain.order(leaf.certificate, certificates[1:], now),
        fqdn=fqdn.lower().rstrip("."),
        test_environment=test_environment,
        warning_days=0,
        now=now,
    ).refusals
    if refusals:
        return f"the certificate {describe(served[0])}, which {'; it also '.join(refusals)}"
    if expected_chain:
        return _differs(certificates, x509.load_pem_x509_certificates(expected_chain.encode()))
    return _broken(certificates)


def describe(der: bytes) -> str:
    """Thumbprint, subject and validity of a certificate, in a few words."""
    certificate = x509.load_der_x509_certificate(der)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return f"{thumbprint(der)} ({_name(certificate)}, valid {begin:%Y-%m-%d} to {end:%Y-%m-%d})"


def _differs(served: list[x509.Certificate], expected: list[x509.Certificate]) -> str:
    missing = [_name(certificate) for certificate in expected if certificate not in served]
    if missing:
        return f"the right certificate without {', '.join(missing)} of its chain"
    # A root does no harm, and what follows it is the server's own doing.
    foreign = [
        _name(certificate)
        for certificate in served
        if certificate not in expected and certificate.issuer != certificate.subject
    ]
    if foreign:
        return f"the right certificate, and {', '.join(foreign)}, which is not of the stack's chain"
    return ""


def _broken(served: list[x509.Certificate]) -> str:
    for certificate, issuer in itertools.pairwise(served):
        if not certificate_chain.issued(issuer, certificate):
            return f"a chain in which {_name(issuer)} did not issue {_name(certificate)}"
    return ""


def _name(certificate: x509.Certificate) -> str:
    if not certificate.subject:
        return f"serial number {certificate.serial_number:X}"
    return shown_name(certificate.subject)
