from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from instance.agent import certificates
from instance.agent.certificates import read
from instance.agent.messages import redacted
from instance.agent.nginx import Disk
from instance.agent.problem import Problem
from tests.instance.pki import Authority, Issued

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
