"""The service's certificate: reads a PFX and checks everything that can be wrong with it.

Pure: bytes and settings in, a ServiceCertificate or a CertificateError out, before anything exists
in Azure. ``python -m components.certificate check FILE`` shows what is seen in a file.

Sources: Configuration Manager's certificate requirements (MicrosoftDocs/memdocs
``configmgr/core/clients/manage/cmg/server-auth-cert.md``), RFC 5280, RFC 9525.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from .. import values
from . import chain as certificate_chain
from . import pkcs12
from .leaf import (
    Leaf,
    leaves_of,
    reading,
    shown_name,
    usage_name,
)
from .rules import (
    Advice,
    Findings,
    Refusal,
)

if TYPE_CHECKING:
    from cryptography import x509

    from .chain import Chain

LARGEST_RSA_BITS = 4096
CURVES = ("secp256r1", "secp384r1")
LARGEST_SECRET = 25_000
"""Bytes of a Key Vault secret (Microsoft Learn, "About Azure Key Vault secrets": 25k)."""


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
        wanted = normalised(fqdn)
        pfx = pkcs12.open_pfx(data, password)
        leaf, chain = find(pfx, wanted, now)
        findings = judge(
            leaf,
            chain,
            fqdn=wanted,
            test_environment=test_environment,
            warning_days=warning_days,
            now=now,
        )
        findings.stop_if_refused()
        key_pem, chain_pem = bundle(pfx, leaf, chain)
        return cls(
            pem=key_pem + chain_pem,
            chain_pem=chain_pem,
            thumbprint=leaf.thumbprint,
            subject=leaf.subject,
            dns_names=leaf.dns_names,
            not_before=leaf.not_before,
            not_after=leaf.not_after,
            self_signed=leaf.self_signed,
            warnings=findings.warnings,
            leaf=leaf,
        )

    @property
    def expires(self) -> str:
        """The end of its validity, ISO 8601 in UTC."""
        return f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def wildcard_only(self) -> bool:
        """Whether all its names are wildcards."""
        return self.leaf.wildcard_only

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
        return self.leaf.default_fqdn()


def find(pfx: pkcs12.Pfx, fqdn: str | None, now: datetime) -> tuple[Leaf, Chain]:
    """The certificate in a PFX that is the service's, and its chain.

    Raises:
        CertificateError: there is none, or more than one.
    """
    if not pfx.keys:
        raise Refusal.NO_KEY.error()
    if not pfx.certificates:
        raise Refusal.NO_CERTIFICATE.error()
    leaves = leaves_of(pfx)
    if not leaves:
        with reading("its certificates"):
            subjects = tuple(shown_name(each.subject) for each in pfx.certificates)
        raise Refusal.KEY_MISMATCH.error(names=subjects)
    candidates = leaves
    if len(leaves) > 1:
        if fqdn is not None:
            candidates = [leaf for leaf in leaves if leaf.covers(fqdn)]
        if len(candidates) > 1:
            candidates = [leaf for leaf in candidates if leaf.valid(now)] or candidates
    if len(candidates) != 1:
        names = tuple(leaf.subject for leaf in leaves)
        raise Refusal.SEVERAL_KEYS.error(count=len(leaves), names=names)
    leaf = candidates[0]
    with reading("its chain"):
        return leaf, certificate_chain.order(leaf.certificate, pfx.certificates, now)


def judge(
    leaf: Leaf,
    chain: Chain,
    *,
    fqdn: str | None,
    test_environment: bool,
    warning_days: int,
    now: datetime,
) -> Findings:
    """Holds a certificate against every rule; the arguments are ServiceCertificate.read's."""
    findings = Findings()
    if leaf.is_ca and not leaf.self_signed:
        findings.refuse(Refusal.CA_CERTIFICATE, subject=leaf.subject)
    if leaf.self_signed and not test_environment:
        findings.refuse(Refusal.SELF_SIGNED)
    _judge_key(findings, leaf)
    findings.judge_dates(leaf.not_before, leaf.not_after, now=now, warning_days=warning_days)
    _judge_usage(findings, leaf)
    _judge_chain(findings, leaf, chain, now)
    _judge_names(findings, leaf, fqdn, test_environment=test_environment)
    return findings


def _judge_key(findings: Findings, leaf: Leaf) -> None:
    if leaf.key_kind not in ("RSA", *CURVES):
        findings.refuse(Refusal.KEY_KIND, kind=leaf.key_kind)
    elif (
        leaf.rsa_bits
        and not certificate_chain.SMALLEST_RSA_BITS <= leaf.rsa_bits <= LARGEST_RSA_BITS
    ):
        findings.refuse(Refusal.RSA_SIZE, bits=leaf.rsa_bits)


def _judge_usage(findings: Findings, leaf: Leaf) -> None:
    if leaf.usages is None:
        findings.advise(Advice.NO_USAGE)
    elif ExtendedKeyUsageOID.SERVER_AUTH.dotted_string not in leaf.usages:
        if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string in leaf.usages:
            findings.advise(Advice.ANY_USAGE)
        else:
            usages = ", ".join(map(usage_name, leaf.usages))
            findings.refuse(Refusal.NO_SERVER_USAGE, usages=usages)
    if not leaf.digital_signature:
        findings.refuse(Refusal.NO_DIGITAL_SIGNATURE)


def _judge_chain(findings: Findings, leaf: Leaf, chain: Chain, now: datetime) -> None:
    if not certificate_chain.strong_signature(leaf.certificate):
        findings.refuse(Refusal.WEAK_SIGNATURE, algorithm=leaf.signature)
    if chain.unfit is not None:
        _refuse_unfit(findings, chain.unfit)
    elif not (leaf.self_signed or chain.intermediates or chain.root):
        findings.advise(Advice.CHAIN_INCOMPLETE, issuer=leaf.issuer)
    above = [*chain.intermediates, *filter(None, [chain.root])]
    for each, issuer in zip([leaf.certificate, *above], above, strict=False):
        if not certificate_chain.names_agree(issuer, each):
            findings.advise(
                Advice.CHAIN_NAMES,
                named=shown_name(each.issuer),
                subject=shown_name(issuer.subject),
            )
    for each in chain.intermediates:
        if not certificate_chain.valid(each, now):
            findings.advise(
                Advice.INTERMEDIATE_NOT_VALID,
                subject=shown_name(each.subject),
                begin=each.not_valid_before_utc,
                end=each.not_valid_after_utc,
            )


def _refuse_unfit(findings: Findings, certificate: x509.Certificate) -> None:
    subject = shown_name(certificate.subject)
    if not certificate_chain.strong_signature(certificate):
        algorithm = certificate_chain.signature_name(certificate)
        findings.refuse(Refusal.WEAK_CHAIN, subject=subject, algorithm=algorithm)
    elif not certificate_chain.strong_key(certificate):
        findings.refuse(Refusal.WEAK_CHAIN_KEY, subject=subject)
    else:
        findings.refuse(Refusal.CHAIN_NOT_CA, subject=subject)


def _judge_names(
    findings: Findings, leaf: Leaf, fqdn: str | None, *, test_environment: bool
) -> None:
    names = leaf.dns_names
    if not names:
        if leaf.unusable_names:
            findings.refuse(Refusal.UNUSABLE_NAMES, names=leaf.unusable_names)
        else:
            findings.refuse(Refusal.NO_NAME)
        return
    if leaf.name_in_subject:
        findings.advise(Advice.NAME_IN_SUBJECT)
    if fqdn is not None and not leaf.covers(fqdn):
        findings.refuse(Refusal.NOT_COVERED, fqdn=fqdn, names=names)
    elif fqdn is not None and not leaf.names(fqdn) and not test_environment:
        findings.refuse(Refusal.WILDCARD, fqdn=fqdn, names=names)


def normalised(fqdn: str | None) -> str | None:
    """A service FQDN that was given, in the form of the certificate's names."""
    if fqdn is None:
        return None
    try:
        return values.fqdn(fqdn)
    except values.Refused as error:
        raise Refusal.BAD_FQDN.error(fqdn=fqdn, reason=error) from None


def bundle(pfx: pkcs12.Pfx, leaf: Leaf, chain: Chain) -> tuple[str, str]:
    """What goes into the vault: the key, and the leaf with its chain, in PEM.

    Raises:
        CertificateError: the vault takes no secret of that size.
    """
    key = pfx.key_of(leaf.certificate)
    if key is None:
        raise Refusal.NO_KEY.error()
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    chain_pem = "".join(
        each.public_bytes(Encoding.PEM).decode()
        for each in (leaf.certificate, *chain.intermediates)
    )
    size = len(key_pem) + len(chain_pem)
    if size > LARGEST_SECRET:
        raise Refusal.TOO_LARGE_FOR_VAULT.error(size=size, limit=LARGEST_SECRET)
    return key_pem, chain_pem
