"""Opens a PFX (PKCS#12): bytes and a password in, keys and certificates out.

All bytes are looked at before anything is decrypted: what is no PFX is told for what it is, and the
rounds of key derivation that the file asks for are added up, since ``cryptography`` would do two
thousand million of them without a chance to stop. Nothing here judges the certificates.

Sources: RFC 7292 (PKCS#12), RFC 8018 (PBES1, PBES2), RFC 9579 (PBMAC1), RFC 7914 (scrypt).
"""

from __future__ import annotations

import math
import re
import stat
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    pkcs12,
)

from . import ber
from .rules import Refusal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

LARGEST_FILE = 1_000_000
MOST_ITERATIONS = 10_000_000
"""Rounds for the whole file: about two seconds of work, and more than five times what an export
with 600,000 rounds (the count advised for PBKDF2) asks for its MAC, key and certificates."""
MOST_CERTIFICATES = 50

SHA1 = "1.3.14.3.2.26"
TRIPLE_DES = "1.2.840.113549.1.12.1.3"
RC2_40 = "1.2.840.113549.1.12.1.6"

_DATA = "1.2.840.113549.1.7.1"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_ENVELOPED_DATA = "1.2.840.113549.1.7.3"
_ENCRYPTED_DATA = "1.2.840.113549.1.7.6"
_KEY_BAG = "1.2.840.113549.1.12.10.1.1"
_SHROUDED_KEY_BAG = "1.2.840.113549.1.12.10.1.2"
_BAG_OF_BAGS = "1.2.840.113549.1.12.10.1.6"
_PBES2 = "1.2.840.113549.1.5.13"
_PBMAC1 = "1.2.840.113549.1.5.14"
_PBKDF2 = "1.2.840.113549.1.5.12"
_SCRYPT = "1.3.6.1.4.1.11591.4.11"
_SCRYPT_ROUNDS_PER_BLOCK = 4
"""One block of scrypt costs about as much time as four rounds of PBKDF2."""
_DEEPEST_BAGS = 4
_LARGEST_COUNT = 2**64
_SECONDS = 10
"""For a file whose rounds cannot be counted beforehand."""

ALGORITHMS = {
    "1.2.840.113549.2.5": "MD5",
    SHA1: "SHA-1",
    "2.16.840.1.101.3.4.2.1": "SHA-256",
    "2.16.840.1.101.3.4.2.2": "SHA-384",
    "2.16.840.1.101.3.4.2.3": "SHA-512",
    "2.16.840.1.101.3.4.2.4": "SHA-224",
    "2.16.840.1.101.3.4.2.5": "SHA-512/224",
    "2.16.840.1.101.3.4.2.6": "SHA-512/256",
    "2.16.840.1.101.3.4.2.7": "SHA3-224",
    "2.16.840.1.101.3.4.2.8": "SHA3-256",
    "2.16.840.1.101.3.4.2.9": "SHA3-384",
    "2.16.840.1.101.3.4.2.10": "SHA3-512",
    "1.3.6.1.4.1.1722.12.2.1.16": "BLAKE2b",
    "1.3.6.1.4.1.1722.12.2.2.8": "BLAKE2s",
    "1.2.840.113549.2.7": "HMAC-SHA-1",
    "1.2.840.113549.2.8": "HMAC-SHA-224",
    "1.2.840.113549.2.9": "HMAC-SHA-256",
    "1.2.840.113549.2.10": "HMAC-SHA-384",
    "1.2.840.113549.2.11": "HMAC-SHA-512",
    "1.2.840.113549.1.12.1.1": "RC4-128",
    "1.2.840.113549.1.12.1.2": "RC4-40",
    TRIPLE_DES: "3DES",
    "1.2.840.113549.1.12.1.4": "2DES",
    "1.2.840.113549.1.12.1.5": "RC2-128",
    RC2_40: "RC2-40",
    "1.2.840.113549.1.5.3": "DES",
    "1.2.840.113549.1.5.6": "RC2",
    "1.2.840.113549.1.5.10": "DES",
    "1.2.840.113549.1.5.11": "RC2",
    _PBKDF2: "PBKDF2",
    _SCRYPT: "scrypt",
    "1.3.14.3.2.7": "DES",
    "1.2.840.113549.3.2": "RC2",
    "1.2.840.113549.3.7": "3DES",
    "1.3.6.1.4.1.3029.1.2": "Blowfish",
    "2.16.840.1.101.3.4.1.2": "AES-128",
    "2.16.840.1.101.3.4.1.22": "AES-192",
    "2.16.840.1.101.3.4.1.42": "AES-256",
    "1.2.392.200011.61.1.1.1.2": "Camellia-128",
    "1.2.392.200011.61.1.1.1.3": "Camellia-192",
    "1.2.392.200011.61.1.1.1.4": "Camellia-256",
    "1.2.410.200004.1.4": "SEED",
    "1.2.410.200046.1.1.2": "ARIA-128",
    "1.2.410.200046.1.1.7": "ARIA-192",
    "1.2.410.200046.1.1.12": "ARIA-256",
}
"""What the library reads, by object identifier."""
_UNREADABLE = {
    "1.2.643.2.2.9": "GOST R 34.11-94",
    "1.2.643.2.2.21": "GOST 28147-89",
    "1.2.643.7.1.1.2.2": "GOST R 34.11-2012",
    "1.2.643.7.1.1.2.3": "GOST R 34.11-2012",
    "1.2.643.7.1.1.4.2": "GOST R 34.11-2012",
}

_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_PEM_KIND = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_SUBSCRIPTION = re.compile(
    r"""<Subscription\b[^<]*?\sId\s*=\s*["']([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})["']""",
    re.IGNORECASE,
)
_SHOWN_SUBSCRIPTIONS = 4
_MAGIC = (
    (b"\xfe\xed\xfe\xed", "a Java key store (JKS)"),
    (b"\xce\xce\xce\xce", "a Java key store (JCEKS)"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"version https://git-lfs", "a Git LFS pointer, whose content was not fetched"),
    (b"ssh-", "an SSH public key"),
    (b"{", "a JSON file"),
)


@dataclass(frozen=True)
class Outline:
    """What a PFX says about itself to someone without the password."""

    iterations: int = 0
    """Rounds of key derivation that opening it takes, all added up that can be seen."""
    most_rounds: int = 0
    """The largest single count among them."""
    hides: bool = False
    """Whether all its keys are in parts that are encrypted as a whole, and so their rounds."""
    algorithms: tuple[str, ...] = ()
    """Object identifiers of what protects it."""
    ciphers: tuple[str, ...] = ()
    """Object identifiers of what encrypts its parts."""
    mac: str | None = None
    """Object identifier of the hash or scheme that protects the whole, or None."""
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    """PKCS#8 in DER, encrypted or not, of the keys that are not encrypted once more."""
    parts: int = 0
    """How many safes it has."""


@dataclass(frozen=True)
class Pfx:
    """An opened PFX."""

    keys: tuple[PrivateKeyTypes, ...] = field(repr=False)
    certificates: tuple[x509.Certificate, ...]
    """All of them, in an order of their own that depends on nothing else."""
    outline: Outline

    def key_of(self, certificate: x509.Certificate) -> PrivateKeyTypes | None:
        """The key of a certificate, if it is there; raises for a kind that is not known."""
        wanted = public_bytes(certificate.public_key())
        return next((key for key in self.keys if public_bytes(key.public_key()) == wanted), None)


def read_file(path: Path, what: str = "PFX") -> bytes:
    """The bytes of a file, if it is one that can be a PFX, or PEM.

    Args:
        path: where it is.
        what: the kind of file that is expected, for messages.

    Raises:
        CertificateError: it does not exist, is no regular file, is too large, or cannot be read.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise Refusal.FOLDER.error(path=path, what=what)
        if not stat.S_ISREG(status.st_mode):
            kind = _kind_of_file(status.st_mode)
            raise Refusal.NOT_A_FILE.error(path=path, kind=kind, what=what)
        if status.st_size > LARGEST_FILE:
            raise Refusal.TOO_LARGE.error(size=status.st_size, limit=LARGEST_FILE, what=what)
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise Refusal.MISSING.error(path=path) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise Refusal.UNREADABLE.error(path=path, reason=reason) from None


def _kind_of_file(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def open_pfx(data: bytes, password: str | None) -> Pfx:
    """Opens a PFX.

    Args:
        data: the bytes of the file.
        password: its password. None and the empty text are the same to a user, so to us: the two
            ways in which programs write an empty password are both tried.

    Raises:
        CertificateError: it is no PFX, would take too long, or does not open with that password.
    """
    outline = look(data)
    if outline.iterations > MOST_ITERATIONS:
        raise Refusal.TOO_MUCH_WORK.error(iterations=outline.iterations, limit=MOST_ITERATIONS)
    if outline.hides and not _ends(data, _passwords(password)):
        raise Refusal.TOO_SLOW.error(seconds=_SECONDS)
    for candidate in _passwords(password):
        opened = _load(data, candidate)
        if opened is not None:
            break
    else:
        raise _why_not(data, outline, password)
    keys = _distinct_keys((opened.key, *_other_keys(outline, candidate)))
    entries = (opened.cert, *opened.additional_certs)
    found = {entry.certificate for entry in entries if entry is not None}
    if len(found) > MOST_CERTIFICATES:
        raise Refusal.TOO_MANY_CERTIFICATES.error(count=len(found), limit=MOST_CERTIFICATES)
    certificates = sorted(found, key=lambda each: each.public_bytes(Encoding.DER))
    return Pfx(keys=keys, certificates=tuple(certificates), outline=outline)


def _passwords(password: str | None) -> tuple[bytes | None, ...]:
    if not password:
        return (None, b"")
    try:
        # A password from the environment or a file may hold bytes that are not UTF-8.
        encoded = password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return ()
    # No export writes a zero byte into a password, and the library would print it as it fails.
    return () if b"\0" in encoded else (encoded,)


def _ends(data: bytes, candidates: tuple[bytes | None, ...]) -> bool:
    """Whether opening it comes to an end, which nothing in this process could bring about.

    Programs write keys into a part of their own, each encrypted by itself. Where there is none, the
    key, if any, lies in a part that is encrypted as a whole, with rounds that cannot be counted. So
    another process tries first: it gets file and passwords through a pipe, and says nothing.
    """
    parts = [data, *(each for each in candidates if each is not None)]
    given = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    try:
        subprocess.run(
            [sys.executable, "-I", Path(__file__).with_name("trial.py")],
            input=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    except OSError:
        pass  # no process can be started here: then it is not bounded
    return True


def _load(data: bytes, password: bytes | None) -> pkcs12.PKCS12KeyAndCertificates | None:
    with warnings.catch_warnings():
        # BER and trailing bytes, which are of no concern to a user.
        warnings.simplefilter("ignore")
        try:
            return pkcs12.load_pkcs12(data, password)
        except Exception:
            return None


def _why_not(data: bytes, outline: Outline, password: str | None) -> Exception:
    if not password:
        return Refusal.LOCKED.error()
    if any(_load(data, none) is not None for none in _passwords(None)):
        return Refusal.NO_PASSWORD_NEEDED.error()
    for each in outline.algorithms:
        if each not in ALGORITHMS:
            name = _UNREADABLE.get(each, f"the algorithm {each}")
            return Refusal.UNKNOWN_ALGORITHM.error(algorithm=name)
    return Refusal.NOT_OPENED.error()


def _other_keys(outline: Outline, password: bytes | None) -> list[PrivateKeyTypes]:
    """The keys beside the first, which the library leaves out."""
    keys: list[PrivateKeyTypes] = []
    if len(outline.keys) < 2:
        return keys
    for key in outline.keys:
        for given in (password, None):
            try:
                keys.append(load_der_private_key(key, given))
                break
            except Exception:  # noqa: S112 - not encrypted, or unusable and so not ours
                continue
    return keys


def _distinct_keys(keys: tuple[PrivateKeyTypes | None, ...]) -> tuple[PrivateKeyTypes, ...]:
    distinct = {public_bytes(key.public_key()): key for key in keys if key is not None}
    return tuple(distinct[each] for each in sorted(distinct))


def public_bytes(key: PublicKeyTypes) -> bytes:
    """A public key as bytes by which it can be compared."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def look(data: bytes) -> Outline:
    """What a PFX says about itself without its password.

    Raises:
        CertificateError: the bytes are no PFX, or a damaged one.
    """
    if not data:
        raise Refusal.EMPTY.error()
    if len(data) > LARGEST_FILE:
        raise Refusal.TOO_LARGE.error(size=len(data), limit=LARGEST_FILE, what="PFX")
    if data[0] != ber.SEQUENCE:
        raise _what_instead(data)
    try:
        whole = ber.read(data)
    except ber.CutShort:
        raise Refusal.CUT_SHORT.error() from None
    except ber.Malformed:
        raise Refusal.NOT_A_PFX.error() from None
    try:
        version = whole.child(0, ber.INTEGER).integer()
        content = whole.child(1, ber.SEQUENCE)
        kind = content.child(0, ber.OBJECT_IDENTIFIER).object_identifier()
    except ber.Malformed:
        raise _what_other_asn1(whole, data) from None
    if version != 3:
        raise _what_other_asn1(whole, data)
    if kind == _SIGNED_DATA:
        raise Refusal.SIGNED_PFX.error()
    try:
        return _outline(whole, content)
    except _PublicKeyNeeded:
        raise Refusal.SIGNED_PFX.error() from None
    except ber.Malformed:
        raise Refusal.DAMAGED.error() from None


def _what_instead(data: bytes) -> Exception:
    """The refusal for bytes that do not even begin like a PFX."""
    text = _as_text(data)
    kinds = list(dict.fromkeys(_PEM_KIND.findall(text)))
    if kinds:
        return Refusal.PEM.error(kinds=", ".join(kinds).lower())
    begin = text[:2000].lstrip().lower()
    if "<publishdata" in begin:
        return _publish_settings(text)
    if begin.startswith(("<!doctype html", "<html", "<head")) or "<html" in begin:
        return Refusal.WEB_PAGE.error()
    if begin.startswith("<"):
        return Refusal.OTHER_FILE.error(kind="an XML file")
    if _is_base64_of_asn1(text):
        return Refusal.BASE64.error()
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return Refusal.OTHER_FILE.error(kind=kind)
    return Refusal.NOT_A_PFX.error()


def _publish_settings(text: str) -> Exception:
    """The refusal for the wizard's other kind of management certificate, in both its versions."""
    found = tuple(dict.fromkeys(each.lower() for each in _SUBSCRIPTION.findall(text)))
    more = len(found) - _SHOWN_SUBSCRIPTIONS
    shown = ", ".join(found[:_SHOWN_SUBSCRIPTIONS]) + (f" and {more} more" if more > 0 else "")
    return Refusal.PUBLISH_SETTINGS.error(
        subscriptions=shown or "none named",
        first=found[0] if found else "<subscription id>",
    )


def _as_text(data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    return data.decode("latin-1")


def _is_base64_of_asn1(text: str) -> bool:
    """Whether text is base64 that begins with a SEQUENCE, which M is the first character of."""
    packed = "".join(text.split())
    return len(packed) > 64 and bool(re.fullmatch(r"M[A-Za-z0-9+/]+={0,2}", packed))


def _what_other_asn1(whole: ber.Value, data: bytes) -> Exception:
    """The refusal for ASN.1 that is no PFX."""
    tags = [child.tag for child in whole.children]
    if tags[:1] == [ber.OBJECT_IDENTIFIER]:
        return Refusal.P7B.error() if _is_signed_data(whole) else Refusal.NOT_A_PFX.error()
    if tags[:1] == [ber.INTEGER]:
        # Every format of a bare private key begins with version 0 or 1, a PFX with 3.
        bare = whole.children[0].content in (b"\0", b"\1")
        return Refusal.BARE_KEY.error() if bare else Refusal.DAMAGED.error()
    if tags == [ber.SEQUENCE, ber.OCTET_STRING]:
        return Refusal.BARE_KEY.error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for load, refusal in (
            (x509.load_der_x509_certificate, Refusal.BARE_CERTIFICATE.error()),
            (x509.load_der_x509_csr, Refusal.OTHER_FILE.error(kind="a certificate request (CSR)")),
        ):
            try:
                load(data)
            except Exception:  # noqa: S112 - then it is something else
                continue
            return refusal
    return Refusal.NOT_A_PFX.error()


def _is_signed_data(whole: ber.Value) -> bool:
    try:
        return whole.children[0].object_identifier() == _SIGNED_DATA
    except ber.Malformed:
        return False


class _PublicKeyNeeded(Exception):
    """A part is encrypted for the holder of a key (RFC 7292 section 4.1)."""


class _Sums:
    """Adds up, on the way through a PFX, what goes into its Outline."""

    def __init__(self) -> None:
        self.iterations = 0
        self.most_rounds = 0
        self.algorithms: list[str] = []
        self.ciphers: list[str] = []
        self.keys: list[bytes] = []

    def count(self, number: int) -> None:
        if not 1 <= number < _LARGEST_COUNT:
            raise ber.Malformed("a count that no program writes")
        self.iterations += number
        self.most_rounds = max(self.most_rounds, number)

    def algorithm(self, identifier: ber.Value) -> str:
        """Takes in an AlgorithmIdentifier with its rounds, and says what it comes down to."""
        name = identifier.child(0, ber.OBJECT_IDENTIFIER).object_identifier()
        if name in (_PBES2, _PBMAC1):
            both = identifier.child(1, ber.SEQUENCE)
            self.algorithm(both.child(0, ber.SEQUENCE))
            return self.algorithm(both.child(1, ber.SEQUENCE))
        self.algorithms.append(name)
        parameters = identifier.children[1].children if len(identifier.children) > 1 else ()
        if name == _SCRYPT:
            # Salt, cost, block size, parallelism.
            factors = [each.integer() for each in parameters[1:4]]
            if min(factors, default=0) < 1:
                raise ber.Malformed("a factor below one")
            self.count(_SCRYPT_ROUNDS_PER_BLOCK * math.prod(factors))
        elif len(parameters) > 1 and parameters[1].tag == ber.INTEGER:
            # PBKDF2, PBES1 and the schemes of PKCS#12: salt, rounds. No other has a number there.
            self.count(parameters[1].integer())
        for extra in parameters[2:]:
            if name == _PBKDF2 and extra.tag == ber.SEQUENCE:
                self.algorithm(extra)
        return name

    def bags(self, contents: bytes, depth: int = 0) -> None:
        """Takes in SafeContents."""
        if depth > _DEEPEST_BAGS:
            raise ber.Malformed("bags within bags")
        for bag in ber.read(contents).children:
            kind = bag.child(0, ber.OBJECT_IDENTIFIER).object_identifier()
            if kind == _BAG_OF_BAGS:
                self.bags(bag.child(1, ber.CONTEXT_0).child(0, ber.SEQUENCE).der(), depth + 1)
            elif kind in (_KEY_BAG, _SHROUDED_KEY_BAG):
                key = bag.child(1, ber.CONTEXT_0).child(0, ber.SEQUENCE)
                if kind == _SHROUDED_KEY_BAG:
                    self.ciphers.append(self.algorithm(key.child(0, ber.SEQUENCE)))
                self.keys.append(key.der())


def _outline(whole: ber.Value, content: ber.Value) -> Outline:
    sums = _Sums()
    mac = None
    if len(whole.children) > 2:
        protection = whole.child(2, ber.SEQUENCE)
        mac = sums.algorithm(protection.child(0, ber.SEQUENCE).child(0, ber.SEQUENCE))
        for rounds in protection.children[2:3]:
            sums.count(rounds.integer())
    parts = ber.read(content.child(1, ber.CONTEXT_0).only_child().octets()).children
    encrypted_part = False
    for part in parts:
        kind = part.child(0, ber.OBJECT_IDENTIFIER).object_identifier()
        inside = part.child(1, ber.CONTEXT_0)
        if kind == _DATA:
            sums.bags(inside.only_child().octets())
        elif kind == _ENCRYPTED_DATA:
            encrypted_part = True
            encrypted = inside.child(0, ber.SEQUENCE).child(1, ber.SEQUENCE)
            sums.ciphers.append(sums.algorithm(encrypted.child(1, ber.SEQUENCE)))
        elif kind == _ENVELOPED_DATA:
            raise _PublicKeyNeeded
    # With several keys, each is decrypted once more to get at those that the library leaves out.
    times = 2 if len(sums.keys) > 1 else 1
    return Outline(
        iterations=sums.iterations * times,
        most_rounds=sums.most_rounds,
        hides=encrypted_part and not sums.keys,
        algorithms=tuple(sums.algorithms),
        ciphers=tuple(sums.ciphers),
        mac=mac,
        keys=tuple(sums.keys),
        parts=len(parts),
    )
