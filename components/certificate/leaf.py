"""What is seen in a server's certificate: names, usages, dates, key. Nothing is judged."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, PublicKeyAlgorithmOID

from .. import values
from . import ber, pkcs12
from . import chain as certificate_chain
from .rules import CertificateError, Refusal, printable

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A server's certificate and all that is seen in it, unjudged."""

    certificate: x509.Certificate
    subject: str
    issuer: str
    common_name: str
    dns_names: tuple[str, ...]
    """Lower-case A-labels; of the subject where there is no alternative name."""
    unusable_names: tuple[str, ...]
    """Names that no client compares with a host name, as they stand."""
    name_in_subject: bool
    """Whether the names are the subject's, for want of an alternative name."""
    not_before: datetime
    not_after: datetime
    usages: tuple[str, ...] | None
    """Object identifiers of its extended key usage, or None where it has none."""
    digital_signature: bool
    is_ca: bool
    self_signed: bool
    key_kind: str
    rsa_bits: int | None
    """Size of an RSA key, None for another kind."""
    signature: str
    thumbprint: str

    @property
    def wildcard_only(self) -> bool:
        """Whether all its names are wildcards."""
        return all(name.startswith("*.") for name in self.dns_names)

    def covers(self, fqdn: str) -> bool:
        """Whether a normalised FQDN is one of its names, or one label below a wildcard."""
        return self.names(fqdn) or f"*.{fqdn.partition('.')[2]}" in self.dns_names

    def names(self, fqdn: str) -> bool:
        """Whether a normalised FQDN stands in the certificate as it is."""
        return fqdn in self.dns_names

    def valid(self, now: datetime) -> bool:
        """Whether it has begun and has not expired."""
        return self.not_before <= now <= self.not_after

    def default_fqdn(self) -> str:
        """The service FQDN that follows from the certificate. Raises CertificateError."""
        names = self.dns_names
        if self.wildcard_only or self.common_name.startswith("*"):
            raise Refusal.FQDN_NEEDED_WILDCARD.error(names=names)
        name = _a_label(self.common_name) if self.common_name else self.dns_names[0]
        if name not in self.dns_names:
            raise Refusal.FQDN_NEEDED.error(common_name=self.common_name, names=names)
        if not self.common_name and len(self.dns_names) > 1:
            raise Refusal.FQDN_NEEDED_NO_SUBJECT.error(names=names)
        if "." not in name:
            raise Refusal.FQDN_NEEDED_SHORT.error(name=name, names=names)
        return name


def usage_name(oid: str) -> str:
    """What an extended key usage is called, with its object identifier."""
    name = {
        ExtendedKeyUsageOID.SERVER_AUTH.dotted_string: "Server Authentication",
        ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string: "Client Authentication",
        ExtendedKeyUsageOID.CODE_SIGNING.dotted_string: "Code Signing",
        ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string: "Secure Email",
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string: "Any",
    }.get(oid)
    return f"{name} ({oid})" if name else oid


@contextlib.contextmanager
def reading(where: str) -> Generator[None]:
    """Makes one refusal of whatever damaged bytes raise, which are parsed as late as here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except CertificateError:
            raise
        except Exception:
            raise Refusal.DAMAGED_CERTIFICATE.error(where=where) from None


def leaves_of(pfx: pkcs12.Pfx) -> list[Leaf]:
    """The certificates whose key is there too. Raises CertificateError for a damaged one."""
    leaves: list[Leaf] = []
    for certificate in pfx.certificates:
        try:
            has_key = pfx.key_of(certificate) is not None
        except Exception:  # noqa: S112 - a key of a kind that the library does not know
            continue
        if has_key:
            leaves.append(leaf_of(certificate))
    return leaves


def leaf_of(certificate: x509.Certificate) -> Leaf:
    """What is seen in a certificate. Raises CertificateError for a damaged one."""
    with reading("the server's certificate"):
        extensions = certificate.extensions
        alternative = _extension(extensions, x509.SubjectAlternativeName)
        alternatives = alternative.get_values_for_type(x509.DNSName) if alternative else []
        common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        common_name = str(common_names[-1].value) if common_names else ""
        given = alternatives or ([common_name] if common_name else [])
        names = filter(None, map(_normal, given))
        extended = _extension(extensions, x509.ExtendedKeyUsage)
        usage = _extension(extensions, x509.KeyUsage)
        constraints = _extension(extensions, x509.BasicConstraints)
        key = certificate.public_key()
        return Leaf(
            certificate=certificate,
            subject=shown_name(certificate.subject),
            issuer=shown_name(certificate.issuer),
            common_name=common_name,
            dns_names=tuple(dict.fromkeys(names)),
            unusable_names=tuple(name for name in dict.fromkeys(given) if not _normal(name)),
            name_in_subject=not alternatives,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            usages=tuple(each.dotted_string for each in extended) if extended else None,
            digital_signature=usage is None or usage.digital_signature,
            is_ca=constraints is not None and constraints.ca,
            self_signed=certificate_chain.is_self_signed(certificate),
            key_kind=_key_kind(certificate),
            rsa_bits=key.key_size if isinstance(key, rsa.RSAPublicKey) else None,
            signature=certificate_chain.signature_name(certificate),
            thumbprint=certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303
        )


def _extension(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key_kind(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        pss = certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
        return "RSASSA-PSS" if pss else "RSA"
    if isinstance(key, ec.EllipticCurvePublicKey):
        explicit = _has_explicit_parameters(certificate)
        return "EC with explicit parameters" if explicit else key.curve.name
    return type(key).__name__.removesuffix("PublicKey")


def _has_explicit_parameters(certificate: x509.Certificate) -> bool:
    """Whether a certificate spells out its curve, which the library hides by naming it.

    Source: RFC 5480 section 2.1.1, which forbids it.
    """
    fields = ber.read(certificate.tbs_certificate_bytes).children
    # serialNumber, signature, issuer, validity, subject stand before; the version is optional.
    key = fields[6 if fields[0].tag == ber.CONTEXT_0 else 5]
    return key.child(0, ber.SEQUENCE).children[1].tag == ber.SEQUENCE


def _normal(name: str) -> str:
    """A name as clients compare it, in lower case, or "" where it is no host name to them.

    They take it as it stands: with a blank, a dot at its end, or in Unicode it matches nothing.
    """
    wildcard, host = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    if not host.isascii() or host != host.strip() or host.endswith("."):
        return ""
    # Below a wildcard there are two labels at least: no client takes *.com.
    return wildcard + host.lower() if _a_label(host, whole=bool(wildcard)) else ""


def _a_label(name: str, *, whole: bool = False) -> str:
    """A name in the form in which host names are compared, or "" where it is none."""
    try:
        return values.fqdn(name) if whole else values.domain(name)
    except values.Refused:
        return ""


def shown_name(name: x509.Name) -> str:
    """A subject or issuer as messages show it (RFC 4514)."""
    return printable(name.rfc4514_string()) or "(no subject)"
