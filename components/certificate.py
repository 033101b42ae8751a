"""The service's certificate: reads a PFX and checks everything that can be wrong with it.

Pure: bytes and settings in, a ServiceCertificate or a CertificateError out, before anything exists
in Azure. ``python -m components.certificate check FILE`` shows what is seen in a file.

Sources: Configuration Manager's certificate requirements (MicrosoftDocs/memdocs
``configmgr/core/clients/manage/cmg/server-auth-cert.md``), RFC 5280, RFC 9525.
"""

from __future__ import annotations

import contextlib
import warnings as python_warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, PublicKeyAlgorithmOID

from . import certificate_chain, pkcs12, values
from .certificate_rules import Advice, CertificateError, Refusal, printable
from .pkcs12 import read_file

if TYPE_CHECKING:
    from collections.abc import Generator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = ["CertificateError", "ServiceCertificate", "read_file"]

SMALLEST_RSA_BITS = 2048
LARGEST_RSA_BITS = 4096
CURVES = ("secp256r1", "secp384r1")
LARGEST_SECRET = 25_000
"""Bytes of a Key Vault secret (Microsoft Learn, "About Azure Key Vault secrets": 25k)."""
_SHOWN_NAMES = 10

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A server's certificate with its key, and all that is seen in it, unjudged."""

    key: PrivateKeyTypes = field(repr=False)
    certificate: x509.Certificate
    subject: str
    issuer: str
    common_name: str
    dns_names: tuple[str, ...]
    """Lower-case A-labels; of the subject where there is no alternative name."""
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
    signature: str
    thumbprint: str

    @property
    def subject_is_listed(self) -> bool:
        """Whether the subject's common name is one of the certificate's names."""
        return _normal(self.common_name) in self.dns_names

    def covers(self, fqdn: str) -> bool:
        """Whether a normalised FQDN is one of its names, or one label below a wildcard."""
        return self.names(fqdn) or f"*.{fqdn.partition('.')[2]}" in self.dns_names

    def names(self, fqdn: str) -> bool:
        """Whether a normalised FQDN stands in the certificate as it is."""
        return fqdn in self.dns_names

    def valid(self, now: datetime) -> bool:
        """Whether it has begun and has not expired."""
        return self.not_before <= now <= self.not_after


@dataclass(frozen=True)
class ServiceCertificate:
    """A certificate that fits the service, ready for the vault."""

    pem: str = field(repr=False)
    """Key (PKCS#8), leaf and chain. The same PFX always gives the same text."""
    chain_pem: str
    """Leaf and intermediates in the order in which they are sent; no root, no key."""
    thumbprint: str
    """SHA-1 of the leaf, upper-case hexadecimal, as Windows shows it."""
    subject: str
    """Subject of the leaf (RFC 4514), printable."""
    dns_names: tuple[str, ...]
    """What it is for: lower-case A-labels, wildcards included."""
    not_before: datetime
    not_after: datetime
    self_signed: bool
    warnings: tuple[str, ...]
    """Texts that go on after "<key> <value>", like those of CertificateError."""
    leaf: Leaf = field(repr=False, compare=False)

    @classmethod
    def read(
        cls,
        data: bytes,
        password: str | None,
        *,
        fqdn: str | None = None,
        test_environment: bool = False,
        warning_days: int = 30,
        now: datetime | None = None,
    ) -> ServiceCertificate:
        """Reads a PFX and checks every rule.

        Args:
            data: bytes of the PFX.
            password: its password; None and "" are the same.
            fqdn: the service FQDN, or None where it comes from the certificate.
            test_environment: whether a wildcard or self-signed certificate may pass.
            warning_days: days before its end from which on a warning says so.
            now: the time to check against; the clock's by default.

        Raises:
            CertificateError: with a text for each rule that is broken.
        """
        now = now or datetime.now(UTC)
        wanted = _normalised(fqdn)
        leaf, chain = find(pkcs12.open_pfx(data, password), wanted, now)
        refusals, warnings = judge(
            leaf,
            chain,
            fqdn=wanted,
            test_environment=test_environment,
            warning_days=warning_days,
            now=now,
        )
        if refusals:
            raise CertificateError(*refusals)
        chain_pem = _pem(leaf.certificate, *chain.intermediates)
        pem = _key_pem(leaf.key) + chain_pem
        if len(pem) > LARGEST_SECRET:
            raise Refusal.TOO_LARGE_FOR_VAULT.error(size=len(pem), limit=LARGEST_SECRET)
        return cls(
            pem=pem,
            chain_pem=chain_pem,
            thumbprint=leaf.thumbprint,
            subject=leaf.subject,
            dns_names=leaf.dns_names,
            not_before=leaf.not_before,
            not_after=leaf.not_after,
            self_signed=leaf.self_signed,
            warnings=tuple(text for _, text in warnings),
            leaf=leaf,
        )

    @property
    def expires(self) -> str:
        """The end of its validity, ISO 8601 in UTC."""
        return f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def wildcard_only(self) -> bool:
        """Whether all its names are wildcards."""
        return all(name.startswith("*.") for name in self.dns_names)

    def covers(self, fqdn: str) -> bool:
        """Whether clients accept it for that name; letter case and a dot at the end do not count.

        A wildcard stands for exactly one label (RFC 9525 section 6.3).
        """
        try:
            return self.leaf.covers(values.fqdn(fqdn))
        except values.Refused:
            return False

    def default_fqdn(self) -> str:
        """The service FQDN that follows from the certificate: its subject name.

        Raises:
            CertificateError: there is no such name, and a setting has to say which one it is.
        """
        leaf = self.leaf
        if self.wildcard_only or leaf.common_name.startswith("*"):
            raise Refusal.FQDN_NEEDED_WILDCARD.error(names=_listed(leaf.dns_names))
        if leaf.subject_is_listed:
            return _normal(leaf.common_name)
        if leaf.common_name:
            raise Refusal.FQDN_NEEDED.error(
                common_name=leaf.common_name, names=_listed(leaf.dns_names)
            )
        if len(leaf.dns_names) > 1:
            raise Refusal.FQDN_NEEDED_NO_SUBJECT.error(names=_listed(leaf.dns_names))
        return leaf.dns_names[0]


def find(pfx: pkcs12.Pfx, fqdn: str | None, now: datetime) -> tuple[Leaf, certificate_chain.Chain]:
    """The certificate in a PFX that is the service's, and its chain.

    Raises:
        CertificateError: there is none, or more than one.
    """
    if not pfx.keys:
        raise Refusal.NO_KEY.error()
    if not pfx.certificates:
        raise Refusal.NO_CERTIFICATE.error()
    leaves = _leaves(pfx)
    if not leaves:
        with _reading("its certificates"):
            subjects = tuple(_name(each.subject) for each in pfx.certificates)
        raise Refusal.KEY_MISMATCH.error(names=_listed(subjects))
    candidates = leaves
    if len(leaves) > 1:
        if fqdn is not None:
            candidates = [leaf for leaf in leaves if leaf.covers(fqdn)]
        if len(candidates) > 1:
            candidates = [leaf for leaf in candidates if leaf.valid(now)] or candidates
    if len(candidates) != 1:
        names = tuple(leaf.subject for leaf in leaves)
        raise Refusal.SEVERAL_KEYS.error(count=len(leaves), names=_listed(names))
    leaf = candidates[0]
    with _reading("its chain"):
        return leaf, certificate_chain.order(leaf.certificate, pfx.certificates, now)


def judge(
    leaf: Leaf,
    chain: certificate_chain.Chain,
    *,
    fqdn: str | None,
    test_environment: bool,
    warning_days: int,
    now: datetime,
) -> tuple[list[tuple[Refusal, str]], list[tuple[Advice, str]]]:
    """Every rule that a certificate breaks, and every rule that only warns."""
    refusals: list[tuple[Refusal, str]] = []
    advice: list[tuple[Advice, str]] = []

    def refuse(rule: Refusal, **shown: object) -> None:
        refusals.append((rule, rule.text(**shown)))

    def advise(rule: Advice, **shown: object) -> None:
        advice.append((rule, rule.text(**shown)))

    if leaf.is_ca and not leaf.self_signed:
        refuse(Refusal.CA_CERTIFICATE, subject=leaf.subject)
    if leaf.self_signed and not test_environment:
        refuse(Refusal.SELF_SIGNED)

    size = leaf.key.key_size if isinstance(leaf.key, rsa.RSAPrivateKey) else None
    if leaf.key_kind not in ("RSA", *CURVES):
        refuse(Refusal.KEY_KIND, kind=leaf.key_kind)
    elif size is not None and not SMALLEST_RSA_BITS <= size <= LARGEST_RSA_BITS:
        refuse(Refusal.RSA_SIZE, bits=size)

    if now < leaf.not_before:
        refuse(Refusal.NOT_YET_VALID, date=shown_time(leaf.not_before), now=shown_time(now))
    elif now > leaf.not_after:
        refuse(Refusal.EXPIRED, date=shown_time(leaf.not_after), now=shown_time(now))
    elif leaf.not_after - now <= timedelta(days=warning_days):
        days = (leaf.not_after - now).days
        advise(Advice.EXPIRES_SOON, date=shown_time(leaf.not_after), days=days)

    if leaf.usages is None:
        advise(Advice.NO_USAGE)
    elif ExtendedKeyUsageOID.SERVER_AUTH.dotted_string not in leaf.usages:
        if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string in leaf.usages:
            advise(Advice.ANY_USAGE)
        else:
            refuse(Refusal.NO_SERVER_USAGE, usages=", ".join(map(usage_name, leaf.usages)))
    if not leaf.digital_signature:
        refuse(Refusal.NO_DIGITAL_SIGNATURE)

    if not certificate_chain.strong_signature(leaf.certificate):
        refuse(Refusal.WEAK_SIGNATURE, algorithm=leaf.signature)
    if chain.weak is not None:
        refuse(
            Refusal.WEAK_CHAIN,
            subject=_name(chain.weak.subject),
            algorithm=signature_name(chain.weak),
        )
    elif not leaf.self_signed and not chain.intermediates and chain.root is None:
        advise(Advice.CHAIN_INCOMPLETE, issuer=leaf.issuer)
    for each in chain.intermediates:
        begin, end = each.not_valid_before_utc, each.not_valid_after_utc
        if not begin <= now <= end:
            advise(
                Advice.INTERMEDIATE_EXPIRED,
                subject=_name(each.subject),
                begin=shown_time(begin),
                date=shown_time(end),
            )

    names = _listed(leaf.dns_names)
    if not leaf.dns_names:
        refuse(Refusal.NO_NAME)
    elif fqdn is not None:
        if not leaf.covers(fqdn):
            refuse(Refusal.NOT_COVERED, fqdn=fqdn, names=names)
        elif not leaf.names(fqdn) and not test_environment:
            refuse(Refusal.WILDCARD, fqdn=fqdn, names=names)
    if leaf.name_in_subject and leaf.dns_names:
        advise(Advice.NAME_IN_SUBJECT)
    return refusals, advice


def shown_time(moment: datetime) -> str:
    """A time as messages show it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


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


def signature_name(certificate: x509.Certificate) -> str:
    """What a certificate's signature algorithm is called."""
    try:
        digest = certificate.signature_hash_algorithm
    except Exception:
        digest = None
    if digest is None:
        oid = certificate.signature_algorithm_oid
        return {"1.3.101.112": "Ed25519", "1.3.101.113": "Ed448"}.get(
            oid.dotted_string, oid.dotted_string
        )
    return digest.name.upper().replace("SHA", "SHA-", 1) if digest.name != "md5" else "MD5"


@contextlib.contextmanager
def _reading(where: str) -> Generator[None]:
    """Makes one refusal of whatever damaged bytes raise, which are parsed as late as here."""
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        try:
            yield
        except CertificateError:
            raise
        except Exception:
            raise Refusal.DAMAGED_CERTIFICATE.error(where=where) from None


def _leaves(pfx: pkcs12.Pfx) -> list[Leaf]:
    keys = {pkcs12.public_bytes(key.public_key()): key for key in pfx.keys}
    leaves: list[Leaf] = []
    for certificate in pfx.certificates:
        try:
            key = keys.get(pkcs12.public_bytes(certificate.public_key()))
        except Exception:  # noqa: S112 - a key of a kind that the library does not know
            continue
        if key is not None:
            leaves.append(_leaf(key, certificate))
    return leaves


def _leaf(key: PrivateKeyTypes, certificate: x509.Certificate) -> Leaf:
    with _reading("the server's certificate"):
        extensions = certificate.extensions
        alternative = _extension(extensions, x509.SubjectAlternativeName)
        listed = alternative.get_values_for_type(x509.DNSName) if alternative else []
        common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        common_name = str(common_names[-1].value) if common_names else ""
        names = filter(None, map(_normal, listed or [common_name]))
        extended = _extension(extensions, x509.ExtendedKeyUsage)
        usage = _extension(extensions, x509.KeyUsage)
        constraints = _extension(extensions, x509.BasicConstraints)
        return Leaf(
            key=key,
            certificate=certificate,
            subject=_name(certificate.subject),
            issuer=_name(certificate.issuer),
            common_name=common_name,
            dns_names=tuple(dict.fromkeys(names)),
            name_in_subject=not listed,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            usages=tuple(each.dotted_string for each in extended) if extended else None,
            digital_signature=usage is None or usage.digital_signature,
            is_ca=constraints is not None and constraints.ca,
            self_signed=certificate_chain.is_self_signed(certificate),
            key_kind=_key_kind(key, certificate),
            signature=signature_name(certificate),
            thumbprint=certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303
        )


def _extension(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key_kind(key: PrivateKeyTypes, certificate: x509.Certificate) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        pss = certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
        return "RSASSA-PSS" if pss else "RSA"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.curve.name
    return type(key).__name__.removesuffix("PrivateKey")


def _normal(name: str) -> str:
    """A name of a certificate as a lower-case A-label, or "" where it is no host name."""
    wildcard, host = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    try:
        # Below a wildcard there are two labels at least: no client takes *.com.
        return wildcard + (values.fqdn(host) if wildcard else values.domain(host))
    except values.Refused:
        return ""


def _normalised(fqdn: str | None) -> str | None:
    if fqdn is None:
        return None
    try:
        return values.fqdn(fqdn)
    except values.Refused as error:
        raise Refusal.BAD_FQDN.error(fqdn=fqdn, reason=error) from None


def _name(name: x509.Name) -> str:
    return printable(name.rfc4514_string()) or "(no subject)"


def _listed(names: tuple[str, ...]) -> str:
    """Names for a message: the first of many."""
    shown = ", ".join(names[:_SHOWN_NAMES])
    more = len(names) - _SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown or "no name"


def _pem(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def _key_pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
