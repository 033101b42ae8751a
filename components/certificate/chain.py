"""Puts the certificates of a PFX in the order in which a server sends them.

Issuers are found by signature: names may match without it, and differ in spelling with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from cryptography.hazmat.primitives import hashes

SMALLEST_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""Of authorities."""
SMALLEST_DIGEST_BYTES = 32
"""SHA-256. Azure's load balancer refuses a chain with anything weaker (Microsoft Learn, "Azure Load
Balancer health probes")."""

_WITHOUT_DIGEST = {"1.3.101.112": "Ed25519", "1.3.101.113": "Ed448"}


@dataclass(frozen=True)
class Chain:
    """A leaf's way towards its root."""

    intermediates: tuple[x509.Certificate, ...]
    """In the order in which they are sent; the root is not sent."""
    root: x509.Certificate | None
    """The self-signed certificate at its end, where the file has it."""
    unfit: x509.Certificate | None
    """An intermediate that is left out since it is not fit to be sent, though it is needed."""


def order(leaf: x509.Certificate, others: Iterable[x509.Certificate], now: datetime) -> Chain:
    """The shortest way from the leaf to a root among the others, else the longest way there is.

    Args:
        leaf: the server's certificate.
        others: the other certificates of the file, in any order, possibly with cross-signed ones
            that issue each other.
        now: certificates that are valid at this time go first.
    """
    if is_self_signed(leaf):
        return Chain((), None, None)
    pool = [each for each in others if each != leaf]
    pool.sort(key=lambda each: (not valid(each, now), each.public_bytes(Encoding.DER)))
    path, root = _walk(leaf, pool, sendable=fit)
    if not all(valid(each, now) for each in path):
        # Another way, though it be longer or end without a root, if all of it is valid.
        other, end = _walk(leaf, [each for each in pool if valid(each, now)], sendable=fit)
        if other or end:
            path, root = other, end
    if root is None:
        longer, _ = _walk(leaf, pool, sendable=lambda _: True)
        return Chain(path, None, next((each for each in longer if not fit(each)), None))
    return Chain(path, root, None)


def _walk(
    leaf: x509.Certificate,
    pool: list[x509.Certificate],
    *,
    sendable: Callable[[x509.Certificate], bool],
) -> tuple[tuple[x509.Certificate, ...], x509.Certificate | None]:
    """Breadth first, each certificate once: loops end soon, and the shortest way wins."""
    paths: list[tuple[x509.Certificate, ...]] = [()]
    roots = {each for each in pool if is_self_signed(each)}
    seen: set[x509.Certificate] = set()
    longest: tuple[x509.Certificate, ...] = ()
    for path in paths:
        longest = max(longest, path, key=len)
        lowest = path[-1] if path else leaf
        issuers = [each for each in pool if each not in seen and issued(each, lowest)]
        for issuer in issuers:
            if issuer in roots:
                return path, issuer
        for issuer in issuers:
            if sendable(issuer):
                seen.add(issuer)
                paths.append((*path, issuer))
    return longest, None


def valid(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether a certificate has begun and has not expired."""
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def fit(certificate: x509.Certificate) -> bool:
    """Whether clients accept a certificate between a leaf and its root."""
    return strong_signature(certificate) and strong_key(certificate) and is_ca(certificate)


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether a certificate says that it may issue others (RFC 5280 section 4.2.1.9)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except Exception:  # there is no such extension, or a damaged one
        return False


def strong_key(certificate: x509.Certificate) -> bool:
    """Whether an authority's key is one that OpenSSL, at its second level, and Windows take."""
    try:
        key = certificate.public_key()
    except Exception:  # a kind that the library does not know
        return False
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= SMALLEST_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES


def names_agree(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether a certificate names its issuer as that names itself, but for case and blanks.

    Clients look for issuers by name (RFC 5280 section 7.1).
    """
    return _folded(issuer.subject) == _folded(certificate.issuer)


def _folded(name: x509.Name) -> str:
    return " ".join(name.rfc4514_string().casefold().split())


def strong_signature(certificate: x509.Certificate) -> bool:
    """Whether a certificate's signature has SHA-256 or better."""
    digest = _digest(certificate)
    return digest is not None and digest.digest_size >= SMALLEST_DIGEST_BYTES


def signature_name(certificate: x509.Certificate) -> str:
    """What a certificate's signature algorithm is called."""
    digest = _digest(certificate)
    if digest is not None:
        return digest.name.upper().replace("SHA", "SHA-", 1)
    oid = certificate.signature_algorithm_oid.dotted_string
    return _WITHOUT_DIGEST.get(oid, oid)


def _digest(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except Exception:  # an algorithm that the library does not know
        return None


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether a certificate's own key signed it, as a root's did.

    An old hash need not be checked, which the library refuses to do: clients know a root by itself.
    """
    return certificate.issuer == certificate.subject and (
        issued(certificate, certificate) or not strong_signature(certificate)
    )


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether the issuer's key made the certificate's signature."""
    try:
        key = issuer.public_key()
        signature, signed = certificate.signature, certificate.tbs_certificate_bytes
        parameters = certificate.signature_algorithm_parameters
        digest = certificate.signature_hash_algorithm
        if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, signed)
        elif digest is None:
            return False
        elif isinstance(key, rsa.RSAPublicKey):
            if not isinstance(parameters, padding.PKCS1v15 | padding.PSS):
                return False
            key.verify(signature, signed, parameters, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(digest))
        elif isinstance(key, dsa.DSAPublicKey):
            key.verify(signature, signed, digest)
        else:
            return False
    except Exception:  # not its signature, or one that cannot be checked
        return False
    return True
