"""DistributionService: hardened machines that upgrade, heal and say how they are."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pulumi
import pytest
from pulumi_azure_native import network

from components.clouds import CLOUDS
from components.service import (
    IMAGES,
    DistributionService,
    DistributionServiceArgs,
    accelerated_networking,
)
from components.unusable_key import UNUSABLE_SSH_KEY

from .examples import NAMES
from .mocks import CLIENT, PRINCIPAL, Recorded, Recorder, run

SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s"
POOL = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/b"
    "/backendAddressPools/p"
)
SCALE_SET = "azure-native:compute:VirtualMachineScaleSet"
PROFILE = "virtualMachineProfile"


def arguments(**changed: Any) -> DistributionServiceArgs:
    args: DistributionServiceArgs = {
        "names": NAMES,
        "resource_group_name": NAMES.resource_group,
        "location": NAMES.region,
        "tags": {"team": "endpoints"},
        "cloud": CLOUDS["public"],
        "subnet_id": SUBNET,
        "backend_pool_id": POOL,
        "service_port": 443,
        "instances": 2,
        "vm_size": "Standard_D2s_v5",
        "zones": [],
        "automatic_os_upgrades": None,
        "ssh_public_key": None,
    }
    return {**args, **changed}


def made(**changed: Any) -> Recorder:
    def program() -> dict[str, Any]:
        part = DistributionService("dp-service", arguments(**changed))
        return {
            "identity_id": part.identity_id,
            "principal_id": part.principal_id,
            "client_id": part.client_id,
            "scale_set_id": part.scale_set_id,
            "scale_set_name": part.scale_set_name,
        }

    return run(program)


def scale_set(**changed: Any) -> dict[str, Any]:
    return made(**changed).one(SCALE_SET).inputs


def extension(name: str, **changed: Any) -> dict[str, Any]:
    extensions = scale_set(**changed)[PROFILE]["extensionProfile"]["extensions"]
    return next(each for each in extensions if each["name"] == name)


def installed(**changed: Any) -> str:
    """The install script, unpacked."""
    packed = extension("install", **changed)["settings"]["script"]
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_identity_and_scale_set_have_their_computed_names_the_tags_and_the_region() -> None:
    recorder = made()
    identity = recorder.one("azure-native:managedidentity:UserAssignedIdentity").inputs
    machines = recorder.one(SCALE_SET).inputs
    assert identity["resourceName"] == "clouddp1-identity"
    assert machines["vmScaleSetName"] == "clouddp1-scaleset"
    for inputs in (identity, machines):
        assert inputs["resourceGroupName"] == NAMES.resource_group
        assert inputs["location"] == "westeurope"
        assert inputs["tags"] == {"team": "endpoints"}


def test_children_stand_under_the_part_and_are_named_after_it() -> None:
    recorder = made()
    part = recorder.one("clouddp:index:DistributionService")
    children = [each for each in recorder.resources if each.custom]
    assert {each.parent for each in children} == {part.urn}
    assert {each.name for each in children} == {"dp-service-identity", "dp-service-scaleset"}


def test_what_the_other_parts_need_comes_out() -> None:
    recorder = made()
    result = recorder.result
    assert result["principal_id"] == PRINCIPAL
    assert result["client_id"] == CLIENT
    assert result["scale_set_name"] == "clouddp1-scaleset"
    assert recorder.component_outputs["dp-service"] == {
        "identityId": result["identity_id"],
        "principalId": PRINCIPAL,
        "clientId": CLIENT,
        "scaleSetId": result["scale_set_id"],
        "scaleSetName": "clouddp1-scaleset",
    }


def test_the_machines_act_as_the_user_assigned_identity_alone() -> None:
    recorder = made()
    assert recorder.one(SCALE_SET).inputs["identity"] == {
        "type": "UserAssigned",
        "userAssignedIdentities": [recorder.result["identity_id"]],
    }


def test_the_scale_set_waits_for_identity_subnet_and_pool_only() -> None:
    def program() -> None:
        used = [
            network.VirtualNetwork(name, resource_group_name="g") for name in ("subnet", "pool")
        ]
        network.VirtualNetwork("unused", resource_group_name="g")
        DistributionService(
            "dp-service", arguments(subnet_id=used[0].id, backend_pool_id=used[1].id)
        )

    assert run(program).one(SCALE_SET).waits_for == {"dp-service-identity", "subnet", "pool"}


def test_the_boot_chain_is_verified() -> None:
    assert scale_set()[PROFILE]["securityProfile"] == {
        "securityType": "TrustedLaunch",
        "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
    }


def test_there_is_no_password_and_the_only_key_has_no_private_half() -> None:
    os = scale_set()[PROFILE]["osProfile"]
    assert "adminPassword" not in os
    assert "customData" not in os
    linux = os["linuxConfiguration"]
    assert linux["disablePasswordAuthentication"] is True
    assert linux["provisionVMAgent"] is True
    assert linux["ssh"]["publicKeys"] == [
        {"path": "/home/clouddp/.ssh/authorized_keys", "keyData": UNUSABLE_SSH_KEY}
    ]


def test_an_administrators_own_key_takes_its_place() -> None:
    own = "ssh-ed25519 AAAA administrator"
    os = scale_set(ssh_public_key=own)[PROFILE]["osProfile"]
    assert os["linuxConfiguration"]["ssh"]["publicKeys"][0]["keyData"] == own


def test_a_machine_has_one_interface_in_subnet_and_pool_and_no_public_address() -> None:
    profile = scale_set()[PROFILE]["networkProfile"]
    assert "healthProbe" not in profile
    [interface] = profile["networkInterfaceConfigurations"]
    assert interface["primary"] is True
    assert interface["enableIPForwarding"] is False
    [address] = interface["ipConfigurations"]
    assert address["primary"] is True
    assert address["subnet"] == {"id": SUBNET}
    assert address["loadBalancerBackendAddressPools"] == [{"id": POOL}]
    assert "publicIPAddressConfiguration" not in address


def test_the_console_log_is_kept_by_azure_and_not_in_an_account_of_ours() -> None:
    diagnostics = scale_set()[PROFILE]["diagnosticsProfile"]
    assert diagnostics == {"bootDiagnostics": {"enabled": True}}


def test_the_disk_suits_every_size() -> None:
    disk = scale_set()[PROFILE]["storageProfile"]["osDisk"]
    assert disk["createOption"] == "FromImage"
    assert disk["diskSizeGB"] == 256
    assert disk["caching"] == "ReadWrite"
    assert disk["managedDisk"] == {"storageAccountType": "StandardSSD_LRS"}
    assert disk == scale_set(vm_size="Standard_B2ms")[PROFILE]["storageProfile"]["osDisk"]


@pytest.mark.parametrize(
    ("vm_size", "sku", "upgrades"),
    [("Standard_D2s_v5", "server", False), ("Standard_D2ps_v6", "server-arm64", True)],
)
def test_the_size_decides_the_image_and_the_image_whether_azure_upgrades_it(
    vm_size: str, sku: str, upgrades: bool
) -> None:
    machines = scale_set(vm_size=vm_size)
    assert machines[PROFILE]["storageProfile"]["imageReference"] == {
        "publisher": "Canonical",
        "offer": "ubuntu-24_04-lts",
        "sku": sku,
        "version": "latest",
    }
    automatic = machines["upgradePolicy"]["automaticOSUpgradePolicy"]
    assert automatic["enableAutomaticOSUpgrade"] is upgrades
    assert automatic["useRollingUpgradePolicy"] is True
    assert automatic["disableAutomaticRollback"] is False


@pytest.mark.parametrize("chosen", [True, False])
@pytest.mark.parametrize("vm_size", ["Standard_D2s_v5", "Standard_D2ps_v6"])
def test_a_setting_overrides_the_table_of_automatic_upgrades(vm_size: str, chosen: bool) -> None:
    policy = scale_set(vm_size=vm_size, automatic_os_upgrades=chosen)["upgradePolicy"]
    assert policy["automaticOSUpgradePolicy"]["enableAutomaticOSUpgrade"] is chosen


def test_there_is_an_image_for_each_architecture() -> None:
    assert set(IMAGES) == {"x64", "arm64"}


def test_upgrades_roll_with_a_pause_and_are_not_blocked_by_an_unhealthy_instance_of_two() -> None:
    policy = scale_set()["upgradePolicy"]
    assert policy["mode"] == "Rolling"
    rolling = policy["rollingUpgradePolicy"]
    assert rolling["pauseTimeBetweenBatches"] == "PT2M"
    one_of_two, one_of_one = 50, 100
    assert rolling["maxUnhealthyInstancePercent"] >= max(one_of_two, one_of_one)
    assert rolling["prioritizeUnhealthyInstances"] is True


def test_an_upgrade_that_makes_an_instance_unhealthy_ends_there_and_goes_back() -> None:
    rolling = scale_set()["upgradePolicy"]["rollingUpgradePolicy"]
    the_first_of_all = 100
    one_of_three = 33
    assert rolling["maxUnhealthyUpgradedInstancePercent"] < min(the_first_of_all, one_of_three)
    assert rolling["rollbackFailedInstancesOnPolicyBreach"] is True
    assert rolling["maxBatchInstancePercent"] * 16 // 100 == 3


def test_unhealthy_instances_are_replaced_after_half_an_hour() -> None:
    assert scale_set()["automaticRepairsPolicy"] == {
        "enabled": True,
        "gracePeriod": "PT30M",
        "repairAction": "Replace",
    }


def test_no_more_instances_are_made_than_asked_for() -> None:
    machines = scale_set(instances=5)
    assert machines["overprovision"] is False
    assert machines["sku"] == {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": 5}
    assert machines["orchestrationMode"] == "Uniform"
    assert machines["singlePlacementGroup"] is False
    assert machines["platformFaultDomainCount"] == 1


def test_a_stopped_service_keeps_its_scale_set_with_no_instance() -> None:
    assert scale_set(instances=0)["sku"]["capacity"] == 0


def test_zones_are_said_only_where_given_and_balanced_only_between_several() -> None:
    assert {"zones", "zoneBalance"}.isdisjoint(scale_set())
    one = scale_set(zones=["2"])
    assert one["zones"] == ["2"]
    assert "zoneBalance" not in one
    several = scale_set(zones=["1", "2", "3"])
    assert several["zones"] == ["1", "2", "3"]
    assert several["zoneBalance"] is False


def test_the_install_script_runs_before_health_is_asked_for() -> None:
    extensions = scale_set()[PROFILE]["extensionProfile"]["extensions"]
    assert [each["name"] for each in extensions] == ["install", "health"]
    assert extensions[1]["provisionAfterExtensions"] == ["install"]
    assert "settings" in extensions[0]
    assert all(each["autoUpgradeMinorVersion"] is True for each in extensions)


def test_the_install_script_is_readable_in_a_preview_and_knows_what_never_changes() -> None:
    install = extension("install")
    assert (install["publisher"], install["type"], install["typeHandlerVersion"]) == (
        "Microsoft.Azure.Extensions",
        "CustomScript",
        "2.1",
    )
    assert "protectedSettings" not in install
    script = installed()
    assert f"https://{NAMES.key_vault}.vault.azure.net/" in script
    assert CLIENT in script
    assert f'"settingsSecret": "{NAMES.settings_secret}"' in script


def test_the_vaults_url_is_computed_for_the_cloud() -> None:
    assert f"https://{NAMES.key_vault}.vault.azure.cn/" in installed(cloud=CLOUDS["china"])


def test_the_install_script_says_nothing_that_may_change_later() -> None:
    script = installed()
    assert NAMES.fqdn not in script
    assert f"{NAMES.storage_account}.blob" not in script


@pytest.mark.parametrize("port", [443, 8443])
def test_health_is_asked_over_https_on_the_service_port(port: int) -> None:
    health = extension("health", service_port=port)
    assert (health["publisher"], health["type"], health["typeHandlerVersion"]) == (
        "Microsoft.ManagedServices",
        "ApplicationHealthLinux",
        "2.0",
    )
    settings = health["settings"]
    assert (settings["protocol"], settings["port"]) == ("https", port)
    assert settings["requestPath"] == "/healthz"


def test_health_settings_keep_to_the_extensions_bounds_and_outlast_the_first_four_minutes() -> None:
    settings = extension("health")["settings"]
    assert 5 <= settings["intervalInSeconds"] <= 60
    assert 1 <= settings["numberOfProbes"] <= 24
    assert 4 * 60 < settings["gracePeriod"] <= 14_400


def test_extensions_have_a_limit_that_azure_takes() -> None:
    assert scale_set()[PROFILE]["extensionProfile"]["extensionsTimeBudget"] == "PT30M"


def test_a_long_service_name_is_cut_to_what_azure_takes_in_computer_names() -> None:
    assert scale_set()[PROFILE]["osProfile"]["computerNamePrefix"] == "clouddp1"
    longest = type(NAMES)(**{**vars(NAMES), "service": "abcdefghijklmnopqr"})
    prefix = scale_set(names=longest)[PROFILE]["osProfile"]["computerNamePrefix"]
    assert prefix == "abcdefghijklmno"


def test_what_azure_refuses_to_change_is_replaced_and_the_old_one_goes_first() -> None:
    recorder = made()
    machines = recorder.one(SCALE_SET)
    assert machines.delete_before_replace
    assert machines.replace_on_changes == {
        "location",
        "orchestrationMode",
        "platformFaultDomainCount",
        "singlePlacementGroup",
        "zones",
        f"{PROFILE}.storageProfile.imageReference.offer",
        f"{PROFILE}.storageProfile.imageReference.publisher",
        f"{PROFILE}.storageProfile.imageReference.sku",
        f"{PROFILE}.storageProfile.osDisk.managedDisk.storageAccountType",
        f"{PROFILE}.osProfile.adminUsername",
        f"{PROFILE}.osProfile.computerNamePrefix",
        f"{PROFILE}.securityProfile.securityType",
    }
    identity = recorder.one("azure-native:managedidentity:UserAssignedIdentity")
    assert identity.delete_before_replace
    assert identity.replace_on_changes == {"location"}


def test_every_path_that_replaces_the_set_is_one_that_it_has() -> None:
    machines = made(zones=["1", "2"]).one(SCALE_SET)
    for path in machines.replace_on_changes:
        value: Any = machines.inputs
        for part in path.split("."):
            assert part in value, path
            value = value[part]


def test_instances_go_before_the_network_that_they_are_attached_to() -> None:
    def program() -> None:
        attached: list[pulumi.Resource] = [
            network.VirtualNetwork("network", resource_group_name="g"),
            network.LoadBalancer("balancer", resource_group_name="g"),
        ]
        DistributionService("dp-service", arguments(attached_to=attached))

    assert run(program).one(SCALE_SET).replaced_with == {"network", "balancer"}


def test_the_long_pole_has_time_enough() -> None:
    found: Recorded = made().one(SCALE_SET)
    assert set(found.timeouts) == {"create", "update", "delete"}


@pytest.mark.parametrize(
    ("vm_size", "accelerated"),
    [
        ("Standard_D2s_v5", True),
        ("Standard_D2ps_v6", True),
        ("Standard_E4ads_v6", True),
        ("Standard_D8s_v3", True),
        ("Standard_D2s_v3", False),
        ("Standard_B2s", False),
        ("Standard_B16ms", False),
        ("Standard_B2s_v2", False),
        ("nonsense", False),
    ],
)
def test_accelerated_networking_is_on_where_a_size_surely_has_it(
    vm_size: str, accelerated: bool
) -> None:
    assert accelerated_networking(vm_size) is accelerated


def test_the_interface_is_accelerated_as_the_size_allows() -> None:
    for size, accelerated in (("Standard_D2s_v5", True), ("Standard_B2ms", False)):
        [interface] = scale_set(vm_size=size)[PROFILE]["networkProfile"][
            "networkInterfaceConfigurations"
        ]
        assert interface["enableAcceleratedNetworking"] is accelerated
