"""What an operator is asked to do by hand, and that the commands that are shown do it."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.dns.by_hand import Standing, commands, request, standing
from components.dns.lookups import Resolver
from sandbox import packages
from tests.dns.servers import ADDRESS, KEY, KEY_NAME, Bind, free_port
from tests.dns.test_dynamic_update import ELSEWHERE, OURS, by_hand, zone_at

ZONE = "contoso.test"
TEXT = commands(OURS.fqdn, OURS.target, OURS.ttl, zone=ZONE)


def run(server: Bind, text: str, folder: Path) -> bool:
    """Runs the command for BIND. Returns whether the server took it."""
    key = folder / "key"
    key.write_text(f'key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{KEY}"; }};\n')
    line = next(line for line in text.splitlines() if line.startswith("BIND:"))
    command = line.removeprefix("BIND:").strip().replace("KEYFILE", str(key))
    command = command.replace("'zone ", f"'server {server.address} {server.port}' 'zone ", 1)
    environment = packages.environment("bind9", "bind9-dnsutils")
    done = subprocess.run(["sh", "-c", command], env=environment, check=False, timeout=20)
    return done.returncode == 0


def test_nsupdate_makes_the_record_that_is_shown(bind: Callable[..., Bind], tmp_path: Path) -> None:
    server = bind(zones={ZONE: "www A 203.0.113.5"})
    assert run(server, TEXT, tmp_path)
    assert zone_at(server).read(OURS.fqdn) == OURS


def test_nsupdate_changes_the_record_that_was_found_and_no_other(
    bind: Callable[..., Bind], tmp_path: Path
) -> None:
    server = bind(zones={ZONE: "www A 203.0.113.5"})
    by_hand(server, ELSEWHERE)
    there = standing(OURS.fqdn, Resolver([server.server]))
    assert there == Standing(zone=ZONE, alias_of=ELSEWHERE.target)
    text = request(OURS.fqdn, OURS.target, OURS.ttl, there)
    by_hand(server, dataclasses.replace(ELSEWHERE, target="somewhere.fabrikam.test"))
    assert not run(server, text, tmp_path)
    by_hand(server, ELSEWHERE)
    assert run(server, text, tmp_path)
    assert zone_at(server).read(OURS.fqdn) == OURS


def test_each_kind_of_server_has_its_command() -> None:
    assert TEXT.splitlines()[0] == (
        "Zone file:   dp.eu.contoso.test. 300 IN CNAME dp1.region.cloudapp.test."
    )
    assert "--zone-name contoso.test --record-set-name dp.eu --cname dp1.region." in TEXT
    assert "-Name dp.eu -HostNameAlias dp1.region.cloudapp.test. -TimeToLive 0.00:05:00" in TEXT
    assert "-TimeToLive 1.01:01:01" in commands(OURS.fqdn, OURS.target, 90_061)


def test_windows_dns_removes_an_alias_before_it_takes_another() -> None:
    text = commands(OURS.fqdn, OURS.target, OURS.ttl, zone=ZONE, instead_of=ELSEWHERE.target)
    assert (
        "Windows DNS: Remove-DnsServerResourceRecord -ZoneName contoso.test -Name dp.eu "
        "-RRType CName -Force; Add-DnsServerResourceRecordCName -ZoneName contoso.test"
    ) in text


def test_a_zone_that_is_not_known_is_not_guessed() -> None:
    text = commands(OURS.fqdn, OURS.target, OURS.ttl)
    assert "-ZoneName ZONE -Name NAME " in text
    assert "--zone-name ZONE --record-set-name NAME " in text
    assert f"printf '%s\\n' 'prereq nxdomain {OURS.fqdn}'" in text


@pytest.mark.parametrize(
    ("records", "there", "begins"),
    [
        ("www A 203.0.113.5", Standing(zone=ZONE), "Create this record, in one of these ways:"),
        (
            f"dp.eu CNAME {ELSEWHERE.target}.",
            Standing(zone=ZONE, alias_of=ELSEWHERE.target),
            f"{OURS.fqdn} is an alias (CNAME) of {ELSEWHERE.target}. Change it, in one of these",
        ),
        (
            "dp.eu A 203.0.113.7",
            Standing(zone=ZONE, other="has the address 203.0.113.7"),
            f"{OURS.fqdn} has the address 203.0.113.7. Remove that, and create this record, in",
        ),
    ],
)
def test_what_is_asked_for_depends_on_what_stands_there(
    bind: Callable[..., Bind], records: str, there: Standing, begins: str
) -> None:
    server = bind(zones={ZONE: records})
    assert standing(OURS.fqdn, Resolver([server.server])) == there
    assert request(OURS.fqdn, OURS.target, OURS.ttl, there).startswith(begins)


def test_nothing_is_asked_for_where_the_alias_is_right(bind: Callable[..., Bind]) -> None:
    server = bind(zones={ZONE: f"dp.eu CNAME {OURS.target}."})
    there = standing(OURS.fqdn, Resolver([server.server]))
    assert request(OURS.fqdn, OURS.target, OURS.ttl, there) == ""


def test_where_nobody_answers_the_record_is_shown_all_the_same() -> None:
    there = standing(OURS.fqdn, Resolver([f"{ADDRESS}:{free_port()}"], seconds=0.5))
    assert there == Standing()
    assert request(OURS.fqdn, OURS.target, OURS.ttl, there).startswith("Create this record")
