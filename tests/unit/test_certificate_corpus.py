"""Damaged and hostile inputs: each is refused in words, within seconds, and shows no secret."""

from __future__ import annotations

import base64
import functools
import gzip
import os
import random
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID

from components.certificate import CertificateError, ServiceCertificate, ber, read_file
from components.certificate.pkcs12 import LARGEST_FILE
from components.certificate.report import PASSWORD_VARIABLE, main
from components.certificate.rules import Refusal
from tests.unit.certificate_damage import (
    assemble,
    explicit,
    join,
    number,
    object_identifier,
    octets,
    parts,
    replace_numbers,
    replace_object_identifiers,
    rewrite,
    sequence,
    to_ber,
)
from tests.unit.certificates import (
    ec_key,
    encrypted,
    legacy,
    make_authority,
    make_certificate,
    make_pfx,
    pack,
    rsa_key,
)

PASSWORD = "Tr0ub4dor&3-never-shown"
# What stalls takes minutes to years; the slowest of these takes two seconds on an idle machine.
LONGEST_SECONDS = 30.0
ROUNDS = 2049


@functools.cache
def good() -> bytes:
    return make_pfx(password=PASSWORD, encryption=encrypted(PASSWORD, rounds=ROUNDS))


@functools.cache
def good_legacy() -> bytes:
    return make_pfx(key=rsa_key(), encryption=legacy(PASSWORD))


def flipped(data: bytes, seed: int) -> bytes:
    """The same with one bit changed."""
    where = random.Random(seed).randrange(len(data) * 8)  # noqa: S311
    changed = bytearray(data)
    changed[where // 8] ^= 1 << where % 8
    return bytes(changed)


def swapped(data: bytes) -> bytes:
    half = len(data) // 2
    return data[half:] + data[:half]


def only_mac_rounds(data: bytes, rounds: int) -> bytes:
    """A PFX whose MAC alone asks for so many rounds."""
    whole = ber.read(data)
    mac = whole.children[2]
    changed = ber.Value(mac.tag, b"", (*mac.children[:2], number(rounds)))
    return sequence(*whole.children[:2], changed).der()


def scrypt(cost: int, parallel: int) -> bytes:
    """A PFX whose key is encrypted with scrypt."""
    salt = octets(bytes(16))
    derive = sequence(
        object_identifier("1.3.6.1.4.1.11591.4.11"),
        sequence(salt, number(cost), number(8), number(parallel)),
    )
    aes = sequence(object_identifier("2.16.840.1.101.3.4.1.42"), octets(bytes(16)))
    both = sequence(object_identifier("1.2.840.113549.1.5.13"), sequence(derive, aes))
    key = sequence(both, octets(bytes(64)))
    bag = sequence(object_identifier("1.2.840.113549.1.12.10.1.2"), explicit(key))
    data = object_identifier("1.2.840.113549.1.7.1")
    return assemble(sequence(data, explicit(octets(sequence(bag).der()))))


def pbmac1(rounds: int) -> bytes:
    """A PFX whose MAC is the newest kind (RFC 9579)."""
    hmac = sequence(object_identifier("1.2.840.113549.2.9"))
    derive = sequence(
        object_identifier("1.2.840.113549.1.5.12"),
        sequence(octets(bytes(16)), number(rounds), number(2**31 - 1), hmac),
    )
    scheme = sequence(object_identifier("1.2.840.113549.1.5.14"), sequence(derive, hmac))
    mac = sequence(sequence(scheme, octets(bytes(32))), octets(bytes(8)), number(1))
    whole = ber.read(good())
    return sequence(*whole.children[:2], mac).der()


def bags_in_bags(depth: int) -> bytes:
    bags = sequence()
    for _ in range(depth):
        kind = object_identifier("1.2.840.113549.1.12.10.1.6")
        bags = sequence(sequence(kind, explicit(bags)))
    data = object_identifier("1.2.840.113549.1.7.1")
    return assemble(sequence(data, explicit(octets(bags.der()))))


def pfx_in_a_pfx() -> bytes:
    data = object_identifier("1.2.840.113549.1.7.1")
    return assemble(sequence(data, explicit(octets(good()))))


def cross_signed_loop(size: int) -> bytes:
    """Authorities of one key and name that all issue each other."""
    key = ec_key(ec.SECP384R1)
    loop = make_authority("Loop", key=key)
    pool = [
        make_certificate("Loop", key, issuer=loop, ca=True, organisation=str(number))
        for number in range(size)
    ]
    return make_pfx(issuer=loop, chain=pool, encryption=encrypted(PASSWORD))


def broken_extension(oid: x509.ObjectIdentifier, value: bytes) -> bytes:
    broken = x509.UnrecognizedExtension(oid, value)
    return make_pfx(names=(), usages=None, extensions=[broken], encryption=encrypted(PASSWORD))


def strange_key() -> bytes:
    """A PFX whose key makes no signatures: X25519."""
    key = x25519.X25519PrivateKey.generate()
    raw = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    bag = sequence(object_identifier("1.2.840.113549.1.12.10.1.1"), explicit(ber.read(raw)))
    data = object_identifier("1.2.840.113549.1.7.1")
    return assemble(sequence(data, explicit(octets(sequence(bag).der()))))


def dropped_values(data: bytes, seed: int) -> bytes:
    """A PFX from which values are missing here and there, its lengths put right again."""
    chance = random.Random(seed)  # noqa: S311

    def drop(value: ber.Value) -> ber.Value:
        kept = tuple(child for child in value.children if chance.random() > 0.03)
        return ber.Value(value.tag, value.content, kept)

    return rewrite(data, drop)


def retagged(data: bytes, seed: int) -> bytes:
    """A PFX in which some values say that they are of another kind."""
    chance = random.Random(seed)  # noqa: S311

    def change(value: ber.Value) -> ber.Value:
        if value.children or chance.random() > 0.05:
            return value
        return ber.Value(chance.choice((2, 4, 5, 6, 12, 0x17)), value.content, ())

    return rewrite(data, change)


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311


CORPUS: dict[str, Callable[[], bytes]] = {
    **{
        f"cut at {part} of 24": lambda part=part: good()[: len(good()) * part // 24]
        for part in range(24)
    },
    **{
        f"cut at {part} of 8, 3DES": lambda part=part: good_legacy()[
            : len(good_legacy()) * part // 8
        ]
        for part in range(1, 8)
    },
    **{f"bit {seed} flipped": lambda seed=seed: flipped(good(), seed) for seed in range(120)},
    **{
        f"bit {seed} flipped, 3DES": lambda seed=seed: flipped(good_legacy(), seed)
        for seed in range(60)
    },
    **{
        f"bit {seed} flipped, no MAC": lambda seed=seed: flipped(join(good()), seed)
        for seed in range(120)
    },
    **{
        f"bit {seed} flipped, in the open": lambda seed=seed: flipped(
            join(make_pfx(password="")), seed
        )
        for seed in range(200)
    },
    **{
        f"values missing {seed}": lambda seed=seed: dropped_values(good(), seed)
        for seed in range(40)
    },
    **{f"values retagged {seed}": lambda seed=seed: retagged(good(), seed) for seed in range(40)},
    **{
        f"values missing {seed}, in the open": lambda seed=seed: dropped_values(
            join(make_pfx(password="")), seed
        )
        for seed in range(40)
    },
    **{f"noise of {size}": lambda size=size: noise(size, size) for size in (1, 2, 16, 999, 99_999)},
    **{
        f"noise after {begin.hex()}": lambda begin=begin: begin + noise(7, 4000)
        for begin in (b"\x30\x82\x0f\xa0", b"\x30\x80\x02\x01\x03", b"\x30\x84\x00\x00\x0f\xa0")
    },
    **{
        f"{rounds} rounds everywhere": lambda rounds=rounds: replace_numbers(good(), ROUNDS, rounds)
        for rounds in (2**31 - 1, 2**31, 2**32, 2**63, 2**100, 0, -1, -(2**31))
    },
    **{
        f"{rounds} rounds everywhere, 3DES": lambda rounds=rounds: replace_numbers(
            good_legacy(), 2000, rounds
        )
        for rounds in (2**31 - 1, 2**63, 0, -1)
    },
    **{
        f"{rounds} rounds for the MAC": lambda rounds=rounds: only_mac_rounds(good(), rounds)
        for rounds in (2**31 - 1, 2**31, 2**64, 0, -1)
    },
    "rounds in BER": lambda: to_ber(replace_numbers(good(), ROUNDS, 2**31 - 1)),
    "rounds after the end of a good file": lambda: good() + replace_numbers(good(), ROUNDS, 2**31),
    "rounds of many small bags": lambda: join(
        *(replace_numbers(good(), ROUNDS, 400_000) for _ in range(40))
    ),
    "the most rounds that are done": lambda: make_pfx(
        encryption=encrypted(PASSWORD, rounds=4_900_000)
    ),
    "scrypt with a huge cost": lambda: scrypt(2**40, 1),
    "scrypt with a huge parallelism": lambda: scrypt(2, 2**30),
    "scrypt without a cost": lambda: scrypt(0, 1),
    "PBMAC1 with many rounds": lambda: pbmac1(2**31 - 1),
    "PBMAC1 with a huge key": lambda: pbmac1(1000),
    "nested 100,000 deep": lambda: b"\x30\x80" * 100_000,
    "nested with lengths": lambda: functools.reduce(
        lambda inner, _: sequence(ber.Value(0x31, inner, ())).der(), range(60), b""
    ),
    "a PFX in a PFX": pfx_in_a_pfx,
    "bags in bags": lambda: bags_in_bags(5),
    "bags in bags in bags": lambda: bags_in_bags(30),
    "a million empty values": lambda: sequence(ber.Value(0x30, b"\x05\x00" * 400_000, ())).der(),
    "swapped halves": lambda: swapped(good()),
    "doubled": lambda: good() + good(),
    "two in one": lambda: join(good(), good()),
    "no safes": assemble,
    "zeros": lambda: bytes(5000),
    "ones": lambda: b"\xff" * 5000,
    "100 MB": lambda: bytes(100_000_000),
    "100 MB of a PFX": lambda: good() + bytes(100_000_000),
    "just too large": lambda: b"\x30\x83\x0f\x42\x3c" + bytes(LARGEST_FILE),
    "gzip": lambda: gzip.compress(good()),
    "base64": lambda: base64.b64encode(good()),
    "base64 of base64": lambda: base64.b64encode(base64.b64encode(good())),
    "PEM of a PFX": lambda: b"-----BEGIN PKCS12-----\n" + base64.encodebytes(good()),
    "UTF-16": lambda: base64.b64encode(good()).decode().encode("utf-16"),
    "HTML": lambda: b"\xef\xbb\xbf  <html><body>" + PASSWORD.encode(),
    "XML with entities": lambda: b'<!DOCTYPE a [<!ENTITY b "&c;&c;"><!ENTITY c "&b;">]><a>&b;</a>',
    "publish settings cut short": lambda: b'<PublishData><Subscription Id="1111',
    "terminal codes": lambda: b"\x1b]0;gotcha\x07\x1b[2J\x9b31m",
    "text with the password": lambda: PASSWORD.encode() * 10,
    "SAN cut short": lambda: broken_extension(
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x10\x82\x20abc"
    ),
    "SAN that is no ASCII": lambda: broken_extension(
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x06\x82\x04\xff\xfe\xfd\xfc"
    ),
    "basic constraints of rubbish": lambda: broken_extension(
        ExtensionOID.BASIC_CONSTRAINTS, b"\x05\x00"
    ),
    "key usage of rubbish": lambda: broken_extension(ExtensionOID.KEY_USAGE, b"\x03\x02\x07"),
    "usages of rubbish": lambda: broken_extension(ExtensionOID.EXTENDED_KEY_USAGE, b"\x30\x00"),
    "names full of terminal codes": lambda: make_pfx(
        "\x1b[31m\x07\u202e\u2028" * 5,
        names=["\x1b[31m\x07"],
        organisation="\r\n\x9b",
        encryption=encrypted(PASSWORD),
    ),
    "authorities in a loop": lambda: cross_signed_loop(48),
    "a thousand certificates": lambda: make_pfx(
        chain=[make_certificate("x", ec_key(), ends=timedelta(days=n + 1)) for n in range(1000)],
        encryption=encrypted(PASSWORD),
    ),
    "a key for no certificate": strange_key,
    "a key alone": lambda: pack(ec_key(), None, password=PASSWORD),
    "unknown cipher": lambda: replace_object_identifiers(
        good(), "2.16.840.1.101.3.4.1.42", "1.2.643.7.1.1.5.1"
    ),
    "unknown bag": lambda: replace_object_identifiers(
        good(), "1.2.840.113549.1.12.10.1.2", "1.2.840.113549.1.12.10.1.99"
    ),
    "unknown content": lambda: replace_object_identifiers(
        good(), "1.2.840.113549.1.7.6", "1.2.840.113549.1.7.3"
    ),
    "one safe only": lambda: assemble(parts(good())[0]),
    "version 4": lambda: replace_numbers(good(), 3, 4),
    "version of rubbish": lambda: replace_numbers(good(), 3, -(2**100)),
}


def secrets(data: bytes) -> tuple[str, ...]:
    """What no message may show: the password, and the bytes of the file in common spellings."""
    middle = data[20:60]
    if len(middle) < 40 or len(set(middle)) < 10:
        return (PASSWORD,)
    return (PASSWORD, middle.hex(), base64.b64encode(middle)[2:-4].decode(), repr(middle)[4:-4])


@pytest.mark.parametrize("name", CORPUS)
def test_a_damaged_input_is_refused_in_words_and_in_time(
    name: str, capfd: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> None:
    data = CORPUS[name]()
    begin = time.perf_counter()
    for password in (PASSWORD, None):
        try:
            ServiceCertificate.read(data, password, test_environment=True)
        except CertificateError as error:
            text = str(error)
            assert text.isprintable()
            assert len(text) < 2000
            for secret in secrets(data):
                assert secret not in text
    seconds = time.perf_counter() - begin
    record_property("seconds", seconds)
    assert seconds < LONGEST_SECONDS
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in CORPUS if "rounds everywhere" in name and name.startswith(("2", "4"))),
        "2147483647 rounds for the MAC",
        "rounds in BER",
        "rounds of many small bags",
        "scrypt with a huge cost",
        "scrypt with a huge parallelism",
        "PBMAC1 with many rounds",
    ],
)
def test_too_many_rounds_are_counted_and_not_done(name: str) -> None:
    with pytest.raises(CertificateError) as caught:
        ServiceCertificate.read(CORPUS[name](), PASSWORD)
    assert caught.value.rules == (Refusal.TOO_MUCH_WORK,)


def test_the_corpus_is_large_enough_and_mostly_refused() -> None:
    assert len(CORPUS) >= 40
    passed = 0
    for name in ("bit 3 flipped", "cut at 12 of 24", "zeros", "one safe only", "version 4"):
        try:
            ServiceCertificate.read(CORPUS[name](), PASSWORD, test_environment=True)
            passed += 1
        except CertificateError:
            pass
    assert passed == 0


@pytest.mark.parametrize("name", ["good", "cut at 12 of 24", "bit 3 flipped", "terminal codes"])
def test_the_command_shows_neither_traceback_nor_secret(
    name: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "in.pfx"
    file.write_bytes(good() if name == "good" else CORPUS[name]())
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    assert main(["check", str(file)]) == (0 if name == "good" else 1)
    out, err = capfd.readouterr()
    for secret in (*secrets(file.read_bytes()), "Traceback"):
        assert secret not in out + err


def test_a_file_of_100_mb_is_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "large.pfx"
    file.touch()
    os.truncate(file, 100_000_000)
    with pytest.raises(CertificateError, match="100000000 bytes"):
        read_file(file)


def test_a_device_is_refused_without_being_read() -> None:
    with pytest.raises(CertificateError, match="is not a file but a device"):
        read_file(Path("/dev/zero"))
