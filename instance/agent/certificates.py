"""Certificates: what comes from the vault is checked and put in order before nginx gets it.

Python's standard library reads no certificates, so `openssl` does it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .problem import Problem

BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
OPENSSL_SECONDS = 20
# The balancer's probe refuses chains with anything weaker than SHA-256 (Microsoft Learn,
# "Azure Load Balancer health probes").
WEAK = re.compile(r"^ *Signature Algorithm: \S*(sha1|md5)", re.MULTILINE | re.IGNORECASE)
# Of the text about a certificate, its signature's algorithm alone: all else holds words of others.
SIGNATURE_ONLY = ",".join(
    f"no_{part}"
    for part in (
        *("header", "version", "serial", "validity", "subject", "issuer", "pubkey"),
        *("extensions", "sigdump", "aux"),
    )
)


@dataclass(frozen=True, repr=False)
class ServedCertificate:
    """Key, leaf and chain as nginx takes them, with what else is worth knowing."""

    pem: str
    expires: datetime


@dataclass(frozen=True)
class Certificate:
    """What openssl says about one certificate."""

    pem: str
    public_key: str
    subject: str
    issuer: str
    begins: datetime
    expires: datetime
    weak: bool

    @property
    def self_signed(self) -> bool:
        """Whether it names itself as its issuer, as roots do."""
        return self.subject == self.issuer


def openssl(*arguments: str, data: bytes = b"") -> str:
    """Runs openssl and returns what it prints.

    Raises:
        Problem: it failed.
    """
    try:
        done = subprocess.run(
            ["openssl", *arguments],
            input=data,
            capture_output=True,
            timeout=OPENSSL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Problem(f"openssl {arguments[0]} does not run: {error}.") from error
    if done.returncode:
        raise Problem(f"openssl {arguments[0]} failed.")
    return done.stdout.decode(errors="replace")


def read(value: str, encoding: str, fqdn: str, now: datetime) -> ServedCertificate:
    """Checks the certificate secret and puts it in the order that nginx wants.

    Args:
        value: the secret's value.
        encoding: `pem`, or `pkcs12` for base64 of a PKCS#12 file without a password.
        fqdn: the name that clients ask for.
        now: the time against which it is checked.

    Returns:
        Key, leaf and chain, without the root that a chain may end with.

    Raises:
        Problem: it cannot be served; the sentence says why.
    """
    pem = _from_pkcs12(value) if encoding == "pkcs12" else value
    blocks = [(match[1], match[0]) for match in BLOCK.finditer(pem)]
    keys = [text for label, text in blocks if label.endswith("PRIVATE KEY")]
    certificates = [describe(text) for label, text in blocks if label == "CERTIFICATE"]
    if len(keys) != 1 or not certificates:
        raise Problem("The certificate in the vault is not one key and its certificates.")
    public_key = openssl("pkey", "-pubout", data=keys[0].encode()).strip()
    leaf = next((each for each in certificates if each.public_key == public_key), None)
    if leaf is None:
        raise Problem("The key in the vault belongs to none of the certificates beside it.")
    # PEM begins with its leaf where the stack wrote it, or Key Vault, and is in order then. Names
    # alone would break a chain whose issuers are named otherwise.
    ordered = encoding == "pem" and certificates[0] is leaf
    chain = _without_root(certificates) if ordered else _chain(leaf, certificates)
    if not leaf.begins <= now < leaf.expires:
        raise Problem(
            f"The certificate in the vault is valid from {leaf.begins:%Y-%m-%d %H:%M} to"
            f" {leaf.expires:%Y-%m-%d %H:%M} UTC only."
        )
    if any(each.weak for each in chain):
        raise Problem("The chain in the vault has a signature weaker than SHA-256.")
    answer = openssl("x509", "-noout", "-checkhost", fqdn, data=leaf.pem.encode())
    if "does match" not in answer:
        raise Problem(f"The certificate in the vault is not for {fqdn}.")
    return ServedCertificate(
        pem="".join(f"{text}\n" for text in [keys[0], *(each.pem for each in chain)]),
        expires=leaf.expires,
    )


def split(pem: str) -> list[Certificate]:
    """All certificates of a PEM text."""
    return [describe(match[0]) for match in BLOCK.finditer(pem) if match[1] == "CERTIFICATE"]


def thumbprint(certificate: Certificate) -> str:
    """SHA-1 of a certificate in upper-case hex, as Windows shows it."""
    data = ssl.PEM_cert_to_DER_cert(certificate.pem)
    return hashlib.sha1(data, usedforsecurity=False).hexdigest().upper()


def describe(pem: str) -> Certificate:
    """Asks openssl about one certificate.

    Raises:
        Problem: it is none.
    """
    words = ("-subject", "-issuer", "-dates", "-pubkey", "-text")
    options = ("-nameopt", "RFC2253", "-dateopt", "iso_8601", "-certopt", SIGNATURE_ONLY)
    text = openssl("x509", "-noout", *words, *options, data=pem.encode())
    public_key = BLOCK.search(text)
    if public_key is None:
        raise Problem("A certificate in the vault has no key that openssl knows.")
    return Certificate(
        pem=pem,
        public_key=public_key[0],
        subject=_line(text, "subject="),
        issuer=_line(text, "issuer="),
        begins=_date(_line(text, "notBefore=")),
        expires=_date(_line(text, "notAfter=")),
        weak=bool(WEAK.search(text)),
    )


def stand_in() -> str:
    """A self-signed certificate with its key, for the time before the first one of the vault."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    name = ("-subj", "/CN=clouddp-starting", "-days", "3650", "-sha256")
    return openssl("req", "-x509", *key, *name, "-keyout", "-", "-out", "-")


def _from_pkcs12(value: str) -> str:
    try:
        data = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise Problem("The certificate in the vault is not PKCS#12 in base64.") from error
    arguments = ("pkcs12", "-nodes", "-passin", "pass:")
    try:
        return openssl(*arguments, data=data)
    except Problem:
        # Ciphers that older tools use, which OpenSSL 3 keeps apart.
        return openssl(*arguments, "-legacy", data=data)


def _without_root(certificates: Sequence[Certificate]) -> list[Certificate]:
    *chain, last = certificates
    return [*chain, last] if not chain or not last.self_signed else chain


def _chain(leaf: Certificate, certificates: Sequence[Certificate]) -> list[Certificate]:
    """The leaf and what it chains to, in order; a root is left out but for a self-signed leaf."""
    chain = [leaf]
    while not chain[-1].self_signed:
        above = next((each for each in certificates if each.subject == chain[-1].issuer), None)
        if above is None or above.self_signed or above in chain:
            break
        chain.append(above)
    return chain


def _line(text: str, name: str) -> str:
    return next(
        line.removeprefix(name).strip() for line in text.splitlines() if line.startswith(name)
    )


def _date(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC)
