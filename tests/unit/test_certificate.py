"""Every rule for certificates, each seen to speak, and what a good certificate gives."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from components.certificate import (
    CertificateError,
    ServiceCertificate,
    ber,
    read_file,
    service_certificate,
)
from components.certificate import pkcs12 as certificate_pkcs12
from components.certificate import rules as certificate_rules
from components.certificate.pkcs12 import (
    LARGEST_FILE,
    MOST_CERTIFICATES,
    MOST_ITERATIONS,
    look,
    open_pfx,
)
from components.certificate.rules import Advice, Refusal
from components.settings.sign_in import check_client_certificate
from tests.unit.certificate_damage import (
    assemble,
    hide,
    join,
    number,
    object_identifier,
    octets,
    parts,
    replace_numbers,
    replace_object_identifiers,
    rewrite,
    sequence,
)
from tests.unit.certificates import (
    CLIENT,
    NOW,
    PASSWORD,
    Authority,
    ec_key,
    encrypted,
    intermediate,
    legacy,
    make_authority,
    make_certificate,
    make_pfx,
    pack,
    root,
    rsa_key,
)

FQDN = "cdp1.contoso.com"
BROKEN_NAMES = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x05")


def read(data: bytes, password: str | None = PASSWORD, **options: Any) -> ServiceCertificate:
    return ServiceCertificate.read(data, password, **options)


def refused(data: bytes, password: str | None = PASSWORD, **options: Any) -> CertificateError:
    with pytest.raises(CertificateError) as caught:
        read(data, password, **options)
    return caught.value


def two_keys(*fqdns: str, ends: tuple[int, int] = (365, 365)) -> bytes:
    """A PFX with two keys and their certificates, which no library writes but Windows does."""
    return join(
        *(
            make_pfx(fqdn, key=key, encryption=encrypted(), ends=timedelta(days=days))
            for fqdn, key, days in zip(fqdns, (ec_key(), ec_key(ec.SECP384R1)), ends, strict=True)
        )
    )


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def key_der() -> bytes:
    return ec_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def many_certificates() -> bytes:
    more = [make_certificate(f"host{i}", ec_key()) for i in range(MOST_CERTIFICATES)]
    return make_pfx(chain=more)


def long_chain() -> bytes:
    """A chain whose certificates are so large that no vault secret holds them."""
    large = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(20_000))
    return make_pfx(extensions=[large])


def weak_chain() -> bytes:
    weak = make_authority("Old Issuing", issuer=root(), digest=hashes.SHA224())
    return make_pfx(issuer=weak, chain=[weak.certificate, root().certificate])


def weak_authority() -> bytes:
    weak = make_authority("Small Issuing", issuer=root(), key=rsa_key(1024))
    return make_pfx(issuer=weak, chain=[weak.certificate, root().certificate])


def no_authority() -> bytes:
    key = ec_key(ec.SECP384R1)
    other = Authority(make_certificate("Another server", key, issuer=root()), key)
    return make_pfx(issuer=other, chain=[other.certificate, root().certificate])


def issuer_of_another_name() -> bytes:
    key = ec_key(ec.SECP384R1)
    renamed = make_certificate("Contoso Issuing G2", key, issuer=root(), ca=True)
    issuer = Authority(intermediate().certificate, key)
    return make_pfx(issuer=issuer, chain=[renamed, root().certificate])


def hidden_key(*, rounds: int = 2048) -> bytes:
    """A PFX whose key lies in a part that is encrypted as a whole, as no usual program writes."""
    certificates, key = parts(make_pfx(encryption=encrypted()))
    (bags,) = parts(replace_numbers(assemble(key), 2048, rounds))
    return assemble(certificates, hide(bags, PASSWORD))


def within_a_second(work: Callable[[], object]) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate_pkcs12, "_SECONDS", 1)
        return work()


def expired_intermediate() -> bytes:
    old = make_authority("Expired Issuing", issuer=root(), ends=timedelta(hours=-1))
    return make_pfx(issuer=old, chain=[old.certificate, root().certificate])


def publish_settings(version: int = 2) -> bytes:
    guid = "11111111-2222-3333-4444-555555555555"
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<PublishData>\n  <PublishProfile '
        f'SchemaVersion="{version}.0" PublishMethod="AzureServiceManagementAPI">\n'
        f'    <Subscription Id="{guid}" Name="\x1b[31mProd" ManagementCertificate="MIIKDAIB" />\n'
        "  </PublishProfile>\n</PublishData>\n"
    ).encode()


Case = Callable[[Path], object]

REFUSALS: dict[Refusal, Case] = {
    Refusal.MISSING: lambda tmp: read_file(tmp / "none.pfx"),
    Refusal.FOLDER: read_file,
    Refusal.NOT_A_FILE: lambda tmp: (os.mkfifo(tmp / "pipe"), read_file(tmp / "pipe")),
    Refusal.UNREADABLE: lambda tmp: read_file(tmp / ("x" * 300)),
    Refusal.TOO_LARGE: lambda _: read(bytes(LARGEST_FILE + 1)),
    Refusal.EMPTY: lambda _: read(b""),
    Refusal.PEM: lambda _: read(root().certificate.public_bytes(Encoding.PEM)),
    Refusal.BARE_CERTIFICATE: lambda _: read(der(root().certificate)),
    Refusal.P7B: lambda _: read(pkcs7.serialize_certificates([root().certificate], Encoding.DER)),
    Refusal.BARE_KEY: lambda _: read(key_der()),
    Refusal.WEB_PAGE: lambda _: read(b"\n<!DOCTYPE html><html><title>Sign in</title></html>"),
    Refusal.BASE64: lambda _: read(base64.encodebytes(make_pfx())),
    Refusal.OTHER_FILE: lambda _: read(b"PK\x03\x04" + bytes(40)),
    Refusal.PUBLISH_SETTINGS: lambda _: read(publish_settings()),
    Refusal.NOT_A_PFX: lambda _: read(b"certainly not"),
    Refusal.CUT_SHORT: lambda _: read(make_pfx()[:-1]),
    Refusal.DAMAGED: lambda _: read(replace_numbers(make_pfx(), 2048, -5)),
    Refusal.TOO_MUCH_WORK: lambda _: read(replace_numbers(make_pfx(), 2048, MOST_ITERATIONS)),
    Refusal.TOO_SLOW: lambda _: within_a_second(lambda: read(hidden_key(rounds=2**31 - 1))),
    Refusal.SIGNED_PFX: lambda _: read(
        replace_object_identifiers(make_pfx(), "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2")
    ),
    Refusal.UNKNOWN_ALGORITHM: lambda _: read(
        replace_object_identifiers(make_pfx(), "2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.99")
    ),
    Refusal.LOCKED: lambda _: read(make_pfx(), None),
    Refusal.NOT_OPENED: lambda _: read(make_pfx(), "wrong"),
    Refusal.NO_PASSWORD_NEEDED: lambda _: read(make_pfx(password="")),
    Refusal.TOO_MANY_CERTIFICATES: lambda _: read(many_certificates()),
    Refusal.NO_KEY: lambda _: read(pack(None, None, [root().certificate])),
    Refusal.NO_CERTIFICATE: lambda _: read(pack(ec_key(), None)),
    Refusal.KEY_MISMATCH: lambda _: read(pack(ec_key(), None, [root().certificate])),
    Refusal.SEVERAL_KEYS: lambda _: read(two_keys("a.contoso.com", "b.contoso.com")),
    Refusal.DAMAGED_CERTIFICATE: lambda _: read(make_pfx(names=(), extensions=[BROKEN_NAMES])),
    Refusal.KEY_KIND: lambda _: read(make_pfx(key=ed25519.Ed25519PrivateKey.generate())),
    Refusal.RSA_SIZE: lambda _: read(make_pfx(key=rsa_key(1024))),
    Refusal.NOT_YET_VALID: lambda _: read(make_pfx(begins=timedelta(hours=1))),
    Refusal.EXPIRED: lambda _: read(make_pfx(ends=timedelta(hours=-1))),
    Refusal.NO_SERVER_USAGE: lambda _: read(make_pfx(usages=[CLIENT])),
    Refusal.NO_DIGITAL_SIGNATURE: lambda _: read(make_pfx(digital_signature=False)),
    Refusal.CA_CERTIFICATE: lambda _: read(make_pfx(ca=True)),
    Refusal.WEAK_SIGNATURE: lambda _: read(make_pfx(digest=hashes.SHA224())),
    Refusal.WEAK_CHAIN: lambda _: read(weak_chain()),
    Refusal.WEAK_CHAIN_KEY: lambda _: read(weak_authority()),
    Refusal.CHAIN_NOT_CA: lambda _: read(no_authority()),
    Refusal.SELF_SIGNED: lambda _: read(make_pfx(self_signed=True)),
    Refusal.WILDCARD: lambda _: read(make_pfx("*.contoso.com"), fqdn=FQDN),
    Refusal.NOT_COVERED: lambda _: read(make_pfx(), fqdn="cdp2.contoso.com"),
    Refusal.BAD_FQDN: lambda _: read(make_pfx("*.contoso.com"), fqdn="*.contoso.com"),
    Refusal.FQDN_NEEDED_WILDCARD: lambda _: read(make_pfx("*.contoso.com")).default_fqdn(),
    Refusal.FQDN_NEEDED: lambda _: read(make_pfx("Our CDP", names=[FQDN])).default_fqdn(),
    Refusal.FQDN_NEEDED_SHORT: lambda _: read(make_pfx("cdp1")).default_fqdn(),
    Refusal.FQDN_NEEDED_NO_SUBJECT: lambda _: read(
        make_pfx(None, names=[FQDN, "cdp2.contoso.com"])
    ).default_fqdn(),
    Refusal.NO_NAME: lambda _: read(make_pfx(None)),
    Refusal.UNUSABLE_NAMES: lambda _: read(make_pfx(names=[f"{FQDN}.", "*.com", "cdp_1"])),
    Refusal.TOO_LARGE_FOR_VAULT: lambda _: read(long_chain()),
    Refusal.SIGN_IN_ALGORITHM: lambda _: check_client_certificate(make_pfx(), PASSWORD),
    Refusal.SIGN_IN_ROUNDS: lambda _: check_client_certificate(
        make_pfx(key=rsa_key(), encryption=legacy(rounds=2**20 + 1)), PASSWORD
    ),
    Refusal.SIGN_IN_SHAPE: lambda _: check_client_certificate(
        join(make_pfx(key=rsa_key(), encryption=legacy())), PASSWORD
    ),
    Refusal.SIGN_IN_PEM: lambda _: check_client_certificate(
        b"-----BEGIN EC PRIVATE KEY-----\n", None
    ),
    Refusal.SIGN_IN_KEY: lambda _: check_client_certificate(make_pfx(), PASSWORD),
    Refusal.SIGN_IN_SEVERAL: lambda _: check_client_certificate(
        two_keys("a.contoso.com", "b.contoso.com"), PASSWORD
    ),
}

ADVICE: dict[Advice, Callable[[], bytes]] = {
    Advice.EXPIRES_SOON: lambda: make_pfx(ends=timedelta(days=29)),
    Advice.NO_USAGE: lambda: make_pfx(usages=None),
    Advice.ANY_USAGE: lambda: make_pfx(usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
    Advice.NAME_IN_SUBJECT: lambda: make_pfx(names=()),
    Advice.CHAIN_INCOMPLETE: lambda: make_pfx(chain=()),
    Advice.CHAIN_NAMES: issuer_of_another_name,
    Advice.INTERMEDIATE_NOT_VALID: expired_intermediate,
}


def beginning(rule: Refusal | Advice) -> str:
    return str(rule.value).partition("{")[0]


@pytest.mark.parametrize("rule", Refusal, ids=lambda rule: rule.name.lower())
def test_each_refusal_is_told_in_its_own_sentence(rule: Refusal, tmp_path: Path) -> None:
    with pytest.raises(CertificateError) as caught:
        REFUSALS[rule](tmp_path)
    assert rule in caught.value.rules
    text = caught.value.problems[caught.value.rules.index(rule)]
    assert text.startswith(beginning(rule))
    assert text.isprintable()
    assert not text.endswith(".")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("rule", Advice, ids=lambda rule: rule.name.lower())
def test_each_warning_is_told_and_stops_nothing(rule: Advice) -> None:
    warnings = read(ADVICE[rule]()).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith(beginning(rule))


def test_the_sentences_begin_differently() -> None:
    texts = [str(rule.value) for rule in (*Refusal, *Advice)]
    assert len({text[:60] for text in texts}) == len(texts)


def test_all_that_is_wrong_is_said_at_once() -> None:
    error = refused(
        make_pfx(key=rsa_key(1024), usages=[CLIENT], ends=timedelta(hours=-1)),
        fqdn="cdp9.contoso.com",
    )
    assert error.rules == (
        Refusal.RSA_SIZE,
        Refusal.EXPIRED,
        Refusal.NO_SERVER_USAGE,
        Refusal.NOT_COVERED,
    )
    assert str(error).count("; it also ") == 3


def test_a_key_in_an_encrypted_part_is_read() -> None:
    assert read(hidden_key()).default_fqdn() == FQDN


@pytest.mark.parametrize("bits", [100, 20_000])
def test_a_count_that_no_program_writes_is_damage(bits: int) -> None:
    assert refused(replace_numbers(make_pfx(), 2048, 2**bits)).rules == (Refusal.DAMAGED,)


def test_a_file_with_several_keys_is_decrypted_twice_and_counted_so() -> None:
    one, several = look(make_pfx(encryption=encrypted())), look(two_keys(FQDN, "b.contoso.com"))
    # Two keys and two lots of certificates, and no MAC.
    assert (one.iterations, several.iterations) == (3 * 2048, 2 * 4 * 2048)


def test_scrypt_is_counted_by_what_it_costs() -> None:
    cost, block, parallel = 2**14, 8, 3
    factors = [number(each) for each in (cost, block, parallel)]
    scrypt = sequence(object_identifier("1.3.6.1.4.1.11591.4.11"), sequence(octets(b"s"), *factors))
    hmac = sequence(object_identifier("1.2.840.113549.2.9"))
    both = sequence(object_identifier("1.2.840.113549.1.5.13"), sequence(scrypt, hmac))
    data = rewrite(
        make_pfx(),
        lambda value: both if value.tag == ber.SEQUENCE and is_scheme(value) else value,
    )
    assert look(data).iterations == 2048 + 2 * 4 * cost * block * parallel


def is_scheme(value: ber.Value) -> bool:
    return value.children[:1] == (object_identifier("1.2.840.113549.1.5.13"),)


def test_a_second_key_without_encryption_is_found_too() -> None:
    data = join(
        make_pfx("a.contoso.com", encryption=encrypted()),
        make_pfx("b.contoso.com", key=ec_key(ec.SECP384R1), password=""),
    )
    assert read(data, fqdn="b.contoso.com").dns_names == ("b.contoso.com",)


def test_of_several_subject_names_the_last_one_counts() -> None:
    organisation = x509.NameAttribute(NameOID.COMMON_NAME, "Contoso")
    name = x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, FQDN)])
    own = ec_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(intermediate().certificate.subject)
        .public_key(own.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(FQDN)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(intermediate().key, hashes.SHA256())
    )
    assert read(pack(own, certificate)).default_fqdn() == FQDN


@pytest.mark.parametrize(
    ("seconds", "rules"),
    [
        (-86_401, (Refusal.NOT_YET_VALID,)),
        (-86_400, ()),
        (365 * 86_400, ()),
        (365 * 86_400 + 1, (Refusal.EXPIRED,)),
    ],
)
def test_validity_begins_and_ends_to_the_second(seconds: int, rules: tuple[Refusal, ...]) -> None:
    now = NOW + timedelta(seconds=seconds)
    if rules:
        assert refused(make_pfx(), now=now).rules == rules
    else:
        assert read(make_pfx(), now=now)


@pytest.mark.parametrize("room", [0, -1])
def test_the_vaults_limit_holds_to_the_byte(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    data = make_pfx()
    size = len(read(data).pem)
    monkeypatch.setattr(service_certificate, "LARGEST_SECRET", size + room)
    if room:
        assert refused(data).rules == (Refusal.TOO_LARGE_FOR_VAULT,)
    else:
        assert len(read(data).pem) == size


def test_a_server_named_like_its_authority_is_not_self_signed() -> None:
    namesake = make_authority(FQDN, issuer=root())
    certificate = read(make_pfx(issuer=namesake, chain=[namesake.certificate, root().certificate]))
    assert not certificate.self_signed
    assert certificate.chain_pem.count("BEGIN CERTIFICATE") == 2


def test_a_good_pfx_gives_what_the_service_needs() -> None:
    certificate = read(make_pfx("CDP1.Contoso.com", organisation="Contoso"))
    assert certificate.default_fqdn() == FQDN
    assert certificate.dns_names == (FQDN,)
    assert certificate.subject == "CN=CDP1.Contoso.com,O=Contoso"
    assert certificate.expires == f"{NOW + timedelta(days=365):%Y-%m-%dT%H:%M:%SZ}"
    assert not certificate.self_signed
    assert not certificate.wildcard_only
    assert certificate.warnings == ()


def test_the_pem_has_key_leaf_and_intermediate_but_no_root() -> None:
    certificate = read(make_pfx())
    assert certificate.pem.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert certificate.pem.endswith(certificate.chain_pem)
    sent = x509.load_pem_x509_certificates(certificate.chain_pem.encode())
    assert [each.subject.rfc4514_string() for each in sent] == [
        f"CN={FQDN}",
        "CN=Contoso Test Issuing",
    ]
    assert certificate.thumbprint == hashlib.sha1(der(sent[0])).hexdigest().upper()  # noqa: S324


def test_a_self_signed_leaf_is_served_itself() -> None:
    certificate = read(make_pfx(self_signed=True, ca=True), test_environment=True)
    assert certificate.self_signed
    assert certificate.chain_pem.count("BEGIN CERTIFICATE") == 1
    assert certificate.warnings == ()


@pytest.mark.parametrize("password", [None, ""])
@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_rsa_from_2048_to_4096_bits_is_accepted(bits: int, password: str | None) -> None:
    assert read(make_pfx(key=rsa_key(bits), password=""), password).default_fqdn() == FQDN


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1])
def test_the_two_curves_that_windows_knows_are_accepted(curve: type[ec.EllipticCurve]) -> None:
    assert read(make_pfx(key=ec_key(curve))).default_fqdn() == FQDN


@pytest.mark.parametrize("curve", [ec.SECP521R1, ec.SECP256K1, ec.BrainpoolP256R1])
def test_other_curves_are_refused(curve: type[ec.EllipticCurve]) -> None:
    error = refused(make_pfx(key=ec_key(curve)))
    assert error.rules == (Refusal.KEY_KIND,)
    assert curve().name in str(error)


def test_a_password_of_no_ascii_opens_the_file() -> None:
    password = "Pässwörd €uro 日本 🔑"
    assert read(make_pfx(password=password), password).default_fqdn() == FQDN


@pytest.mark.parametrize("password", ["a\0b", PASSWORD + "\n", "\ud800", "x" * 100_000])
def test_a_strange_password_is_refused_quietly(
    password: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refused(make_pfx(), password).rules == (Refusal.NOT_OPENED,)
    assert capfd.readouterr() == ("", "")


def test_a_wrong_password_is_refused_and_never_shown() -> None:
    error = refused(make_pfx(), "hunter2-hunter2")
    assert error.rules == (Refusal.NOT_OPENED,)
    assert "hunter2" not in f"{error!r} {error} {error.problems}"


def test_neither_key_nor_password_is_in_any_representation() -> None:
    certificate = read(make_pfx())
    secret = certificate.pem.splitlines()[1]
    assert secret not in repr(certificate) + str(certificate) + repr(certificate.leaf)
    assert PASSWORD not in repr(certificate)


def test_twenty_readings_give_the_same_bytes() -> None:
    data = make_pfx()
    assert len({read(data).pem for _ in range(20)}) == 1


def test_the_order_in_the_file_does_not_matter() -> None:
    chain = [intermediate().certificate, root().certificate]
    leaf = make_certificate(FQDN, ec_key(), issuer=intermediate(), names=[FQDN])
    orders = (chain, chain[::-1])
    assert len({read(pack(ec_key(), leaf, order)).pem for order in orders}) == 1


def test_certificates_come_in_an_order_of_their_own() -> None:
    everything = [make_certificate(f"host{number}", ec_key()) for number in range(10)]
    data = make_pfx(chain=everything)
    found = open_pfx(data, PASSWORD).certificates
    assert list(found) == sorted(found, key=der)


def test_a_friendly_name_makes_no_difference() -> None:
    leaf = make_certificate(FQDN, ec_key(), issuer=intermediate(), names=[FQDN])
    named = pack(ec_key(), leaf, friendly_name="Prod \x1b[31m 2026")
    assert read(named).pem == read(pack(ec_key(), leaf)).pem


def test_of_two_keys_the_one_whose_certificate_covers_the_name_is_served() -> None:
    data = two_keys("a.contoso.com", "b.contoso.com")
    for fqdn in ("a.contoso.com", "b.contoso.com"):
        assert read(data, fqdn=fqdn).default_fqdn() == fqdn


def test_of_two_keys_for_one_name_the_valid_one_is_served() -> None:
    data = two_keys("a.contoso.com", "a.contoso.com", ends=(-1, 100))
    assert read(data).not_after == NOW + timedelta(days=100)


def test_two_keys_for_one_name_are_refused_even_with_the_name() -> None:
    error = refused(two_keys("a.contoso.com", "a.contoso.com"), fqdn="a.contoso.com")
    assert error.rules == (Refusal.SEVERAL_KEYS,)


def test_the_days_before_a_warning_are_counted_from_now() -> None:
    data = make_pfx(ends=timedelta(days=60))
    assert read(data, warning_days=59, now=NOW).warnings == ()
    assert "in 60 days" in read(data, warning_days=60, now=NOW).warnings[0]


def test_validity_is_held_against_the_given_time() -> None:
    later = datetime.now(UTC) + timedelta(days=400)
    assert refused(make_pfx(), now=later).rules == (Refusal.EXPIRED,)


def test_a_certificate_of_another_organisation_and_letter_case_renews_in_place() -> None:
    renewed = read(make_pfx("CDP1.CONTOSO.COM", organisation="Fabrikam"), fqdn=FQDN)
    assert renewed.covers(FQDN)
    assert renewed.default_fqdn() == FQDN


def test_a_renewal_for_another_name_says_what_to_do() -> None:
    text = str(refused(make_pfx("new.contoso.com"), fqdn=FQDN))
    assert "new.contoso.com" in text
    assert "serviceFqdn" in text


def test_an_exact_name_beside_a_wildcard_counts_as_exact() -> None:
    data = make_pfx("*.contoso.com", names=["*.contoso.com", FQDN])
    assert read(data, fqdn=FQDN).covers(FQDN)
    assert refused(data, fqdn="other.contoso.com").rules == (Refusal.WILDCARD,)


def test_a_wildcard_serves_a_test_environment() -> None:
    certificate = read(make_pfx("*.contoso.com"), fqdn=FQDN, test_environment=True)
    assert certificate.wildcard_only
    assert certificate.warnings == ()


def test_the_subject_counts_only_where_there_is_no_alternative_name() -> None:
    certificate = read(make_pfx("old.contoso.com", names=[FQDN]))
    assert not certificate.covers("old.contoso.com")
    assert certificate.covers(FQDN)


def test_the_names_to_choose_from_are_listed_but_not_endlessly() -> None:
    names = [f"cdp{number}.contoso.com" for number in range(40)]
    with pytest.raises(CertificateError) as caught:
        read(make_pfx("Contoso", names=names)).default_fqdn()
    assert "cdp0.contoso.com, cdp1.contoso.com" in str(caught.value)
    assert "and 30 more" in str(caught.value)


def test_control_characters_of_a_subject_never_reach_the_terminal() -> None:
    certificate = read(make_pfx("x\x1b]0;owned\x07\u202e\n", names=[FQDN]))
    with pytest.raises(CertificateError) as caught:
        certificate.default_fqdn()
    assert str(caught.value).isprintable()
    assert certificate.subject.isprintable()
    assert "owned" in certificate.subject


def test_a_path_with_control_characters_is_escaped(tmp_path: Path) -> None:
    with pytest.raises(CertificateError) as caught:
        read_file(tmp_path / "a\x1b[2Jb.pfx")
    assert str(caught.value).isprintable()
    assert str(tmp_path) in str(caught.value)


def test_printable_text_is_left_as_it_is() -> None:
    assert certificate_rules.printable("Bücher & Söhne 東京") == "Bücher & Söhne 東京"
    assert certificate_rules.printable("x" * 1000) == "x" * 200 + "…"


def test_a_publish_settings_file_is_told_with_its_subscriptions() -> None:
    error = refused(publish_settings())
    assert error.rules == (Refusal.PUBLISH_SETTINGS,)
    assert "11111111-2222-3333-4444-555555555555" in str(error)
    assert "MIIKDAIB" not in str(error)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xfe\xed\xfe\xed" + bytes(20), "a Java key store"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b'<?xml version="1.0"?><a/>', "an XML file"),
        (b'{"a": 1}', "a JSON file"),
    ],
)
def test_other_files_are_told_for_what_they_are(data: bytes, kind: str) -> None:
    assert f"is {kind}" in str(refused(data))


def test_many_subscriptions_of_a_publish_settings_file_are_counted() -> None:
    ids = [f"{number:08}-2222-3333-4444-555555555555" for number in range(9)]
    error = refused(
        "".join(["<PublishData>", *map('<Subscription Id="{}"/>'.format, ids)]).encode()
    )
    assert f"{', '.join(ids[:4])} and 5 more)" in str(error)
    assert f"azure-native:subscriptionId {ids[0]}`" in str(error)


def test_pem_is_recognised_in_the_encoding_of_windows_tools() -> None:
    pem = root().certificate.public_bytes(Encoding.PEM).decode()
    for encoding in ("utf-16", "utf-8-sig"):
        error = refused(pem.encode(encoding))
        assert error.rules == (Refusal.PEM,)
        assert "certificate" in str(error)


def test_a_certificate_request_is_recognised() -> None:
    builder = x509.CertificateSigningRequestBuilder(subject_name=root().certificate.subject)
    request = builder.sign(ec_key(), hashes.SHA256()).public_bytes(Encoding.DER)
    assert "a certificate request" in str(refused(request))


@pytest.mark.parametrize("kind", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_bare_key_is_recognised_and_not_shown(kind: PrivateFormat) -> None:
    key: rsa.RSAPrivateKey = rsa_key()
    error = refused(key.private_bytes(Encoding.DER, kind, NoEncryption()))
    assert error.rules == (Refusal.BARE_KEY,)
