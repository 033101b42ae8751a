"""Certificates for the tests, made as a real authority makes them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def bundle(self) -> str:
        """Key, leaf and chain, as the vault holds them."""
        chain = [each.public_bytes(Encoding.PEM).decode() for each in self.above]
        return "".join([self.key_pem, self.pem, *chain])

    @property
    def pkcs12(self) -> bytes:
        return pkcs12.serialize_key_and_certificates(
            b"", self.key, self.certificate, self.above, NoEncryption()
        )

    def files(self, folder: Path, name: str) -> tuple[str, str]:
        """Write certificate and key where clients and servers take them from."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain = [each.public_bytes(Encoding.PEM).decode() for each in self.above]
        certificate.write_text("".join([self.pem, *chain]))
        key.write_text(self.key_pem)
        return str(certificate), str(key)


class Authority:
    """Issues certificates."""

    def __init__(self, name: str, above: Authority | None = None) -> None:
        self._above = above
        self.key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, self.key, 3650 * DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        issuer = above.certificate.subject if above else _name(name)
        self.certificate = builder.issuer_name(issuer).sign(
            above.key if above else self.key, hashes.SHA256()
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        *names: str,
        days: float = 30,
        with_root: bool = False,
    ) -> Issued:
        """Issue a certificate for these names; negative days for one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(names[0], key, days * DAY)
            .issuer_name(self.certificate.subject)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        above = [self.certificate] if self._above or with_root else []
        if self._above and with_root:
            above.append(self._above.certificate)
        return Issued(certificate, key, tuple(above))

    def revoke(self, serials: Iterable[int] = (), *, days: float = 7) -> bytes:
        """Return the list of revoked certificates, in DER as authorities publish it."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - abs(days) * DAY - DAY)
            .next_update(now + days * DAY)
        )
        for serial in serials:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(now - DAY)
                .build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    name: str, key: ec.EllipticCurvePrivateKey, life: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 60 * DAY)
        .not_valid_after(now + life)
    )
