"""What the sandbox's Azure remembers, fills in, forgets, and how others change it."""

from __future__ import annotations

import json
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.provider import tool
from sandbox.provider.cloud import Cloud, NotDone, Refusal
from sandbox.provider.rules import CLOUDS, EXTRA_VALUES, RULES
from sandbox.provider.schema import Checker, load

from .landscape import ASSIGNMENT, PUBLIC, build, id_of, inputs, place

VAULT, SECRET = "keyvault:Vault", "keyvault:Secret"
SET = "compute:VirtualMachineScaleSet"


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker(load(RULES), EXTRA_VALUES)


@pytest.fixture
def azure(tmp_path: Path) -> Cloud:
    return build(tmp_path / "azure.db", until="authorization:ManagementLockByScope")


def shown(azure: Cloud, checker: Checker, token: str) -> dict[str, object]:
    found = azure.get(id_of(token))
    assert found
    return azure.outputs(checker, token, found[1], found[2])


def test_only_the_owner_can_read_the_database(azure: Cloud, tmp_path: Path) -> None:
    place(azure, "dns:Zone", update=True)
    for file in tmp_path.glob("azure.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_new_database_has_the_organisations_dns_zone(tmp_path: Path) -> None:
    azure = Cloud(tmp_path / "azure.db")
    assert [body["zoneName"] for _, body in azure.all("dns:Zone")] == ["contoso.example"]


def test_read_only_outputs_are_filled_in_and_stay(azure: Cloud, checker: Checker) -> None:
    before = {token: shown(azure, checker, token) for token in RULES if azure.get(id_of(token))}
    for token in before:
        place(azure, token, update=True)
    assert {token: shown(azure, checker, token) for token in before} == before
    address = before["network:PublicIPAddress"]
    assert address["ipAddress"] == "203.0.113.10"
    assert address["dnsSettings"] == {
        "domainNameLabel": "point",
        "fqdn": "point.westeurope.cloudapp.azure.com",
    }
    endpoints = before["storage:StorageAccount"]["primaryEndpoints"]
    assert isinstance(endpoints, dict)
    assert endpoints["blob"] == "https://pointabcdef.blob.core.windows.net/"


def test_another_cloud_has_other_domains(tmp_path: Path, checker: Checker) -> None:
    azure = Cloud(tmp_path / "azure.db")
    china = CLOUDS["china"]
    group = {"resourceGroupName": "group", "location": "chinanorth3"}
    azure.put("resources:ResourceGroup", group, china)
    azure.put("storage:StorageAccount", {**group, "accountName": "point1"}, china)
    endpoints = shown_at(azure, checker, "storage:StorageAccount", "point1")
    assert endpoints["blob"] == "https://point1.blob.core.chinacloudapi.cn/"


def shown_at(azure: Cloud, checker: Checker, token: str, name: str) -> dict[str, str]:
    resource_id, body = next(
        (each, body) for each, body in azure.all(token) if each.endswith(f"/{name}")
    )
    endpoints = azure.outputs(checker, token, resource_id, body)["primaryEndpoints"]
    assert isinstance(endpoints, dict)
    return endpoints


def test_an_identity_made_again_is_another_principal(azure: Cloud) -> None:
    token = "managedidentity:UserAssignedIdentity"
    first = azure.get(id_of(token))
    azure.delete(id_of(token))
    place(azure, token)
    second = azure.get(id_of(token))
    assert first
    assert second
    assert first[2]["principalId"] != second[2]["principalId"]


def test_a_vaults_secret_is_never_returned(azure: Cloud, checker: Checker) -> None:
    assert "hush" not in json.dumps(shown(azure, checker, SECRET), default=str)
    scale_set = json.dumps(shown(azure, checker, SET))
    assert "protectedSettings" not in scale_set
    assert "customData" not in scale_set


def test_a_balancers_parts_have_ids(azure: Cloud, checker: Checker) -> None:
    pools = shown(azure, checker, "network:LoadBalancer")["backendAddressPools"]
    assert isinstance(pools, list)
    assert pools[0]["id"].endswith("/loadBalancers/balancer/backendAddressPools/pool")


def test_a_scale_set_shows_its_identities_as_azure_does(azure: Cloud, checker: Checker) -> None:
    identity = azure.get(id_of("managedidentity:UserAssignedIdentity"))
    shown_identity = shown(azure, checker, SET)["identity"]
    assert identity
    assert isinstance(shown_identity, dict)
    assert shown_identity["userAssignedIdentities"] == {
        identity[1]: {
            "clientId": identity[2]["clientId"],
            "principalId": identity[2]["principalId"],
        }
    }


def test_a_network_shows_subnets_that_were_made_beside_it(azure: Cloud, checker: Checker) -> None:
    subnets = shown(azure, checker, "network:VirtualNetwork")["subnets"]
    assert isinstance(subnets, list)
    assert [each["id"].rpartition("/")[2] for each in subnets] == ["subnet"]
    place(azure, "network:VirtualNetwork", update=True)
    assert azure.get(id_of("network:Subnet")), "a network that names none leaves them alone"


def test_a_deleted_vault_blocks_its_name_until_it_is_purged(azure: Cloud, tmp_path: Path) -> None:
    azure.delete(id_of(VAULT))
    assert azure.get(id_of(SECRET)) is None
    with pytest.raises(Refusal, match="already exists in deleted state"):
        place(azure, VAULT)
    run(tmp_path, "purge", "point-abcdef")
    place(azure, VAULT)
    assert azure.get(id_of(SECRET)) is None


def test_a_recovered_vault_has_its_secrets_again_but_no_roles(azure: Cloud) -> None:
    role = place(
        azure,
        "authorization:RoleAssignment",
        roleAssignmentName=ASSIGNMENT.replace("1", "5"),
        scope=id_of(VAULT),
    )
    azure.delete(id_of(VAULT))
    place(azure, VAULT, properties__createMode="recover")
    assert azure.get(id_of(SECRET))
    assert azure.get(role) is None
    with pytest.raises(Refusal, match="already existing resource"):
        place(azure, SECRET)


def test_a_recovered_vault_keeps_its_old_firewall_until_an_update_sends_another(
    azure: Cloud,
) -> None:
    def action() -> object:
        found = azure.get(id_of(VAULT))
        assert found
        return found[2]["properties"]["networkAcls"]["defaultAction"]

    azure.delete(id_of(VAULT))
    place(
        azure,
        VAULT,
        properties__createMode="recover",
        properties__networkAcls__defaultAction="Allow",
    )
    assert action() == "Deny"
    place(azure, VAULT, update=True, properties__networkAcls__defaultAction="Allow")
    assert action() == "Allow"


def test_a_deleted_group_takes_its_vaults_along_and_they_stay_blocked(azure: Cloud) -> None:
    azure.delete(id_of("resources:ResourceGroup"))
    assert not azure.all(SET)
    assert not azure.rows("SELECT * FROM names WHERE dns LIKE 'point%'")
    assert not azure.rows("SELECT * FROM refs")
    place(azure, "resources:ResourceGroup")
    with pytest.raises(Refusal, match="already exists in deleted state"):
        place(azure, VAULT)


def test_a_workspace_made_again_is_the_old_one_with_its_tables(azure: Cloud) -> None:
    token = "operationalinsights:Workspace"
    first = azure.get(id_of(token))
    azure.delete(id_of(token))
    place(azure, token)
    second = azure.get(id_of(token))
    assert first
    assert second
    assert first[2]["customerId"] == second[2]["customerId"]
    assert azure.get(id_of("operationalinsights:Table"))


def test_a_deleted_workspaces_name_is_not_free_in_another_region(azure: Cloud) -> None:
    azure.delete(id_of("operationalinsights:Workspace"))
    with pytest.raises(Refusal, match="is not unique"):
        place(azure, "operationalinsights:Workspace", location="northeurope")


def test_names_are_free_again_when_their_owner_is_gone(azure: Cloud) -> None:
    azure.delete(id_of("storage:StorageAccount"))
    place(azure, "storage:StorageAccount")
    place(azure, "network:PublicIPAddress", update=True, dnsSettings__domainNameLabel="other")
    place(azure, "network:PublicIPAddress", update=True, dnsSettings__domainNameLabel="point")


def test_what_is_gone_is_deleted_without_complaint(azure: Cloud) -> None:
    azure.delete(id_of("dns:RecordSet"))
    azure.delete(id_of("dns:RecordSet"))


def run(tmp_path: Path, *arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUDDP_SANDBOX_DB", str(tmp_path / "azure.db"))
        tool.main(list(arguments))


def test_the_tool_changes_a_property_behind_the_stacks_back(azure: Cloud, tmp_path: Path) -> None:
    rule = "networkRuleSet.ipRules.0.iPAddressOrRange"
    run(tmp_path, "set", id_of("storage:StorageAccount"), rule, '"198.51.100.1"')
    run(tmp_path, "set", id_of("storage:StorageAccount"), "allowBlobPublicAccess", "null")
    found = azure.get(id_of("storage:StorageAccount"))
    assert found
    assert found[2]["networkRuleSet"]["ipRules"] == [{"iPAddressOrRange": "198.51.100.1"}]
    assert "allowBlobPublicAccess" not in found[2]


def test_the_tool_makes_deletes_takes_and_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = json.dumps({"resourceGroupName": "theirs", "location": "westus"})
    run(tmp_path, "put", "resources:ResourceGroup", group)
    run(tmp_path, "taken", "Mine.blob.core.windows.net")
    run(tmp_path, "list")
    assert "resourceGroups/theirs" in capsys.readouterr().out
    azure = Cloud(tmp_path / "azure.db")
    place(azure, "resources:ResourceGroup")
    with pytest.raises(Refusal, match="StorageAccountAlreadyTaken"):
        place(azure, "storage:StorageAccount", accountName="mine", networkRuleSet={})
    run(tmp_path, "delete", azure.all("resources:ResourceGroup")[-1][0])
    assert len(azure.all("resources:ResourceGroup")) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("set", "/none", "a", "1"), "no resource /none"),
        (("put", "resources:None", "{}"), "does not know the type resources:None"),
        (("put", "dns:Zone", '{"zoneName": "a.b", "resourceGroupName": "none"}'), "ResourceGroup"),
    ],
)
def test_the_tool_says_what_is_wrong(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(SystemExit, match=sentence):
        run(tmp_path, *arguments)


def test_a_fault_hits_as_often_as_it_says_and_only_what_it_names(
    azure: Cloud, tmp_path: Path
) -> None:
    run(tmp_path, "fault", "storage:*", "create", "--error", "Out of order.", "--times", "2")
    azure.fault("network:Subnet", "create")
    azure.fault("storage:StorageAccount", "delete")
    for _ in range(2):
        with pytest.raises(Refusal, match=r"Out of order\."):
            azure.fault("storage:StorageAccount", "create")
    azure.fault("storage:StorageAccount", "create")


def test_a_fault_can_name_one_resource_and_only_delay_it(azure: Cloud, tmp_path: Path) -> None:
    run(tmp_path, "fault", "*/publicIPAddresses/address", "*", "--latency", "500")
    begin = time.monotonic()
    azure.fault("network:PublicIPAddress", "read", id_of("network:PublicIPAddress"))
    assert time.monotonic() - begin >= 0.5
    begin = time.monotonic()
    azure.fault("network:PublicIPAddress", "read", "/another")
    assert time.monotonic() - begin < 0.5


def answering(azure: Cloud, state: str, message: str) -> threading.Thread:
    """A supervisor for one operation."""

    def answer() -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with azure.change() as database:
                changed = database.execute(
                    "UPDATE operations SET state = ?, message = ? WHERE state = 'waiting'",
                    (state, message),
                ).rowcount
            if changed:
                return
            time.sleep(0.02)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_a_scale_set_waits_for_the_data_plane(tmp_path: Path) -> None:
    azure = build(tmp_path / "azure.db", until=SET)
    run(tmp_path, "setting", "data_plane", "on")
    supervisor = answering(Cloud(tmp_path / "azure.db"), "done", "")
    place(azure, SET)
    supervisor.join()
    supervisor = answering(Cloud(tmp_path / "azure.db"), "failed", "The instances did not start.")
    with pytest.raises(NotDone, match="did not start"):
        place(azure, SET, update=True)
    supervisor.join()
    assert azure.get(id_of(SET)), "what failed to start is there all the same"
    supervisor = answering(Cloud(tmp_path / "azure.db"), "done", "")
    azure.delete(id_of(SET))
    supervisor.join()
    kinds = azure.rows("SELECT kind FROM operations ORDER BY id")
    assert [kind for (kind,) in kinds] == ["created", "updated", "deleted"]


def test_a_cancelled_command_waits_no_longer(tmp_path: Path) -> None:
    azure = build(tmp_path / "azure.db", until=SET)
    run(tmp_path, "setting", "data_plane", "on")
    azure.cancelled.set()
    with pytest.raises(NotDone, match="did not answer"):
        place(azure, SET)


def test_several_processes_can_change_it_at_once(tmp_path: Path) -> None:
    clouds = [build(tmp_path / "azure.db", until="managedidentity:UserAssignedIdentity")]
    clouds += [Cloud(tmp_path / "azure.db") for _ in range(3)]
    identity = inputs("managedidentity:UserAssignedIdentity")

    def make(number: int) -> str:
        mine = {**identity, "resourceName": f"identity{number}"}
        return clouds[number % 4].put("managedidentity:UserAssignedIdentity", mine, PUBLIC)[0]

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(60)))
    assert len(clouds[0].all("managedidentity:UserAssignedIdentity")) == len(made) == 60
