"""DistributionService: the machines that serve content, and the identity that they act as.

Sources: Azure/azure-rest-api-specs ``specification/compute/resource-manager/Microsoft.Compute/
ComputeRP/stable/2024-11-01/ComputeRP.json`` (the version that the SDK sends);
MicrosoftDocs/azure-compute-docs, in ``articles/virtual-machine-scale-sets/`` the pages
``virtual-machine-scale-sets-`` ``configure-rolling-upgrades.md``, ``automatic-upgrade.md``,
``automatic-instance-repairs.md``, ``health-extension.md``, ``extension-sequencing.md``,
``upgrade-scale-set.md``, ``use-availability-zones.md`` and ``orchestration-modes.md`` (May 2026),
and ``articles/virtual-machines/extensions/custom-script-linux.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NotRequired

import pulumi
from pulumi_azure_native import compute, managedidentity

from instance import install_script

from .clouds import Cloud
from .parts import PartArgs
from .unusable_key import UNUSABLE_SSH_KEY
from .vm_sizes import architecture, parse_size

HEALTH_PATH = "/healthz"
ADMINISTRATOR = "clouddp"
"""A user that Azure wants named; nobody logs in as it."""

OS_DISK_GIB = 256
"""Room for the system and a cache of the content that is asked for."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A sku of Ubuntu 24.04, and whether Azure lists it for automatic OS upgrades."""

    sku: str
    automatic_upgrades: bool


IMAGES: Mapping[str, Image] = MappingProxyType(
    {
        "x64": Image(sku="server", automatic_upgrades=False),
        "arm64": Image(sku="server-arm64", automatic_upgrades=True),
    }
)
"""The image of each architecture; both are generation 2. What the list of
``virtual-machine-scale-sets-automatic-upgrade.md`` (May 2026) lacks, Azure refuses to upgrade."""

_PUBLISHER = "Canonical"
_OFFER = "ubuntu-24_04-lts"

_INSTALL = "install"
_HEALTH = "health"
_PROBE_SECONDS = 10
_PROBES = 3
_GRACE_SECONDS = 300
"""How long a new instance may take to say how it is. The instance itself waits for certificate and
content during its first four minutes; after five, an OS upgrade would be taken back."""

_LONGEST_COMPUTER_NAME_PREFIX = 15
_FIRST_VERSION_THAT_REQUIRES_ACCELERATION = 5
_VCPUS_THAT_SURELY_CAN_BE_ACCELERATED = 8


class DistributionServiceArgs(PartArgs):
    """What a DistributionService is made of."""

    cloud: Cloud
    """The Azure cloud, for the end points that instances talk to."""
    subnet_id: pulumi.Input[str]
    """Subnet of the instances."""
    backend_pool_id: pulumi.Input[str]
    """Pool of the load balancer that instances join."""
    service_port: int
    """TCP port on which clients come in."""
    instances: int
    """How many, 1 to 16; 0 is a stopped service."""
    vm_size: str
    """Size of each instance; its name tells the architecture."""
    zones: Sequence[str]
    """Availability zones over which instances are spread; empty for none."""
    automatic_os_upgrades: bool | None
    """Whether Azure upgrades the OS image by itself; None: where its list has the image."""
    ssh_public_key: str | None
    """Key of an administrator; None: one that has no private half."""
    attached_to: NotRequired[Sequence[pulumi.Resource]]
    """What Azure refuses to delete while instances are attached: instances go before it does."""


class DistributionService(pulumi.ComponentResource):
    """Identity and scale set of the service.

    The scale set is what takes longest, so it waits for nothing that it does not use: identity,
    subnet and pool. What it says to its instances never changes; all else is in the service
    settings, which the instances read from the vault and go on asking for until it is there.
    """

    identity_id: pulumi.Output[str]
    """Id of the identity that the instances act as."""
    principal_id: pulumi.Output[str]
    """Object id of that identity, to which roles are given."""
    client_id: pulumi.Output[str]
    """Client id of that identity, with which instances ask for tokens."""
    scale_set_id: pulumi.Output[str]
    """Id of the scale set."""
    scale_set_name: pulumi.Output[str]
    """Name of the scale set."""

    def __init__(
        self, name: str, args: DistributionServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("clouddp:index:DistributionService", name, None, opts)
        identity = managedidentity.UserAssignedIdentity(
            f"{name}-identity",
            resource_name_=args["names"].of("identity"),
            resource_group_name=args["resource_group_name"],
            location=args["location"],
            tags=args["tags"],
            opts=pulumi.ResourceOptions(
                parent=self,
                # Azure refuses to move an identity.
                replace_on_changes=["location"],
                # The name is fixed.
                delete_before_replace=True,
            ),
        )
        identified = self._identified(identity)
        scale_set = self._scale_set(name, args, identity, identified.client_id)

        self.identity_id = identity.id
        self.principal_id = identified.principal_id
        self.client_id = identified.client_id
        self.scale_set_id = scale_set.id
        self.scale_set_name = scale_set.name
        self.register_outputs(
            {
                "identityId": self.identity_id,
                "principalId": self.principal_id,
                "clientId": self.client_id,
                "scaleSetId": self.scale_set_id,
                "scaleSetName": self.scale_set_name,
            }
        )

    def _identified(
        self, identity: managedidentity.UserAssignedIdentity
    ) -> pulumi.Output[managedidentity.GetUserAssignedIdentityResult]:
        """Asks Azure who the identity is.

        Its principal and client never change. But the previews of the provider call all that
        Azure filled in unknown as soon as anything of a resource changes, a tag say, and would
        show every role and the scale set as changing with it. Its id stays known.
        Source: pulumi/pulumi-azure-native provider/pkg/provider/provider.go, Update.
        """
        parts = identity.id.apply(lambda resource_id: resource_id.split("/"))
        return managedidentity.get_user_assigned_identity_output(
            resource_group_name=parts[4],
            resource_name=parts[8],
            opts=pulumi.InvokeOutputOptions(parent=self),
        )

    def _scale_set(
        self,
        name: str,
        args: DistributionServiceArgs,
        identity: managedidentity.UserAssignedIdentity,
        client_id: pulumi.Output[str],
    ) -> compute.VirtualMachineScaleSet:
        names = args["names"]
        image = IMAGES[architecture(args["vm_size"])]
        zones = list(args["zones"])
        return compute.VirtualMachineScaleSet(
            f"{name}-scaleset",
            vm_scale_set_name=names.of("scaleset"),
            resource_group_name=args["resource_group_name"],
            location=args["location"],
            tags=args["tags"],
            identity=compute.VirtualMachineScaleSetIdentityArgs(
                type=compute.ResourceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[identity.id],
            ),
            # All that is built on here is generally available for uniform sets.
            orchestration_mode=compute.OrchestrationMode.UNIFORM,
            sku=compute.SkuArgs(name=args["vm_size"], tier="Standard", capacity=args["instances"]),
            # Additional instances that are made to be deleted again would run the installation.
            overprovision=False,
            # Several groups may stand on different hardware, so that another size need not be one
            # that the first group's hardware has.
            single_placement_group=False,
            # Over as many fault domains as there are, which is what Microsoft advises.
            platform_fault_domain_count=1,
            zones=zones or None,
            # As even as there is room; strictly even, a zone that fails would end all scaling.
            zone_balance=False if len(zones) > 1 else None,
            upgrade_policy=_upgrade_policy(_upgrades_itself(args["automatic_os_upgrades"], image)),
            automatic_repairs_policy=compute.AutomaticRepairsPolicyArgs(
                enabled=True,
                # Longer than an installation and a slow role assignment together take.
                grace_period="PT30M",
                repair_action=compute.RepairAction.REPLACE,
            ),
            virtual_machine_profile=compute.VirtualMachineScaleSetVMProfileArgs(
                os_profile=_os_profile(names.service, args["ssh_public_key"]),
                storage_profile=_storage_profile(image),
                network_profile=_network_profile(args),
                security_profile=_security_profile(),
                # What the machine wrote to its console while it started, kept by Azure: there is
                # no other way to see why one does not come up.
                diagnostics_profile=compute.DiagnosticsProfileArgs(
                    boot_diagnostics=compute.BootDiagnosticsArgs(enabled=True)
                ),
                extension_profile=_extension_profile(args, client_id),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Azure refuses to change these, and the provider does not know.
                replace_on_changes=[
                    "location",
                    "orchestrationMode",
                    "platformFaultDomainCount",
                    "singlePlacementGroup",
                    # Zones can be added, in some regions, but neither removed nor exchanged.
                    "zones",
                    # An image of another architecture does not start on the instances there are.
                    "virtualMachineProfile.storageProfile.imageReference.offer",
                    "virtualMachineProfile.storageProfile.imageReference.publisher",
                    "virtualMachineProfile.storageProfile.imageReference.sku",
                    "virtualMachineProfile.storageProfile.osDisk.managedDisk.storageAccountType",
                    "virtualMachineProfile.osProfile.adminUsername",
                    "virtualMachineProfile.osProfile.computerNamePrefix",
                    # Off and on again is possible for machines that are stopped only.
                    "virtualMachineProfile.securityProfile.securityType",
                ],
                # A network that is replaced is deleted first, which Azure refuses while there are
                # instances in it.
                replace_with=list(args.get("attached_to", [])),
                # The name is fixed.
                delete_before_replace=True,
                # A machine, its packages and the extensions' own limit; a roll through 16 machines
                # in batches of three.
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="180m", delete="30m"),
            ),
        )


def _upgrades_itself(chosen: bool | None, image: Image) -> bool:
    return image.automatic_upgrades if chosen is None else chosen


def _upgrade_policy(automatic_os_upgrades: bool) -> compute.UpgradePolicyArgs:
    return compute.UpgradePolicyArgs(
        mode=compute.UpgradeMode.ROLLING,
        rolling_upgrade_policy=compute.RollingUpgradePolicyArgs(
            # One instance at a time up to nine, three of 16.
            max_batch_instance_percent=20,
            # Unhealthy instances never keep an upgrade from starting, since it may be what heals
            # them: of two, one is more than any lower limit allows, and of one, that one.
            max_unhealthy_instance_percent=100,
            prioritize_unhealthy_instances=True,
            # But one upgraded instance that does not get healthy ends it, and goes back.
            max_unhealthy_upgraded_instance_percent=20,
            rollback_failed_instances_on_policy_breach=True,
            # Time for the balancer to see the instance, and for its clients to come back to it.
            pause_time_between_batches="PT2M",
        ),
        automatic_os_upgrade_policy=compute.AutomaticOSUpgradePolicyArgs(
            enable_automatic_os_upgrade=automatic_os_upgrades,
            use_rolling_upgrade_policy=True,
            disable_automatic_rollback=False,
        ),
    )


def _os_profile(
    service_name: str, ssh_public_key: str | None
) -> compute.VirtualMachineScaleSetOSProfileArgs:
    """Patching is left as it is in the image, the default, and not said.

    ``patchSettings`` is for single machines and flexible sets, and its other mode rules out
    automatic OS upgrades.
    """
    return compute.VirtualMachineScaleSetOSProfileArgs(
        computer_name_prefix=service_name[:_LONGEST_COMPUTER_NAME_PREFIX],
        admin_username=ADMINISTRATOR,
        allow_extension_operations=True,
        linux_configuration=compute.LinuxConfigurationArgs(
            disable_password_authentication=True,
            provision_vm_agent=True,
            ssh=compute.SshConfigurationArgs(
                public_keys=[
                    compute.SshPublicKeyArgs(
                        path=f"/home/{ADMINISTRATOR}/.ssh/authorized_keys",
                        key_data=ssh_public_key or UNUSABLE_SSH_KEY,
                    )
                ]
            ),
        ),
    )


def _storage_profile(image: Image) -> compute.VirtualMachineScaleSetStorageProfileArgs:
    return compute.VirtualMachineScaleSetStorageProfileArgs(
        image_reference=compute.ImageReferenceArgs(
            publisher=_PUBLISHER,
            offer=_OFFER,
            sku=image.sku,
            # What automatic OS upgrades ask for; without them, what new instances get.
            version="latest",
        ),
        os_disk=compute.VirtualMachineScaleSetOSDiskArgs(
            create_option=compute.DiskCreateOptionTypes.FROM_IMAGE,
            os_type=compute.OperatingSystemTypes.LINUX,
            disk_size_gb=OS_DISK_GIB,
            # Nothing on this disk is worth more than a new instance, so the host may hold back
            # what is written, and keeps what is read again and again.
            caching=compute.CachingTypes.READ_WRITE,
            managed_disk=compute.VirtualMachineScaleSetManagedDiskParametersArgs(
                # What many ask for is in memory, and what nobody did is in storage: in between,
                # room counts more than latency. And every size takes it, so that a change of size
                # never changes the disk, which would replace the set.
                storage_account_type=compute.StorageAccountTypes.STANDARD_SS_D_LRS,
            ),
        ),
    )


def _network_profile(
    args: DistributionServiceArgs,
) -> compute.VirtualMachineScaleSetNetworkProfileArgs:
    """One interface in the subnet, whose security group rules it; no public address.

    No ``healthProbe``: health comes from an extension, since a probe that a scale set refers to
    freezes the balancer's rules.
    """
    return compute.VirtualMachineScaleSetNetworkProfileArgs(
        network_interface_configurations=[
            compute.VirtualMachineScaleSetNetworkConfigurationArgs(
                name="service",
                primary=True,
                enable_accelerated_networking=accelerated_networking(args["vm_size"]),
                enable_ip_forwarding=False,
                ip_configurations=[
                    compute.VirtualMachineScaleSetIPConfigurationArgs(
                        name="service",
                        primary=True,
                        private_ip_address_version=compute.IPVersion.I_PV4,
                        subnet=compute.ApiEntityReferenceArgs(id=args["subnet_id"]),
                        load_balancer_backend_address_pools=[
                            compute.SubResourceArgs(id=args["backend_pool_id"])
                        ],
                    )
                ],
            )
        ]
    )


def _security_profile() -> compute.SecurityProfileArgs:
    """Trusted Launch, said explicitly: templates and SDKs still default to less.

    Encryption at the host is not asked for: a subscription has to be registered for it first.
    Disks are encrypted at rest in any case.
    """
    return compute.SecurityProfileArgs(
        security_type=compute.SecurityTypes.TRUSTED_LAUNCH,
        uefi_settings=compute.UefiSettingsArgs(secure_boot_enabled=True, v_tpm_enabled=True),
    )


def _extension_profile(
    args: DistributionServiceArgs, client_id: pulumi.Output[str]
) -> compute.VirtualMachineScaleSetExtensionProfileArgs:
    """Installation, then health: what is not installed yet need not be asked how it is."""
    names = args["names"]
    vault_uri = f"https://{names.key_vault}.{args['cloud'].vault_suffix}/"
    script = client_id.apply(
        lambda client: install_script(
            vault_uri=vault_uri,
            settings_secret=names.settings_secret,
            client_id=client,
            cloud=args["cloud"],
            service_port=args["service_port"],
        )
    )
    return compute.VirtualMachineScaleSetExtensionProfileArgs(
        # Of all extensions together. Packages that can't be had for so long fail the deployment.
        extensions_time_budget="PT30M",
        extensions=[
            compute.VirtualMachineScaleSetExtensionArgs(
                name=_INSTALL,
                publisher="Microsoft.Azure.Extensions",
                type="CustomScript",
                type_handler_version="2.1",
                auto_upgrade_minor_version=True,
                # Not protected: it holds no secret, a preview can show that it changes, and Azure
                # gives it back, which it never does with protected settings.
                settings={"script": script},
            ),
            compute.VirtualMachineScaleSetExtensionArgs(
                name=_HEALTH,
                publisher="Microsoft.ManagedServices",
                type="ApplicationHealthLinux",
                type_handler_version="2.0",
                auto_upgrade_minor_version=True,
                # The extension that is waited for must have settings.
                provision_after_extensions=[_INSTALL],
                settings={
                    "protocol": "https",
                    "port": args["service_port"],
                    "requestPath": HEALTH_PATH,
                    "intervalInSeconds": _PROBE_SECONDS,
                    "numberOfProbes": _PROBES,
                    "gracePeriod": _GRACE_SECONDS,
                },
            ),
        ],
    )


def accelerated_networking(vm_size: str) -> bool:
    """Whether instances of this size get accelerated networking, which carries their bandwidth.

    Sizes of version 5 and later require it (``sizes/general-purpose/dsv5-series.md``, "Feature
    support"). Of older ones, Azure refuses it for those that can't, among them all with few
    vCPUs; from eight vCPUs on all but the families A and B can ("Accelerated Networking
    overview", Microsoft Learn). For any other, no is the answer that never fails.
    """
    size = parse_size(vm_size)
    if size is None or size.family in ("A", "B"):
        return False
    return (
        size.version >= _FIRST_VERSION_THAT_REQUIRES_ACCELERATION
        or size.number >= _VCPUS_THAT_SURELY_CAN_BE_ACCELERATED
    )
