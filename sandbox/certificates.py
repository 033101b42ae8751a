"""The dev stack's certificate, and the authority that issued it: trusted nowhere else."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Both are what the settings of Pulumi.dev.yaml expect.
FQDN = "clouddp1.contoso.example"
PASSWORD = "clouddp-dev"  # noqa: S105
PFX = "clouddp1.pfx"
AUTHORITY = "ca.pem"
LIFE = datetime.timedelta(days=365)
# Renewed before it would make the stack's certificate warnings go off.
SPARE = datetime.timedelta(days=60)


def ensure(folder: Path) -> None:
    """Put the dev stack's PFX and its authority's certificate there, unless good ones are.

    They stay the same from run to run, so that a second `make up` has nothing to change.
    """
    pfx, authority = folder / PFX, folder / AUTHORITY
    if pfx.exists() and authority.exists() and _expires(pfx) > _now() + SPARE:
        return
    folder.mkdir(parents=True, exist_ok=True)
    bundle, issuer = make(FQDN, PASSWORD)
    # The PFX last: it is what tells the next run that both are there.
    _replace(authority, issuer)
    _replace(pfx, bundle)


def make(fqdn: str, password: str, *others: str) -> tuple[bytes, bytes]:
    """Return a PFX for a name or several, and the PEM of the authority that issued it."""
    root_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    leaf_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sandbox of clouddp")])
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, fqdn)])
    root = (
        _certificate(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        _certificate(leaf_name, root_name, leaf_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(list(map(x509.DNSName, (fqdn, *others)))), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
        .sign(root_key, hashes.SHA256())
    )
    bundle = pkcs12.serialize_key_and_certificates(
        fqdn.encode(),
        leaf_key,
        leaf,
        [root],
        serialization.BestAvailableEncryption(password.encode()),
    )
    return bundle, root.public_bytes(serialization.Encoding.PEM)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - datetime.timedelta(hours=1))  # clocks differ a little
        .not_valid_after(_now() + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=not sign_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _expires(pfx: Path) -> datetime.datetime:
    leaf = pkcs12.load_pkcs12(pfx.read_bytes(), PASSWORD.encode()).cert
    assert leaf, "the file is ours"
    return leaf.certificate.not_valid_after_utc


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _replace(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there, and that its owner alone can read."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    os.replace(part, path)  # noqa: PTH105
