"""The commands that are shown do what they say."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from components.dns.record_texts import commands
from sandbox import packages
from tests.dns.servers import KEY, KEY_NAME, Bind
from tests.dns.test_dynamic_update import OURS, zone_at

TEXT = commands(OURS.fqdn, OURS.target, OURS.ttl, "contoso.test")


def test_nsupdate_makes_the_record_that_is_shown(bind: Callable[..., Bind], tmp_path: Path) -> None:
    server = bind(zones={"contoso.test": "www A 203.0.113.5"})
    key = tmp_path / "key"
    key.write_text(f'key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{KEY}"; }};\n')
    line = next(line for line in TEXT.splitlines() if line.startswith("BIND:"))
    command = line.removeprefix("BIND:").strip().replace("KEYFILE", str(key))
    command = command.replace("'zone ", f"'server {server.address} {server.port}' 'zone ", 1)
    environment = packages.environment("bind9", "bind9-dnsutils")
    subprocess.run(["sh", "-c", command], env=environment, check=True, timeout=20)
    assert zone_at(server).read(OURS.fqdn) == OURS


def test_each_kind_of_server_has_its_command() -> None:
    assert TEXT.splitlines()[0] == (
        "Zone file:   dp.eu.contoso.test. 300 IN CNAME dp1.region.cloudapp.test."
    )
    assert "--zone-name contoso.test --record-set-name dp.eu --cname dp1.region." in TEXT
    assert "-Name dp.eu -HostNameAlias dp1.region.cloudapp.test. -TimeToLive 0.00:05:00" in TEXT


def test_the_parent_domain_is_the_zone_where_none_is_set() -> None:
    assert "-ZoneName eu.contoso.test -Name dp " in commands(OURS.fqdn, OURS.target, 90_061)
    assert "-TimeToLive 1.01:01:01" in commands(OURS.fqdn, OURS.target, 90_061)
