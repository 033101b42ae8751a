from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from components.certificate import ServiceCertificate
from instance.agent import certificates
from instance.agent.certificates import read
from instance.agent.messages import redacted
from instance.agent.nginx import Disk
from instance.agent.problem import Problem
from sandbox import packages
from tests.instance.pki import Authority, Issued
from tests.unit import certificates as unit
from tests.unit.certificates import ec_key

NAME = "content.contoso.example"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def below() -> Authority:
    return Authority("Issuer", Authority("Root"))


def serials(pem: str) -> list[str]:
    return [each.subject for each in certificates.split(pem)]


def test_key_leaf_and_chain_are_put_in_order_without_the_root(below: Authority) -> None:
    issued = below.issue(NAME, with_root=True)
    parts = certificates.BLOCK.findall(issued.bundle)
    assert len(parts) == 4
    texts = [match[0] for match in certificates.BLOCK.finditer(issued.bundle)]
    for mixed in ("\n".join(texts), "\n".join(reversed(texts))):
        served = read(mixed, "pem", NAME, now())
        assert served.pem.startswith("-----BEGIN PRIVATE KEY-----")
        assert serials(served.pem) == [f"CN={NAME}", "CN=Issuer"]
        assert served.expires == issued.certificate.not_valid_after_utc


def test_what_comes_with_its_leaf_first_keeps_its_order_whatever_names_say() -> None:
    key = ec_key(ec.SECP384R1)
    signer = unit.Authority(unit.intermediate().certificate, key)
    renamed = unit.make_certificate("Issuing G2", key, issuer=unit.root(), ca=True)
    pfx = unit.make_pfx(NAME, issuer=signer, chain=[renamed, unit.root().certificate])
    pem = ServiceCertificate.read(pfx, unit.PASSWORD).pem
    assert serials(read(pem, "pem", NAME, now()).pem) == [f"CN={NAME}", "CN=Issuing G2"]


def namesake() -> bytes:
    issuer = unit.make_authority(NAME, issuer=unit.root())
    return unit.make_pfx(NAME, issuer=issuer, chain=[issuer.certificate, unit.root().certificate])


def weak_root() -> bytes:
    above = unit.make_authority("Old Root", digest=hashes.SHA224())
    issuer = unit.make_authority("Issuing", issuer=above)
    return unit.make_pfx(NAME, issuer=issuer, chain=[issuer.certificate, above.certificate])


@pytest.mark.parametrize(
    "pfx",
    [
        pytest.param(lambda: unit.make_pfx(NAME), id="usual"),
        pytest.param(lambda: unit.make_pfx(NAME.upper()), id="capitals"),
        pytest.param(lambda: unit.make_pfx(NAME, names=()), id="name in subject"),
        pytest.param(lambda: unit.make_pfx("*.contoso.example"), id="wildcard"),
        pytest.param(lambda: unit.make_pfx(NAME, self_signed=True, ca=True), id="self-signed"),
        pytest.param(lambda: unit.make_pfx(NAME, chain=()), id="no chain"),
        pytest.param(lambda: unit.make_pfx(NAME, usages=None), id="no usages"),
        pytest.param(lambda: unit.make_pfx(NAME, key=unit.rsa_key(4096)), id="RSA"),
        pytest.param(lambda: unit.make_pfx(NAME, key=ec_key(ec.SECP384R1)), id="P-384"),
        pytest.param(lambda: unit.make_pfx("Unsere Überschrift", names=[NAME]), id="odd subject"),
        pytest.param(
            lambda: unit.make_pfx("Signature Algorithm: sha1WithRSA", names=[NAME]), id="words"
        ),
        pytest.param(lambda: unit.make_pfx(None, names=[NAME]), id="no subject"),
        pytest.param(namesake, id="authority of the same name"),
        pytest.param(weak_root, id="root signed with SHA-1"),
    ],
)
def test_whatever_a_deployment_accepts_the_agent_serves_unchanged(
    pfx: Callable[[], bytes], tmp_path: Path
) -> None:
    certificate = ServiceCertificate.read(pfx(), unit.PASSWORD, fqdn=NAME, test_environment=True)
    served = read(certificate.pem, "pem", NAME, now())
    assert served.pem.split() == certificate.pem.split()
    (tmp_path / "tls.pem").write_text(served.pem)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {tmp_path}/temporary;" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {paths} "
        "server { "
        f"listen unix:{tmp_path}/sock ssl; ssl_certificate {tmp_path}/tls.pem; "
        f"ssl_certificate_key {tmp_path}/tls.pem; }} }}"
    )
    tested = subprocess.run(
        ["nginx", "-e", "stderr", "-t", "-q", "-c", tmp_path / "nginx.conf"],
        env=packages.environment(*packages.NGINX),
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stderr


def test_a_self_signed_leaf_is_its_whole_chain() -> None:
    pem = certificates.stand_in()
    served = read(pem, "pem", "clouddp-starting", now())
    assert serials(served.pem) == ["CN=clouddp-starting"]


def test_pkcs12_becomes_what_pem_would_have_been(below: Authority) -> None:
    issued = below.issue(NAME, with_root=True)
    value = base64.b64encode(issued.pkcs12).decode()
    assert (
        read(value, "pkcs12", NAME, now()).pem.split()
        == read(issued.bundle, "pem", NAME, now()).pem.split()
    )


def test_a_wildcard_covers_the_name(below: Authority) -> None:
    assert read(below.issue("*.contoso.example").bundle, "pem", NAME, now())


def weak(folder: Path) -> str:
    key, pem = folder / "weak.key", folder / "weak.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha1", "-days", "9"]
    names = ["-subj", f"/CN={NAME}", "-keyout", str(key), "-out", str(pem)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    return key.read_text() + pem.read_text()


def test_a_signature_that_the_balancers_probe_refuses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="weaker than SHA-256"):
        read(weak(tmp_path), "pem", NAME, now())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one, _: one.pem, "is not one key and its certificates"),
        (lambda one, _: one.key_pem, "is not one key and its certificates"),
        (lambda one, two: one.bundle + two.key_pem, "is not one key and its certificates"),
        (lambda one, two: one.key_pem + two.pem, "belongs to none of the certificates"),
        (lambda _, __: "", "is not one key and its certificates"),
        (lambda one, _: one.bundle.replace("MI", "XX"), "openssl"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence_without_secrets(
    below: Authority, change: Callable[[Issued, Issued], str], words: str
) -> None:
    one, two = below.issue(NAME), below.issue(NAME)
    with pytest.raises(Problem, match=words) as caught:
        read(change(one, two), "pem", NAME, now())
    assert one.key_pem.splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize("days", [-70, -1, -0.001])
def test_a_certificate_out_of_its_time_is_refused(below: Authority, days: float) -> None:
    early = days < -60
    issued = below.issue(NAME, days=30 if early else days)
    with pytest.raises(Problem, match="is valid from"):
        read(issued.bundle, "pem", NAME, now() + timedelta(days=days if early else 0))


@pytest.mark.parametrize("value", ["%%%", "", base64.b64encode(b"not pkcs12").decode()])
def test_what_is_no_pkcs12_is_refused(value: str) -> None:
    with pytest.raises(Problem):
        read(value, "pkcs12", NAME, now())


def test_messages_of_nginx_are_passed_on_without_tokens() -> None:
    line = (
        '<187>Nov 23 20:00:00 nginx: 2026/11/23 20:00:00 [error] 1#1: *2 broke, request: "GET'
        ' /a?x=1&token=eyJhbGci.eyJpYXQi.c2ln HTTP/1.1", referrer: "https://a/?TOKEN=abc"'
    )
    assert redacted(line) == (
        '2026/11/23 20:00:00 [error] 1#1: *2 broke, request: "GET'
        ' /a?x=1&token=... HTTP/1.1", referrer: "https://a/?TOKEN=..."'
    )


@pytest.mark.parametrize("total", [64 * 10**6, 30 * 10**9, 128 * 10**9, 2 * 10**12])
def test_the_cache_leaves_room_on_any_disk(total: int) -> None:
    disk = Disk(total=total, free=total // 2)
    assert total * 5 // 100 <= disk.reserve <= total * 25 // 100
    assert not disk.full
    assert Disk(total=total, free=disk.reserve // 3).full
