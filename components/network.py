"""ServiceNetwork: the network of the service, and the one address at which it is reached.

Sources, in Azure/azure-rest-api-specs ``specification/network/resource-manager/Microsoft.Network/
stable/2024-05-01/`` (the version that the SDK sends): ``loadBalancer.json``,
``networkSecurityGroup.json``, ``publicIpAddress.json``, ``virtualNetwork.json``; in
MicrosoftDocs/azure-docs ``articles/load-balancer/``: ``load-balancer-custom-probe-overview.md``,
``load-balancer-outbound-connections.md``, ``load-balancer-tcp-reset.md``.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import network

from .parts import PartArgs

ADDRESS_SPACE = "10.0.0.0/24"
"""The network is joined to no other, so that every service can have the same addresses."""
SUBNET_PREFIX = "10.0.0.0/25"
"""123 usable addresses, far more than 16 instances and their replacements; half the space stays
free, for an operator's private end points."""

READY_PATH = "/readyz"
PROBE_SECONDS = 5
"""Between two probes; the shortest that the balancer takes."""
PROBE_THRESHOLD = 2
"""Equal answers in a row that take an instance out, or put it back."""

IDLE_MINUTES = 4
"""The shortest that Azure takes. The web server ends an idle connection well before that, so
what idles longer is dead, and is told so by a reset."""

OUTBOUND_PORTS = 1_992
"""SNAT ports of each instance: a multiple of 8, of the 64,000 less 8 for each balancing rule that
one address has. 32 instances fit, twice the 16 there can be, since a repair or an upgrade may
add the new one before the old one goes. Content comes through the service end point and uses
none: what is left are packages, tokens and log rows."""

_FRONTEND = "service"
_POOL = "instances"
_PROBE = "ready"
SUBNET = "instances"
"""Name of the one subnet."""
_LOWEST_PRIORITY = 4096
_ALL_ZONES = ["1", "2", "3"]


class ServiceNetworkArgs(PartArgs):
    """What a ServiceNetwork is made of."""

    service_port: int
    """TCP port on which clients come in."""
    zones: Sequence[str]
    """Availability zones of the instances; empty where there are none to choose."""


class ServiceNetwork(pulumi.ComponentResource):
    """Virtual network, security group, public address and load balancer of a service.

    Only the service port is open. The balancer sends clients to instances that say they are
    ready, and is their one explicit way out: the subnet has no default outbound access.
    """

    subnet_id: pulumi.Output[str]
    """Id of the subnet of the instances, which storage account and vault let in."""
    backend_pool_id: pulumi.Output[str]
    """Id of the balancer's pool, which instances join."""
    virtual_ip: pulumi.Output[str]
    """The public IP address of the service."""
    site_fqdn: pulumi.Output[str]
    """Name of that address in the Azure domain, as Azure reports it."""
    load_balancer_id: pulumi.Output[str]
    """Id of the load balancer, whose metrics count what was sent."""
    public_ip_id: pulumi.Output[str]
    """Id of the public IP address."""
    attachments: Sequence[pulumi.Resource]
    """What Azure refuses to delete while instances are attached to it."""

    def __init__(
        self, name: str, args: ServiceNetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("clouddp:index:ServiceNetwork", name, None, opts)
        security_group = self._security_group(name, args)
        virtual_network = self._virtual_network(name, args, security_group)
        subnet = self._subnet(name, args, virtual_network, security_group)
        address = self._address(name, args, security_group)
        load_balancer = self._load_balancer(name, args, address)

        self.subnet_id = subnet.id
        self.backend_pool_id = _part_of(load_balancer.id, "backendAddressPools", _POOL)
        self.virtual_ip = address.ip_address.apply(_filled_in)
        self.site_fqdn = address.dns_settings.apply(
            lambda dns: _filled_in(dns.fqdn if dns else None)
        )
        self.load_balancer_id = load_balancer.id
        self.public_ip_id = address.id
        self.attachments = [security_group, virtual_network, subnet, address, load_balancer]
        self.register_outputs(
            {
                "subnetId": self.subnet_id,
                "backendPoolId": self.backend_pool_id,
                "virtualIp": self.virtual_ip,
                "siteFqdn": self.site_fqdn,
                "loadBalancerId": self.load_balancer_id,
                "publicIpId": self.public_ip_id,
            }
        )

    def _security_group(self, name: str, args: ServiceNetworkArgs) -> network.NetworkSecurityGroup:
        """Rules for what comes in.

        Going out stays open: the settings may name revocation lists on any port, and instances
        run nothing that others choose.
        """
        port = str(args["service_port"])
        return network.NetworkSecurityGroup(
            f"{name}-rules",
            network_security_group_name=args["names"].of("rules"),
            resource_group_name=args["resource_group_name"],
            location=args["location"],
            tags=args["tags"],
            security_rules=[
                _inbound(
                    "clients",
                    priority=100,
                    description="Clients reach the service port, and nothing else.",
                    source="Internet",
                    port=port,
                ),
                _inbound(
                    "probe",
                    priority=110,
                    description="The load balancer asks instances whether they are ready.",
                    source="AzureLoadBalancer",
                    port=port,
                ),
                _inbound(
                    "nothing-else",
                    priority=_LOWEST_PRIORITY,
                    description="Closes what Azure's own rules leave open: the virtual network.",
                    source="*",
                    port="*",
                    access=network.SecurityRuleAccess.DENY,
                    protocol=network.SecurityRuleProtocol.ASTERISK,
                ),
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                # Azure refuses to move a security group, and the provider does not know.
                replace_on_changes=["location"],
                # The name is fixed, and the new group could not have it beside the old one.
                delete_before_replace=True,
            ),
        )

    def _virtual_network(
        self, name: str, args: ServiceNetworkArgs, security_group: network.NetworkSecurityGroup
    ) -> network.VirtualNetwork:
        """The network without its subnet, which is a resource of its own, and never both.

        The provider carries subnets that it finds through each update of the network
        (pulumi/pulumi-azure-native, ``maintainSubResourcePropertiesIfNotSet``).
        """
        return network.VirtualNetwork(
            f"{name}-vnet",
            virtual_network_name=args["names"].of("network"),
            resource_group_name=args["resource_group_name"],
            location=args["location"],
            tags=args["tags"],
            address_space=network.AddressSpaceArgs(address_prefixes=[ADDRESS_SPACE]),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=_one_deletion_at_a_time(security_group),
                # Azure refuses to move a network. (The provider knows, but says so by API version.)
                replace_on_changes=["location"],
                # The name is fixed.
                delete_before_replace=True,
            ),
        )

    def _subnet(
        self,
        name: str,
        args: ServiceNetworkArgs,
        virtual_network: network.VirtualNetwork,
        security_group: network.NetworkSecurityGroup,
    ) -> network.Subnet:
        return network.Subnet(
            f"{name}-subnet",
            subnet_name=SUBNET,
            virtual_network_name=virtual_network.name,
            resource_group_name=args["resource_group_name"],
            address_prefix=SUBNET_PREFIX,
            # Set, since its default depends on the API's version: what goes out takes the
            # balancer's outbound rule.
            default_outbound_access=False,
            network_security_group=network.NetworkSecurityGroupArgs(id=security_group.id),
            # The way to the account, which is in this region, and to vaults wherever they are.
            service_endpoints=[
                network.ServiceEndpointPropertiesFormatArgs(service="Microsoft.Storage"),
                network.ServiceEndpointPropertiesFormatArgs(service="Microsoft.KeyVault"),
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                replace_on_changes=[
                    # Azure changes neither while there are instances in the subnet.
                    "addressPrefix",
                    "defaultOutboundAccess",
                    # A security group can't be deleted, hence not replaced, while it is in use.
                    "networkSecurityGroup",
                ],
                # The name is fixed, and so are the addresses.
                delete_before_replace=True,
            ),
        )

    def _address(
        self, name: str, args: ServiceNetworkArgs, security_group: network.NetworkSecurityGroup
    ) -> network.PublicIPAddress:
        return network.PublicIPAddress(
            f"{name}-address",
            public_ip_address_name=args["names"].of("address"),
            resource_group_name=args["resource_group_name"],
            location=args["location"],
            tags=args["tags"],
            sku=network.PublicIPAddressSkuArgs(
                name=network.PublicIPAddressSkuName.STANDARD,
                tier=network.PublicIPAddressSkuTier.REGIONAL,
            ),
            public_ip_address_version=network.IPVersion.I_PV4,
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            idle_timeout_in_minutes=IDLE_MINUTES,
            # No label scope: it would put a hash into the name, which no certificate or alias
            # that was made before could match.
            dns_settings=network.PublicIPAddressDnsSettingsArgs(
                domain_name_label=args["names"].dns_label
            ),
            # An address is in one zone or in all of them, however many the instances use; and so
            # one more zone for the instances does not cost the address.
            zones=_ALL_ZONES if args["zones"] else None,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=_one_deletion_at_a_time(security_group),
                # Azure refuses to change any of these; the provider does not know of the zones
                # and of the allocation.
                replace_on_changes=["location", "publicIPAllocationMethod", "sku", "zones"],
                # Name and label are fixed.
                delete_before_replace=True,
            ),
        )

    def _load_balancer(
        self, name: str, args: ServiceNetworkArgs, address: network.PublicIPAddress
    ) -> network.LoadBalancer:
        own_name = args["names"].of("balancer")
        # Rules refer to their balancer's own parts by id before it exists. The address, which is
        # in the same group, says how the id will begin.
        own_id = address.id.apply(lambda other: _sibling(other, "loadBalancers", own_name))
        frontend = network.SubResourceArgs(
            id=_part_of(own_id, "frontendIPConfigurations", _FRONTEND)
        )
        pool = network.SubResourceArgs(id=_part_of(own_id, "backendAddressPools", _POOL))
        probe = network.SubResourceArgs(id=_part_of(own_id, "probes", _PROBE))
        return network.LoadBalancer(
            f"{name}-balancer",
            load_balancer_name=own_name,
            resource_group_name=args["resource_group_name"],
            location=args["location"],
            tags=args["tags"],
            sku=network.LoadBalancerSkuArgs(
                name=network.LoadBalancerSkuName.STANDARD,
                tier=network.LoadBalancerSkuTier.REGIONAL,
            ),
            frontend_ip_configurations=[
                network.FrontendIPConfigurationArgs(
                    name=_FRONTEND,
                    public_ip_address=network.PublicIPAddressArgs(id=address.id),
                )
            ],
            backend_address_pools=[network.BackendAddressPoolArgs(name=_POOL)],
            probes=[
                # It sends no server name and checks no chain, but refuses a SHA-1 signature.
                network.ProbeArgs(
                    name=_PROBE,
                    protocol=network.ProbeProtocol.HTTPS,
                    port=args["service_port"],
                    request_path=READY_PATH,
                    interval_in_seconds=PROBE_SECONDS,
                    number_of_probes=PROBE_THRESHOLD,
                    probe_threshold=PROBE_THRESHOLD,
                    no_healthy_backends_behavior=network.ProbeNoHealthyBackendsBehavior.ALL_PROBED_DOWN,
                )
            ],
            load_balancing_rules=[
                network.LoadBalancingRuleArgs(
                    name="clients",
                    protocol=network.TransportProtocol.TCP,
                    frontend_ip_configuration=frontend,
                    frontend_port=args["service_port"],
                    backend_address_pools=[pool],
                    backend_port=args["service_port"],
                    probe=probe,
                    load_distribution=network.LoadDistribution.DEFAULT,
                    enable_floating_ip=False,
                    enable_tcp_reset=True,
                    idle_timeout_in_minutes=IDLE_MINUTES,
                    # The outbound rule shares the address: Azure takes one of the two only.
                    disable_outbound_snat=True,
                )
            ],
            outbound_rules=[
                network.OutboundRuleArgs(
                    name="instances",
                    protocol=network.LoadBalancerOutboundRuleProtocol.ALL,
                    frontend_ip_configurations=[frontend],
                    backend_address_pool=pool,
                    allocated_outbound_ports=OUTBOUND_PORTS,
                    enable_tcp_reset=True,
                    idle_timeout_in_minutes=IDLE_MINUTES,
                )
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                replace_on_changes=[
                    # Azure refuses to move a balancer or to change its kind, and the provider does
                    # not know. (A replacement begins a new count of what was sent.)
                    "location",
                    "sku",
                    # An address can't be deleted, hence not replaced, while it is in use. The
                    # whole property, since in that calculation the engine knows no deeper path.
                    "frontendIPConfigurations",
                ],
                # The name is fixed.
                delete_before_replace=True,
            ),
        )


def _one_deletion_at_a_time(first: pulumi.Resource) -> list[pulumi.Resource]:
    """Begins the replacement of everything, as for another region, with one resource.

    Instances are to be gone before anything that they are attached to. The engine sees to that
    for each resource that it replaces, but without this it would replace several at once, and of
    these only one would wait for the instances.
    """
    return [first]


def _inbound(
    name: str,
    *,
    priority: int,
    description: str,
    source: str,
    port: str,
    access: network.SecurityRuleAccess = network.SecurityRuleAccess.ALLOW,
    protocol: network.SecurityRuleProtocol = network.SecurityRuleProtocol.TCP,
) -> network.SecurityRuleArgs:
    return network.SecurityRuleArgs(
        name=name,
        description=description,
        direction=network.SecurityRuleDirection.INBOUND,
        priority=priority,
        access=access,
        protocol=protocol,
        source_address_prefix=source,
        source_port_range="*",
        destination_address_prefix="*",
        destination_port_range=port,
    )


def _sibling(resource_id: str, collection: str, name: str) -> str:
    """Id of a resource in the same group and of the same provider as another one."""
    return "/".join([*resource_id.split("/")[:-2], collection, name])


def _part_of(resource_id: pulumi.Output[str], collection: str, name: str) -> pulumi.Output[str]:
    """Id of a part of a resource, such as one of a balancer's probes."""
    return pulumi.Output.concat(resource_id, "/", collection, "/", name)


def _filled_in(value: str | None) -> str:
    """What Azure always fills in, though the SDK's types leave it open."""
    if not value:
        raise ValueError("Azure reported a public IP address without its address or DNS name.")
    return value
