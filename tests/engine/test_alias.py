"""The alias of a distribution point in Azure's and in the organisation's own DNS."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Generator
from pathlib import Path

import dns.query
import dns.tsig
import dns.update
import pytest

from components.dns.updates import Cname, Zone
from sandbox import certificates
from sandbox.provider.rules import CLOUDS, SUBSCRIPTION
from sandbox.provider.tool import change
from tests.dns.servers import KEY, KEY_NAME, OTHER_KEY, Bind
from tests.engine.program import SandboxedProgram
from tests.engine.test_control_plane import azure_of

ZONE = "contoso.example"
SITE = "clouddp1q34mna.westeurope.cloudapp.azure.com"
OURS = Cname(certificates.FQDN, SITE, 300)
FOREIGN = Cname(certificates.FQDN, "elsewhere.fabrikam.example", 300)
UPDATED = "~  clouddp-dns:index:DynamicCname clouddp1-alias-record updated"
OTHER_SUBSCRIPTION = "22222222-2222-4222-8222-222222222222"


@dataclasses.dataclass(frozen=True)
class OwnDns:
    """A program whose alias goes to a BIND by dynamic updates, which it also asks for names."""

    program: SandboxedProgram
    bind: Bind

    @property
    def zone(self) -> Zone:
        return Zone(
            name=ZONE,
            server=self.bind.server,
            key_name=KEY_NAME,
            key_algorithm="hmac-sha256",
            key_secret=KEY,
        )

    def record(self) -> Cname | None:
        return self.zone.read(certificates.FQDN)

    def by_hand(self, record: Cname | None) -> None:
        """Somebody else removes what is there, and puts another alias in its place."""
        update = dns.update.UpdateMessage(ZONE, keyring=dns.tsig.Key(KEY_NAME, KEY))
        update.delete(f"{certificates.FQDN}.")
        if record:
            update.add(f"{record.fqdn}.", record.ttl, "CNAME", f"{record.target}.")
        assert dns.query.tcp(update, self.bind.address, 5, self.bind.port).rcode() == 0


@pytest.fixture
def own(sandbox: SandboxedProgram, tmp_path: Path) -> Generator[OwnDns]:
    with Bind(folder=tmp_path / "bind", zones={ZONE: "www A 203.0.113.5"}) as bind:
        program = dataclasses.replace(sandbox, nameserver=bind.server)
        settings = {
            "mode": "rfc2136",
            "zone": ZONE,
            "server": bind.server,
            "keyName": KEY_NAME,
            "ttl": OURS.ttl,
        }
        program.config("dns", settings)
        program.config("dns.keySecret", KEY, secret=True)
        yield OwnDns(program, bind)


def refused(program: SandboxedProgram, *command: str) -> str:
    """Run what has to fail, and return all that it says."""
    done = program.pulumi(*command, check=False)
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in shown
    assert KEY not in shown
    return shown


def assert_nothing_was_made(program: SandboxedProgram) -> None:
    assert not any(each["type"].startswith("azure-native:") for each in program.resources())


def test_the_life_of_an_alias_in_the_organisations_own_dns(own: OwnDns) -> None:
    program = own.program
    preview = program.pulumi("preview", "--diff").stdout
    assert "clouddp-dns:index:DynamicCname: (create)" in preview
    assert f'target      : "{SITE}"' in preview
    assert own.record() is None

    made = program.up("-v=8", "--logtostderr")
    assert own.record() == OURS
    kept = json.dumps(program.export()) + (program.root / "Pulumi.dev.yaml").read_text()
    assert KEY not in preview + made.stdout + made.stderr + kept
    program.pulumi("preview", "--expect-no-changes")

    own.by_hand(FOREIGN)
    seen = program.refresh("--diff").stdout
    assert re.search(rf'target.*"{SITE}" => "{FOREIGN.target}"', seen), seen
    repaired = program.up().stdout
    assert UPDATED in repaired
    assert own.record() == OURS

    program.config("dns.ttl", 60)
    program.config("dnsLabel", "other-label")
    assert UPDATED in program.up().stdout
    assert own.record() == Cname(OURS.fqdn, "other-label.westeurope.cloudapp.azure.com", 60)

    program.destroy()
    assert own.record() is None


def test_a_foreign_record_in_the_organisations_own_dns_stops_preview_and_up_before_all_else(
    own: OwnDns,
) -> None:
    own.by_hand(FOREIGN)
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        shown = refused(own.program, *command)
        assert f"serviceFqdn {OURS.fqdn} is in use already: " in shown
        assert f"it is an alias (CNAME) of {FOREIGN.target}" in shown
    assert own.record() == FOREIGN
    assert_nothing_was_made(own.program)


def test_a_record_that_other_servers_do_not_show_is_refused_by_the_organisations_own(
    own: OwnDns, nameserver: str
) -> None:
    elsewhere = dataclasses.replace(own.program, nameserver=nameserver)
    own.by_hand(FOREIGN)
    in_use = (
        f"{OURS.fqdn} is in use already in {ZONE} on {own.bind.server}: it is an alias (CNAME) of "
        f"{FOREIGN.target}. Remove that record, or choose another serviceFqdn."
    )
    assert in_use in refused(elsewhere, "preview")
    assert in_use in refused(elsewhere, "up", "--yes", "--skip-preview")
    assert own.record() == FOREIGN

    # The stack is there but for the record, so the next `up` goes on as soon as the name is free.
    assert in_use in refused(own.program, "preview")
    own.by_hand(None)
    own.program.up()
    assert own.record() == OURS


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("dns.keySecret", OTHER_KEY, f"has another secret for the key {KEY_NAME}"),
        ("dns.server", "127.0.0.1:9", "cannot be reached over TCP"),
    ],
    ids=["key", "server"],
)
def test_a_wrong_key_or_a_server_that_is_down_is_one_sentence(
    own: OwnDns, setting: str, value: str, words: str
) -> None:
    own.program.config(setting, value, secret=setting == "dns.keySecret")
    preview = own.program.pulumi("preview")  # perhaps from where nobody may ask that server
    assert words in preview.stdout + preview.stderr
    shown = refused(own.program, "up", "--yes", "--skip-preview")
    assert len({line for line in re.findall("error: (.*)", shown) if words in line}) == 1
    assert OTHER_KEY not in preview.stdout + preview.stderr + shown
    assert own.record() is None


def record_id(group: str, subscription: str = SUBSCRIPTION) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network"
        f"/dnsZones/{ZONE}/CNAME/clouddp1"
    )


def test_an_azure_zone_may_be_in_another_group_of_another_subscription(
    sandbox: SandboxedProgram,
) -> None:
    azure = azure_of(sandbox)
    setting = json.dumps([SUBSCRIPTION, OTHER_SUBSCRIPTION])
    with azure.change() as database:
        database.execute("INSERT INTO settings VALUES ('subscriptions', ?)", (setting,))
    group = {"resourceGroupName": "names", "location": "westeurope"}
    zone = {**group, "zoneName": ZONE, "location": "global"}
    for token, inputs in (("resources:ResourceGroup", group), ("dns:Zone", zone)):
        azure.put(token, inputs, CLOUDS["public"], subscription=OTHER_SUBSCRIPTION)
    sandbox.config("dns.resourceGroup", "names")
    sandbox.config("dns.subscriptionId", OTHER_SUBSCRIPTION)

    sandbox.up()
    there = azure.get(record_id("names", OTHER_SUBSCRIPTION))
    assert there
    assert there[2]["cnameRecord"] == {"cname": SITE}
    assert azure.get(record_id("contoso-dns")) is None
    (address,) = (each for each, _ in azure.all("network:PublicIPAddress", "/subscriptions"))
    assert address.startswith(f"/subscriptions/{SUBSCRIPTION}/")
    sandbox.pulumi("preview", "--expect-no-changes")
    sandbox.destroy()
    assert azure.get(record_id("names", OTHER_SUBSCRIPTION)) is None
    assert azure.get(record_id("names", OTHER_SUBSCRIPTION).partition("/CNAME")[0])


def test_an_azure_record_that_somebody_turned_is_put_right_though_it_leads_elsewhere(
    sandbox: SandboxedProgram, tmp_path: Path
) -> None:
    sandbox.up()
    azure = azure_of(sandbox)
    change(azure, record_id("contoso-dns"), "cnameRecord.cname", FOREIGN.target)
    turned = {ZONE: f"clouddp1 CNAME {FOREIGN.target}."}
    with Bind(folder=tmp_path / "bind", zones=turned) as bind:
        program = dataclasses.replace(sandbox, nameserver=bind.server)
        program.refresh()
        program.up()
        repaired = azure.get(record_id("contoso-dns"))
        assert repaired
        assert repaired[2]["cnameRecord"] == {"cname": SITE}

        # Another one's record of that name, though in the same zone, is not the stack's.
        change(azure, record_id("contoso-dns"), "metadata", None)
        shown = refused(program, "preview")
    assert f"serviceFqdn {OURS.fqdn} is in use already: " in shown
    assert f"it is an alias (CNAME) of {FOREIGN.target}" in shown
