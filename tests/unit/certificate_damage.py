"""Changes a PFX from outside, as a bad tool, a bad copy or a bad person would."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from components.certificate import ber

NULL = ber.Value(0x05, b"", ())


def rewrite(data: bytes, change: Callable[[ber.Value], ber.Value]) -> bytes:
    """A PFX with a change made to each of its values, those inside octet strings included."""
    return _rewrite(ber.read(data), change).der()


def _rewrite(value: ber.Value, change: Callable[[ber.Value], ber.Value]) -> ber.Value:
    if value.tag == ber.OCTET_STRING and value.content[:1] == b"\x30":
        try:
            inside = ber.read(value.content)
        except ber.Malformed:
            return change(value)
        if inside.der() == value.content:
            return ber.Value(value.tag, _rewrite(inside, change).der(), ())
    children = tuple(_rewrite(child, change) for child in value.children)
    return change(ber.Value(value.tag, value.content, children))


def number(value: int) -> ber.Value:
    """An INTEGER."""
    size = value.bit_length() // 8 + 1
    return ber.Value(ber.INTEGER, value.to_bytes(size, "big", signed=True), ())


def object_identifier(dotted: str) -> ber.Value:
    """An OBJECT IDENTIFIER."""
    first, second, *arcs = map(int, dotted.split("."))
    content = b""
    for arc in (40 * first + second, *arcs):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return ber.Value(ber.OBJECT_IDENTIFIER, content, ())


def sequence(*children: ber.Value) -> ber.Value:
    """A SEQUENCE."""
    return ber.Value(ber.SEQUENCE, b"", children)


def octets(content: bytes) -> ber.Value:
    """An OCTET STRING."""
    return ber.Value(ber.OCTET_STRING, content, ())


def explicit(child: ber.Value) -> ber.Value:
    """A value inside an explicit tag [0]."""
    return ber.Value(ber.CONTEXT_0, b"", (child,))


def replace_numbers(data: bytes, old: int, new: int) -> bytes:
    """A PFX with another number wherever one stands, as for the rounds of key derivation."""
    before, after = number(old), number(new)
    return rewrite(data, lambda value: after if value == before else value)


def replace_object_identifiers(data: bytes, old: str, new: str) -> bytes:
    """A PFX with another algorithm or content type wherever one stands."""
    before, after = object_identifier(old), object_identifier(new)
    return rewrite(data, lambda value: after if value == before else value)


def parts(data: bytes) -> tuple[ber.Value, ...]:
    """The safes of a PFX."""
    content = ber.read(data).child(1, ber.SEQUENCE).child(1, ber.CONTEXT_0)
    return ber.read(content.only_child().octets()).children


def assemble(*safes: ber.Value) -> bytes:
    """A PFX of these safes, without a MAC."""
    content = octets(sequence(*safes).der())
    data = object_identifier("1.2.840.113549.1.7.1")
    return sequence(number(3), sequence(data, explicit(content))).der()


def hide(safe: ber.Value, password: str) -> ber.Value:
    """A safe that is not encrypted as a whole, encrypted (RFC 8018: PBES2 with AES-256)."""
    contents = safe.child(1, ber.CONTEXT_0).only_child().octets()
    salt, vector, rounds = bytes(16), bytes(16), 2048
    key = PBKDF2HMAC(hashes.SHA256(), 32, salt, rounds).derive(password.encode())
    padding = 16 - len(contents) % 16
    cipher = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    encrypted = cipher.update(contents + bytes([padding]) * padding) + cipher.finalize()
    derivation = sequence(
        object_identifier("1.2.840.113549.1.5.12"),
        sequence(
            octets(salt), number(rounds), sequence(object_identifier("1.2.840.113549.2.9"), NULL)
        ),
    )
    scheme = sequence(object_identifier("2.16.840.1.101.3.4.1.42"), octets(vector))
    algorithm = sequence(object_identifier("1.2.840.113549.1.5.13"), sequence(derivation, scheme))
    inside = sequence(
        object_identifier("1.2.840.113549.1.7.1"), algorithm, ber.Value(0x80, encrypted, ())
    )
    return sequence(
        object_identifier("1.2.840.113549.1.7.6"), explicit(sequence(number(0), inside))
    )


def join(*files: bytes) -> bytes:
    """One PFX with what is in several, which have the same password; it has no MAC."""
    return assemble(*(safe for file in files for safe in parts(file)))


def to_ber(data: bytes) -> bytes:
    """The same in BER as older programs write it: without lengths, octet strings in pieces."""
    return _indefinite(ber.read(data))


def _indefinite(value: ber.Value) -> bytes:
    if value.children:
        inside = b"".join(map(_indefinite, value.children))
    elif value.tag == ber.OCTET_STRING and len(value.content) > 64:
        pieces = [value.content[at : at + 50] for at in range(0, len(value.content), 50)]
        inside = b"".join(octets(piece).der() for piece in pieces)
    else:
        return value.der()
    return bytes((value.tag | 0x20, 0x80)) + inside + b"\0\0"
