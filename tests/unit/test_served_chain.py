"""What is served is held against the rules that a PFX has to keep."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from components import cloud_distribution_point
from components.certificate.served import describe, fault, thumbprint
from components.dns.lookups import Resolver
from components.proxy import Proxy
from components.readiness import stages
from components.readiness.endpoint import Visit
from tests.unit.certificates import (
    CLIENT,
    ec_key,
    intermediate,
    make_authority,
    make_certificate,
    root,
    rsa_key,
)
from tests.unit.test_program import settings, up

FQDN = "cdp1.contoso.com"
BROKEN_NAMES = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x05")


def issued(name: str = FQDN, **changed: Any) -> x509.Certificate:
    options: dict[str, Any] = {"key": ec_key(), "issuer": intermediate(), "names": [name]}
    options |= changed
    return make_certificate(name, **options)


def wrong(*served: x509.Certificate, fqdn: str = FQDN, test_environment: bool = False) -> str:
    return fault(ders(served), fqdn=fqdn, test_environment=test_environment)


def ders(certificates: Sequence[x509.Certificate]) -> list[bytes]:
    return [each.public_bytes(Encoding.DER) for each in certificates]


@pytest.mark.parametrize("fqdn", [FQDN, "CDP1.Contoso.com", "cdp1.contoso.com."])
def test_a_good_chain_is_right_with_its_root_and_without(fqdn: str) -> None:
    above = (intermediate().certificate, root().certificate)
    assert wrong(issued(), *above, fqdn=fqdn) == ""
    assert wrong(issued(), *above[:1], fqdn=fqdn) == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"usages": [CLIENT]}, "which is not for servers (its extended key usage: Client"),
        ({"digital_signature": False}, "which has a key usage without Digital Signature"),
        ({"key": rsa_key(1024)}, "which has an RSA key of 1024 bits"),
        ({"key": ec_key(ec.SECP521R1)}, "which has a key that Windows clients cannot use"),
        ({"digest": hashes.SHA224()}, "which is signed with SHA-224"),
        ({"ca": True}, "which is the certificate of a certification authority"),
        ({"issuer": None}, "which is self-signed"),
        ({"name": "*.contoso.com"}, 'which covers "cdp1.contoso.com" by a wildcard only'),
        ({"name": "cdp2.contoso.com"}, f"a certificate that is not for {FQDN}"),
        ({"ends": timedelta(hours=-1)}, "a certificate that is not valid at this time"),
        ({"begins": timedelta(hours=1)}, "a certificate that is not valid at this time"),
        ({"names": (), "extensions": [BROKEN_NAMES]}, "something that is no certificate, or a"),
    ],
)
def test_what_a_pfx_would_be_refused_for_is_wrong_where_it_is_served(
    changed: dict[str, Any], words: str
) -> None:
    assert words in wrong(issued(**changed), intermediate().certificate)


def test_all_that_is_wrong_is_said_at_once_with_the_certificate() -> None:
    served = issued(usages=[CLIENT], digital_signature=False)
    text = wrong(served, intermediate().certificate)
    assert describe(ders([served])[0]) in text
    assert text.count("; it also ") == 1


def test_a_weak_intermediate_is_wrong() -> None:
    weak = make_authority("Old Issuing", issuer=root(), digest=hashes.SHA224())
    text = wrong(issued(issuer=weak), weak.certificate)
    assert 'has an intermediate certificate "CN=Old Issuing" signed with SHA-224' in text


@pytest.mark.parametrize("changed", [{"issuer": None}, {"name": "*.contoso.com"}])
def test_a_test_environment_may_serve_a_wildcard_or_a_self_signed_certificate(
    changed: dict[str, Any],
) -> None:
    above = () if "issuer" in changed else (intermediate().certificate,)
    assert wrong(issued(**changed), *above, test_environment=True) == ""


def test_a_root_that_is_served_too_does_no_harm_and_a_stranger_does() -> None:
    mine, stranger = issued(), make_authority("Stranger", issuer=root()).certificate
    expected = "".join(
        each.public_bytes(Encoding.PEM).decode() for each in (mine, intermediate().certificate)
    )

    def found(*more: x509.Certificate) -> str:
        served = ders([mine, intermediate().certificate, *more])
        return fault(served, fqdn=FQDN, test_environment=False, expected_chain=expected)

    assert found() == found(root().certificate) == ""
    assert "CN=Stranger, which is not of the stack's chain" in found(stranger)


def test_a_chain_in_the_wrong_order_is_wrong() -> None:
    text = wrong(issued(), root().certificate, intermediate().certificate)
    assert "a chain in which CN=Contoso Test Root did not issue CN=cdp1.contoso.com" in text


def test_the_stacks_own_certificate_is_known_by_its_thumbprint() -> None:
    mine, other = ders([issued(), issued()])
    expected = thumbprint(mine)
    for served, text in ((mine, ""), (other, f"the certificate {describe(other)}")):
        found = fault([served], fqdn=FQDN, test_environment=False, expected_thumbprint=expected)
        assert found == text


def test_control_characters_of_a_served_name_never_reach_the_terminal() -> None:
    assert wrong(issued("x\x1b[31m", names=[FQDN], usages=[CLIENT])).isprintable()


def test_bytes_that_are_no_certificate_are_told() -> None:
    text = fault([b"\x30\x03abc"], fqdn=FQDN, test_environment=True)
    assert text == "something that is no certificate, or a damaged one"


@pytest.mark.parametrize("test_environment", [True, False])
def test_the_wait_for_ready_looks_with_the_eyes_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, test_environment: bool
) -> None:
    made: list[stages.Subject] = []

    def subject(**values: Any) -> stages.Subject:
        made.append(stages.Subject(**values))
        return made[-1]

    monkeypatch.setattr(cloud_distribution_point, "Subject", subject)
    vault = "/subscriptions/6e7d5c1a-3b1f-4c58-9b0a-0d6f1c9f2a11/resourceGroups/pki/providers"
    source = {
        "keyVaultSecretId": "https://pki.vault.azure.net/secrets/cdp1",
        "keyVaultId": f"{vault}/Microsoft.KeyVault/vaults/pki",
    }
    up(settings(tmp_path, certificate=source, serviceFqdn=FQDN, testEnvironment=test_environment))
    served = tuple(ders([issued("*.contoso.com"), intermediate().certificate]))
    monkeypatch.setattr(stages, "visit", lambda *_: Visit(connected=True, chain=served))
    found = stages.stages(made[0], resolver=Resolver([]), proxy=Proxy())
    (look,) = (each.look for each in found if each.name == "certificate")
    assert look().ok == test_environment
