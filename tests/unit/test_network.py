"""ServiceNetwork: one port in, one explicit way out, one address that stays."""

from __future__ import annotations

from typing import Any, cast

import pytest

from components import network
from components.network import ServiceNetwork, ServiceNetworkArgs

from .examples import NAMES
from .mocks import ADDRESS, SUBSCRIPTION, Recorded, Recorder, run

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{NAMES.resource_group}"
BALANCER = f"{GROUP}/providers/Microsoft.Network/loadBalancers/clouddp1-balancer"
MOST_INSTANCES = 16


def made(**changed: Any) -> Recorder:
    args: ServiceNetworkArgs = {
        "names": NAMES,
        "resource_group_name": NAMES.resource_group,
        "location": NAMES.region,
        "tags": {"team": "endpoints"},
        "service_port": 443,
        "zones": [],
    }
    all_args = cast("ServiceNetworkArgs", {**args, **changed})

    def program() -> dict[str, Any]:
        part = ServiceNetwork("dp-network", all_args)
        return {
            "subnet_id": part.subnet_id,
            "backend_pool_id": part.backend_pool_id,
            "virtual_ip": part.virtual_ip,
            "site_fqdn": part.site_fqdn,
            "load_balancer_id": part.load_balancer_id,
            "public_ip_id": part.public_ip_id,
            "attachments": [each.urn for each in part.attachments],
        }

    return run(program)


def only(kind: str, **changed: Any) -> Recorded:
    return made(**changed).one(f"azure-native:network:{kind}")


def test_each_resource_has_its_computed_name_the_tags_and_the_region() -> None:
    recorder = made()
    named = {
        "NetworkSecurityGroup": ("networkSecurityGroupName", "clouddp1-rules"),
        "VirtualNetwork": ("virtualNetworkName", "clouddp1-network"),
        "PublicIPAddress": ("publicIpAddressName", "clouddp1-address"),
        "LoadBalancer": ("loadBalancerName", "clouddp1-balancer"),
    }
    for kind, (key, name) in named.items():
        inputs = recorder.one(f"azure-native:network:{kind}").inputs
        assert inputs[key] == name
        assert inputs["resourceGroupName"] == NAMES.resource_group
        assert inputs["location"] == "westeurope"
        assert inputs["tags"] == {"team": "endpoints"}


def test_children_stand_under_the_part_and_are_named_after_it() -> None:
    recorder = made()
    part = recorder.one("clouddp:index:ServiceNetwork")
    children = [each for each in recorder.resources if each.custom]
    assert {each.parent for each in children} == {part.urn}
    assert {each.name for each in children} == {
        "dp-network-rules",
        "dp-network-vnet",
        "dp-network-subnet",
        "dp-network-address",
        "dp-network-balancer",
    }


@pytest.mark.parametrize("port", [443, 8443])
def test_from_the_internet_only_the_service_port_is_open(port: int) -> None:
    rules = only("NetworkSecurityGroup", service_port=port).inputs["securityRules"]
    opened = {
        (rule["sourceAddressPrefix"], rule["protocol"], rule["destinationPortRange"])
        for rule in rules
        if rule["access"] == "Allow"
    }
    assert opened == {("Internet", "Tcp", str(port)), ("AzureLoadBalancer", "Tcp", str(port))}
    assert {rule["direction"] for rule in rules} == {"Inbound"}


def test_all_else_is_denied_after_every_other_rule() -> None:
    rules = only("NetworkSecurityGroup").inputs["securityRules"]
    last = max(rules, key=lambda rule: rule["priority"])
    assert last["access"] == "Deny"
    assert last["protocol"] == "*"
    assert last["sourceAddressPrefix"] == last["destinationAddressPrefix"] == "*"
    assert last["destinationPortRange"] == "*"
    assert len({rule["priority"] for rule in rules}) == len(rules)
    assert all(100 <= rule["priority"] <= 4096 for rule in rules)
    assert all(len(rule["description"]) <= 140 for rule in rules)


def test_the_subnet_has_no_default_way_out_and_is_ruled_by_the_security_group() -> None:
    recorder = made()
    subnet = recorder.one("azure-native:network:Subnet")
    assert subnet.inputs["defaultOutboundAccess"] is False
    group = f"{GROUP}/providers/Microsoft.Network/networkSecurityGroups/clouddp1-rules"
    assert subnet.inputs["networkSecurityGroup"] == {"id": group}
    assert subnet.inputs["virtualNetworkName"] == "clouddp1-network"


def test_storage_and_vault_are_reached_from_inside() -> None:
    endpoints = only("Subnet").inputs["serviceEndpoints"]
    assert [each["service"] for each in endpoints] == ["Microsoft.Storage", "Microsoft.KeyVault"]


def test_the_subnet_has_one_owner() -> None:
    assert "subnets" not in only("VirtualNetwork").inputs


def test_the_address_is_standard_static_and_has_the_label_without_a_hash() -> None:
    address = only("PublicIPAddress").inputs
    assert address["sku"] == {"name": "Standard", "tier": "Regional"}
    assert address["publicIPAllocationMethod"] == "Static"
    assert address["publicIPAddressVersion"] == "IPv4"
    assert address["dnsSettings"] == {"domainNameLabel": NAMES.dns_label}


def test_the_address_is_in_all_zones_however_many_the_instances_use() -> None:
    assert "zones" not in only("PublicIPAddress").inputs
    assert only("PublicIPAddress", zones=["2"]).inputs["zones"] == ["1", "2", "3"]
    assert only("PublicIPAddress", zones=["1", "3"]).inputs["zones"] == ["1", "2", "3"]


def test_the_balancer_asks_each_instance_over_https_whether_it_is_ready() -> None:
    balancer = only("LoadBalancer", service_port=8443).inputs
    assert balancer["sku"] == {"name": "Standard", "tier": "Regional"}
    [probe] = balancer["probes"]
    assert (probe["protocol"], probe["port"], probe["requestPath"]) == ("Https", 8443, "/readyz")
    assert probe["intervalInSeconds"] >= 5
    assert probe["probeThreshold"] == 2
    assert probe["noHealthyBackendsBehavior"] == "AllProbedDown"


def test_the_rule_sends_the_service_port_to_ready_instances_and_lends_no_way_out() -> None:
    [rule] = only("LoadBalancer", service_port=8443).inputs["loadBalancingRules"]
    assert (rule["protocol"], rule["frontendPort"], rule["backendPort"]) == ("Tcp", 8443, 8443)
    assert rule["disableOutboundSnat"] is True
    assert rule["enableTcpReset"] is True
    assert rule["enableFloatingIP"] is False
    assert 4 <= rule["idleTimeoutInMinutes"] <= 30
    assert rule["probe"] == {"id": f"{BALANCER}/probes/ready"}
    assert rule["backendAddressPools"] == [{"id": f"{BALANCER}/backendAddressPools/instances"}]
    frontend = {"id": f"{BALANCER}/frontendIPConfigurations/service"}
    assert rule["frontendIPConfiguration"] == frontend


def test_the_one_way_out_is_explicit() -> None:
    [rule] = only("LoadBalancer").inputs["outboundRules"]
    assert rule["protocol"] == "All"
    assert rule["enableTcpReset"] is True
    assert rule["backendAddressPool"] == {"id": f"{BALANCER}/backendAddressPools/instances"}
    frontend = {"id": f"{BALANCER}/frontendIPConfigurations/service"}
    assert rule["frontendIPConfigurations"] == [frontend]


def test_outbound_ports_suffice_for_all_instances_and_their_replacements() -> None:
    balancer = only("LoadBalancer").inputs
    [outbound] = balancer["outboundRules"]
    ports = outbound["allocatedOutboundPorts"]
    assert ports % 8 == 0
    available = 64_000 - 8 * len(balancer["loadBalancingRules"])
    assert 2 * MOST_INSTANCES * ports <= available


def test_rules_refer_to_parts_that_the_balancer_has() -> None:
    balancer = only("LoadBalancer").inputs
    parts = {
        f"{BALANCER}/{collection}/{part['name']}"
        for collection in ("frontendIPConfigurations", "backendAddressPools", "probes")
        for part in balancer[collection]
    }
    assert ids_in(balancer["loadBalancingRules"]) | ids_in(balancer["outboundRules"]) == parts


def ids_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {value["id"]} if "id" in value else set().union(*map(ids_in, value.values()))
    return set().union(*map(ids_in, value)) if isinstance(value, list) else set()


def test_what_the_other_parts_need_comes_out() -> None:
    recorder = made()
    result = recorder.result
    subnet = recorder.one("azure-native:network:Subnet")
    assert result["virtual_ip"] == ADDRESS
    assert result["site_fqdn"] == f"{NAMES.dns_label}.westeurope.cloudapp.azure.com"
    assert result["load_balancer_id"] == BALANCER
    assert result["backend_pool_id"] == f"{BALANCER}/backendAddressPools/instances"
    assert result["public_ip_id"].endswith("/publicIPAddresses/clouddp1-address")
    assert result["subnet_id"].endswith("/subnets/instances")
    assert subnet.urn in result["attachments"]
    assert recorder.component_outputs["dp-network"] == {
        "subnetId": result["subnet_id"],
        "backendPoolId": result["backend_pool_id"],
        "virtualIp": result["virtual_ip"],
        "siteFqdn": result["site_fqdn"],
        "loadBalancerId": result["load_balancer_id"],
        "publicIpId": result["public_ip_id"],
    }


def test_what_azure_refuses_to_change_is_replaced_and_the_old_one_goes_first() -> None:
    recorder = made()
    refused = {
        "NetworkSecurityGroup": {"location"},
        "VirtualNetwork": {"location"},
        "Subnet": {"addressPrefix", "defaultOutboundAccess", "networkSecurityGroup"},
        "PublicIPAddress": {"location", "publicIPAllocationMethod", "sku", "zones"},
        "LoadBalancer": {"location", "sku", "frontendIPConfigurations"},
    }
    for kind, keys in refused.items():
        found = recorder.one(f"azure-native:network:{kind}")
        assert found.replace_on_changes == keys
        assert found.delete_before_replace


def test_a_replacement_of_everything_deletes_one_thing_after_the_other() -> None:
    recorder = made()
    for kind in ("VirtualNetwork", "PublicIPAddress"):
        assert recorder.one(f"azure-native:network:{kind}").waits_for == {"dp-network-rules"}


def test_the_subnet_is_big_enough_and_lies_in_the_network() -> None:
    recorder = made()
    space = recorder.one("azure-native:network:VirtualNetwork").inputs["addressSpace"]
    assert space == {"addressPrefixes": [network.ADDRESS_SPACE]}
    assert recorder.one("azure-native:network:Subnet").inputs["addressPrefix"] == "10.0.0.0/25"


def test_an_address_without_a_name_is_an_error_and_not_an_empty_output() -> None:
    recorder = Recorder(outputs={"azure-native:network:PublicIPAddress": {"ipAddress": ""}})
    args: ServiceNetworkArgs = {
        "names": NAMES,
        "resource_group_name": NAMES.resource_group,
        "location": NAMES.region,
        "tags": {},
        "service_port": 443,
        "zones": [],
    }
    with pytest.raises(ValueError, match="without its address"):
        run(lambda: ServiceNetwork("dp-network", args).virtual_ip, recorder=recorder)
