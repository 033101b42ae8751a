"""The SSH key that has no private half: it is made anew here, and what it claims is checked."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from components.unusable_key import UNUSABLE_SSH_KEY

SENTENCE = "Nobody logs in to an instance of a cloud distribution point."
EXPONENT = 65_537
PRIMES = 8
_SMALL_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
_WITNESSES = 40


def test_the_key_is_the_one_that_the_sentence_gives() -> None:
    parts = (b"ssh-rsa", _positive(EXPONENT), _positive(math.prod(primes())))
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert f"ssh-rsa {base64.b64encode(blob).decode()} nobody" == UNUSABLE_SSH_KEY


def test_no_private_exponent_exists_even_for_those_who_know_the_primes() -> None:
    factors = primes()
    assert len(set(factors)) == PRIMES
    assert math.prod(factors) == _loaded().public_numbers().n
    # e has no inverse modulo the order of the group, and e-th powers are rare.
    assert all((prime - 1) % EXPONENT == 0 for prime in factors)
    assert EXPONENT**PRIMES > 2**127


def test_azure_takes_a_key_of_this_kind_and_length() -> None:
    assert _loaded().key_size == 2048
    assert _loaded().public_numbers().e == EXPONENT


def _loaded() -> RSAPublicKey:
    key = load_ssh_public_key(UNUSABLE_SSH_KEY.encode())
    assert isinstance(key, RSAPublicKey)
    return key


def primes() -> list[int]:
    """The primes of the modulus: for each, the first one that the digests of its numbers give."""
    return [
        next(
            candidate
            for count in itertools.count()
            if _is_prime(candidate := _candidate(f"{SENTENCE} {number} {count}"))
        )
        for number in range(PRIMES)
    ]


def _candidate(text: str) -> int:
    """An odd number of 256 bits, 1 modulo the exponent, from the digest of a text.

    Its first byte is 255, so that the product of eight has 2,048 bits and not fewer.
    """
    digest = b"\xff" + hashlib.sha256(text.encode()).digest()[1:]
    number = int.from_bytes(digest, "big")
    return number - (number - 1) % (2 * EXPONENT)


def _is_prime(number: int) -> bool:
    """Miller and Rabin's test, its witnesses drawn from digests of the number itself."""
    if any(number % small == 0 for small in _SMALL_PRIMES):
        return False
    shift = ((number - 1) & -(number - 1)).bit_length() - 1
    odd = (number - 1) >> shift
    return all(_passes(number, _witness(number, count), odd, shift) for count in range(_WITNESSES))


def _witness(number: int, count: int) -> int:
    digest = hashlib.sha256(f"{number} {count}".encode()).digest()
    return 2 + int.from_bytes(digest, "big") % (number - 3)


def _passes(number: int, witness: int, odd: int, shift: int) -> bool:
    power = pow(witness, odd, number)
    if power in (1, number - 1):
        return True
    return any((power := power * power % number) == number - 1 for _ in range(shift - 1))


def _positive(number: int) -> bytes:
    """A positive ``mpint`` of RFC 4251: big endian, with room for the sign bit."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")
