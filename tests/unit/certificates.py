"""Makes the certificates and PFX files that tests need: ``make_pfx("cdp1.contoso.com")``."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PASSWORD = "correct horse battery staple"
NOW = datetime.now(UTC).replace(microsecond=0)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Digest = hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@functools.cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """An EC key; the same one for the same curve."""
    return ec.generate_private_key(curve())


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key; the same one for the same size, since making one takes a while."""
    return rsa.generate_private_key(65537, bits)


def subject(common_name: str | None, organisation: str | None = None) -> x509.Name:
    """A subject with a common name, an organisation, both or neither."""
    parts = ((NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, common_name))
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts if text is not None])


@dataclass(frozen=True)
class Authority:
    """A certification authority of tests: a certificate and its key."""

    certificate: x509.Certificate
    key: Key


def make_certificate(
    common_name: str | None,
    key: Key,
    *,
    issuer: Authority | None = None,
    names: Sequence[str] | None = (),
    organisation: str | None = None,
    begins: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=365),
    usages: Sequence[x509.ObjectIdentifier] | None = (SERVER,),
    digital_signature: bool | None = None,
    ca: bool | None = None,
    digest: Digest | None = None,
    extensions: Sequence[x509.ExtensionType] = (),
) -> x509.Certificate:
    """A certificate; self-signed where no issuer is given.

    Args:
        common_name: CN of the subject, None for none.
        key: key of the subject.
        issuer: who signs.
        names: DNS names; None or empty for no alternative name.
        organisation: O of the subject.
        begins: start of validity, from now.
        ends: end of validity, from now.
        usages: extended key usage; None for none.
        digital_signature: the key usage's bit; None for no key usage.
        ca: basic constraints; None for none.
        digest: hash of the signature, SHA-256 by default.
        extensions: more extensions.
    """
    name = subject(common_name, organisation)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + begins)
        .not_valid_after(NOW + ends)
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        builder = builder.add_extension(alternative, critical=False)
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    if digital_signature is not None:
        builder = builder.add_extension(_key_usage(digital_signature=digital_signature), True)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signer = issuer.key if issuer else key
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return builder.sign(signer, None)
    return builder.sign(signer, digest or hashes.SHA256())


def _key_usage(*, digital_signature: bool) -> x509.KeyUsage:
    others = (
        "content_commitment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_encipherment=True,
        **dict.fromkeys(others, False),
    )


def make_authority(
    name: str,
    *,
    issuer: Authority | None = None,
    key: Key | None = None,
    digest: Digest | None = None,
    ends: timedelta = timedelta(days=3650),
) -> Authority:
    """A certification authority; a root where no issuer is given."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    certificate = make_certificate(
        name, own, issuer=issuer, usages=None, ca=True, digest=digest, ends=ends
    )
    return Authority(certificate, own)


@functools.cache
def root() -> Authority:
    """The root of the tests' own authorities."""
    return make_authority("Contoso Test Root")


@functools.cache
def intermediate() -> Authority:
    """The authority that issues the tests' certificates."""
    return make_authority("Contoso Test Issuing", issuer=root())


def pack(
    key: Key | None,
    certificate: x509.Certificate | None,
    others: Sequence[x509.Certificate] = (),
    *,
    password: str = PASSWORD,
    friendly_name: str | None = None,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    """A PFX with these parts; an empty password leaves it unencrypted."""
    if encryption is None:
        encryption = encrypted(password) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(
        friendly_name.encode() if friendly_name else None,
        key,
        certificate,
        list(others),
        encryption,
    )


def encrypted(password: str = PASSWORD, *, rounds: int = 2048) -> KeySerializationEncryption:
    """Encryption as OpenSSL 3 and new Windows do it, with few rounds."""
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(rounds)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )


def legacy(password: str = PASSWORD, *, rounds: int = 2000) -> KeySerializationEncryption:
    """Encryption as older Windows does it, and the only one that the Azure provider reads."""
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(rounds)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303
        .build(password.encode())
    )


def make_pfx(
    fqdn: str | None = "cdp1.contoso.com",
    *,
    password: str = PASSWORD,
    names: Sequence[str] | None = None,
    key: Key | None = None,
    self_signed: bool = False,
    issuer: Authority | None = None,
    chain: Sequence[x509.Certificate] | None = None,
    friendly_name: str | None = None,
    encryption: KeySerializationEncryption | None = None,
    **certificate: Any,
) -> bytes:
    """A PFX as a good authority issues it, but for what the arguments change.

    Args:
        fqdn: common name, and the one alternative name by default.
        password: of the PFX; "" for none.
        names: alternative names; () for none.
        key: EC P-256 by default.
        self_signed: no authority at all.
        issuer: the tests' issuing authority by default.
        chain: further certificates in the file; by default issuing authority and root.
        friendly_name: shown by Windows.
        encryption: in place of the default, which ignores ``password``.
        certificate: what else ``make_certificate`` takes.
    """
    own = key or ec_key()
    signer = None if self_signed else issuer or intermediate()
    if chain is None:
        chain = () if self_signed or issuer else (intermediate().certificate, root().certificate)
    leaf = make_certificate(
        fqdn,
        own,
        issuer=signer,
        names=[fqdn] if names is None and fqdn else names,
        **certificate,
    )
    return pack(
        own, leaf, chain, password=password, friendly_name=friendly_name, encryption=encryption
    )
