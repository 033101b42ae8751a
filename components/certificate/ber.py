"""The least of ASN.1 that it takes to look into a PFX before anything in it is decrypted.

``cryptography`` opens a PFX in one step, and a count of 2^31 iterations in it keeps that step busy
for minutes; older exports are BER with indefinite lengths, which its DER reader does not take. The
readers on the package index that take BER are large or no longer maintained, so here is a small
one: bounded in depth and number of values, it copies nothing that it does not return.

Source: ITU-T X.690.
"""

from __future__ import annotations

from dataclasses import dataclass

INTEGER = 0x02
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
SET = 0x31
CONTEXT_0 = 0xA0

_CONSTRUCTED = 0x20
_MOST_VALUES = 50_000
_DEEPEST = 32
_LONGEST_LENGTH = 4


class Malformed(ValueError):
    """Bytes that are not ASN.1, or not what was expected at that place."""


class CutShort(Malformed):
    """Bytes that end before the value does."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value: a tag with either bytes or more values inside."""

    tag: int
    """The identifier octet, whole: class, constructed bit and number."""
    content: bytes
    """The bytes of a primitive value."""
    children: tuple[Value, ...]
    """The values inside a constructed one."""

    def child(self, index: int, tag: int) -> Value:
        """The value at that place, which must have that tag. Raises Malformed."""
        if index >= len(self.children) or self.children[index].tag != tag:
            raise Malformed(f"no value with tag {tag:#x} at place {index}")
        return self.children[index]

    def only_child(self) -> Value:
        """The one value inside an explicit tag. Raises Malformed."""
        if len(self.children) != 1:
            raise Malformed("not one value")
        return self.children[0]

    def integer(self) -> int:
        """The number that an INTEGER stands for. Raises Malformed."""
        if self.tag != INTEGER or not self.content:
            raise Malformed("not a number")
        return int.from_bytes(self.content, "big", signed=True)

    def octets(self) -> bytes:
        """The bytes of an OCTET STRING, which BER may cut in pieces, whatever its tag."""
        if not self.tag & _CONSTRUCTED:
            return self.content
        return b"".join(piece.octets() for piece in self.children)

    def object_identifier(self) -> str:
        """An OBJECT IDENTIFIER in dotted form. Raises Malformed."""
        if self.tag != OBJECT_IDENTIFIER or not self.content or self.content[-1] & 0x80:
            raise Malformed("not an object identifier")
        arcs: list[int] = []
        arc = 0
        for byte in self.content[:64]:
            arc = arc << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(arc)
                arc = 0
        first = min(arcs[0] // 40, 2) if arcs else 0
        return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:]))) if arcs else ""

    def der(self) -> bytes:
        """The value again, with the definite lengths that DER asks for."""
        tag = self.tag
        content = self.content
        if tag == OCTET_STRING | _CONSTRUCTED:
            tag, content = OCTET_STRING, self.octets()
        elif tag & _CONSTRUCTED:
            content = b"".join(child.der() for child in self.children)
        length = len(content)
        if length < 0x80:
            return bytes((tag, length)) + content
        size = length.to_bytes((length.bit_length() + 7) // 8, "big")
        return bytes((tag, 0x80 | len(size))) + size + content


def read(data: bytes) -> Value:
    """The value that the bytes begin with; what follows it is left alone.

    Raises:
        CutShort: the bytes end before the value does.
        Malformed: they are not ASN.1, or nested or split beyond reason.
    """
    return _Reader(data).value(0, len(data), 0)[0]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = _MOST_VALUES

    def value(self, start: int, end: int, depth: int) -> tuple[Value, int]:
        """The value at ``start``, and where it ends."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise Malformed("nested too deeply, or split in too many values")
        tag, at = self._byte(start, end), start + 1
        if tag & 0x1F == 0x1F:
            raise Malformed("a tag number that no PFX has")
        first, at = self._byte(at, end), at + 1
        if first == 0x80:
            return self._indefinite(tag, at, end, depth)
        length = first
        if first & 0x80:
            size = first & 0x7F
            if size > _LONGEST_LENGTH:
                raise Malformed("a length that no PFX has")
            if at + size > end:
                raise CutShort("ends inside a length")
            length, at = int.from_bytes(self._data[at : at + size], "big"), at + size
        stop = at + length
        if stop > end:
            raise CutShort("ends inside a value")
        if not tag & _CONSTRUCTED:
            return Value(tag, self._data[at:stop], ()), stop
        children: list[Value] = []
        while at < stop:
            child, at = self.value(at, stop, depth + 1)
            children.append(child)
        return Value(tag, b"", tuple(children)), stop

    def _indefinite(self, tag: int, at: int, end: int, depth: int) -> tuple[Value, int]:
        if not tag & _CONSTRUCTED:
            raise Malformed("a primitive value without a length")
        children: list[Value] = []
        while self._data[at : min(at + 2, end)] != b"\0\0":
            child, at = self.value(at, end, depth + 1)
            children.append(child)
        return Value(tag, b"", tuple(children)), at + 2

    def _byte(self, at: int, end: int) -> int:
        if at >= end:
            raise CutShort("ends inside a value")
        return self._data[at]
