"""What Azure and the real provider do with each resource type, as data.

Sources: API paths and name patterns from Azure/azure-rest-api-specs (specification/<service>);
replacements from pulumi/pulumi-azure-native provider/pkg/gen/replacement.go and
x-ms-mutability in the specs; in-use errors from Microsoft Learn
(azure-resource-manager/troubleshooting/common-deployment-errors). What no public source
confirms is marked UNSURE.
"""

# Laid out by hand: one fact to as few lines as can be read.
# fmt: off
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SUBSCRIPTION = "00000000-0000-4000-8000-00000000c10d"
TENANT = "00000000-0000-4000-8000-0000000074e7"
CLIENT = "00000000-0000-4000-8000-00000000c11e"
OPERATOR = "00000000-0000-4000-8000-0000000006e7"

GROUP = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
_GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class Answer(NamedTuple):
    """How Azure refuses."""

    code: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One resource type."""

    path: str
    """ARM id with the provider's input names in braces; the last one is the resource's name."""
    name: str = ".+"
    """Pattern that the whole name must match."""
    auto: str = "random"
    """How a missing name is made up: "random" suffix or "uuid"."""
    refs: tuple[tuple[str, str], ...] = ()
    """Paths of properties that hold ids, and the ARM type that must stand there."""
    force_new: tuple[str, ...] = ()
    """Properties, besides those of the path, that the provider itself replaces on."""
    fixed: Mapping[str, Answer] = field(default_factory=dict)
    """Properties that Azure refuses to update: path -> (error code, message)."""
    computed: Mapping[str, Any] = field(default_factory=dict)
    """Read-only outputs; templates over the variables of `cloud.Put.variables`."""
    children: tuple[str, ...] = ()
    """Lists of named objects that get ids of their own below the resource's."""
    write_only: tuple[str, ...] = ()
    """Paths that Azure stores and never returns."""
    in_use: Answer | None = None
    """Refusal to delete while others refer to it: (error code, message)."""
    ignored_users: tuple[str, ...] = ()
    """Types whose references do not keep it from being deleted."""
    dns: str = ""
    """Name that is unique in all of Azure, as a template."""
    taken: Answer | None = None
    """Refusal when that name belongs to somebody else: (error code, message)."""
    soft_delete: Answer | None = None
    """Refusal to reuse the name of a deleted one: (error code, message); "" recovers it."""
    singleton: bool = False
    """Exists with its parent: can be created though it is there; deleting resets it."""


def _of(kind: str) -> str:
    return f"{GROUP}/providers/{kind}"


_CHANGE = Answer("PropertyChangeNotAllowed", "Changing property '{path}' is not allowed.")
_NIC = "virtualMachineProfile.networkProfile.networkInterfaceConfigurations[]"
_VMSS_IP = f"{_NIC}.ipConfigurations[]"
_SKU = "Storage account sku cannot be updated from {old} to {new}."
_ENDPOINT = {"blob": "https://{name}.blob.{storage}/", "dfs": "https://{name}.dfs.{storage}/",
             "file": "https://{name}.file.{storage}/", "queue": "https://{name}.queue.{storage}/",
             "table": "https://{name}.table.{storage}/",
             "web": "https://{name}.z6.web.{storage}/"}
_SUBNET_IN_USE = Answer("InUseSubnetCannotBeDeleted",
    "Subnet {leaf} is in use by {user} and cannot be deleted. In order to delete the subnet, delete"
    " all the resources within the subnet. See aka.ms/deletesubnet.")
_DELETED_VAULT = Answer("ConflictError",
    "A vault with the same name already exists in deleted state. You need to either recover or"
    " purge existing key vault. Follow this link"
    " https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.")

RULES: Mapping[str, Rule] = {
    "resources:ResourceGroup": Rule(
        path=GROUP,
        name=r"[-\w._()]{0,89}[-\w_()]",
        force_new=("location",),
        computed={"properties": {"provisioningState": "Succeeded"}},
    ),
    "managedidentity:UserAssignedIdentity": Rule(
        path=_of("Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}"),
        name=r"[A-Za-z0-9][-\w]{2,127}",
        force_new=("location",),
        computed={"principalId": "{guid}", "clientId": "{guid}", "tenantId": "{tenant}"},
    ),
    "network:VirtualNetwork": Rule(
        path=_of("Microsoft.Network/virtualNetworks/{virtualNetworkName}"),
        name=r"[A-Za-z0-9]([-.\w]{0,62}\w)?",
        force_new=("location",),
        refs=(("subnets[].networkSecurityGroup.id", "networkSecurityGroups"),),
        computed={"resourceGuid": "{guid}"},
        in_use=_SUBNET_IN_USE,
        ignored_users=("storage:StorageAccount", "keyvault:Vault"),
    ),
    "network:Subnet": Rule(
        path=_of("Microsoft.Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}"),
        name=r"[A-Za-z0-9]([-.\w]{0,78}\w)?",
        refs=(("networkSecurityGroup.id", "networkSecurityGroups"),),
        in_use=_SUBNET_IN_USE,
        ignored_users=("storage:StorageAccount", "keyvault:Vault"),
    ),
    "network:NetworkSecurityGroup": Rule(
        path=_of("Microsoft.Network/networkSecurityGroups/{networkSecurityGroupName}"),
        name=r"[A-Za-z0-9]([-.\w]{0,78}\w)?",
        children=("securityRules",),
        computed={"resourceGuid": "{guid}"},
        in_use=Answer("InUseNetworkSecurityGroupCannotBeDeleted",
            "Network security group {id} cannot be deleted because it is in use by the following"
            " resources: {user}. In order to delete the Network security group, remove the"
            " association with the resource(s)."),
    ),
    "network:PublicIPAddress": Rule(
        path=_of("Microsoft.Network/publicIPAddresses/{publicIpAddressName}"),
        name=r"[A-Za-z0-9]([-.\w]{0,78}\w)?",
        force_new=("location", "publicIPAddressVersion", "publicIPPrefix", "sku"),
        fixed={"zones": Answer("ResourceAvailabilityZonesCannotBeModified",
                               "Resource {id} has an existing availability zone constraint"
                               " and the change is not allowed.")},
        computed={"resourceGuid": "{guid}"},
        dns="{label}.{location}.{vm}",
        taken=Answer("DnsRecordInUse", "DNS record {dns} is already used by another public IP."),
        in_use=Answer("PublicIPAddressCannotBeDeleted",
            "Public IP address {id} can not be deleted since it is still allocated to resource"
            " {user}. In order to delete the public IP, disassociate/detach the Public IP address"
            " from the resource. To learn how to do this, see aka.ms/deletepublicip."),
    ),
    "network:LoadBalancer": Rule(
        path=_of("Microsoft.Network/loadBalancers/{loadBalancerName}"),
        name=r"[A-Za-z0-9]([-.\w]{0,78}\w)?",
        children=("frontendIPConfigurations", "backendAddressPools", "loadBalancingRules",
                  "probes", "outboundRules", "inboundNatRules", "inboundNatPools"),
        refs=(("frontendIPConfigurations[].publicIPAddress.id", "publicIPAddresses"),
              ("frontendIPConfigurations[].subnet.id", "subnets"),
              ("loadBalancingRules[].frontendIPConfiguration.id", "frontendIPConfigurations"),
              ("loadBalancingRules[].backendAddressPool.id", "backendAddressPools"),
              ("loadBalancingRules[].backendAddressPools[].id", "backendAddressPools"),
              ("loadBalancingRules[].probe.id", "probes"),
              ("outboundRules[].frontendIPConfigurations[].id", "frontendIPConfigurations"),
              ("outboundRules[].backendAddressPool.id", "backendAddressPools")),
        fixed={"sku.name": Answer("LoadBalancerSkuCannotBeChanged",
            "Load balancer sku cannot be changed from {old} to {new} for {id}.")},  # UNSURE: code
        computed={"resourceGuid": "{guid}"},
        in_use=Answer("LoadBalancerInUseByVirtualMachineScaleSet",
            "Cannot delete load balancer {id} since its child resources {leaf} are in use by"
            " virtual machine scale set {user}."),
    ),
    "compute:VirtualMachineScaleSet": Rule(
        path=_of("Microsoft.Compute/virtualMachineScaleSets/{vmScaleSetName}"),
        name=r"[A-Za-z0-9][-.\w]{0,63}",
        refs=((f"{_VMSS_IP}.subnet.id", "subnets"),
              (f"{_VMSS_IP}.loadBalancerBackendAddressPools[].id", "backendAddressPools"),
              ("virtualMachineProfile.networkProfile.healthProbe.id", "probes"),
              (f"{_NIC}.networkSecurityGroup.id", "networkSecurityGroups"),
              ("identity.userAssignedIdentities[]", "userAssignedIdentities")),
        fixed=dict.fromkeys(("orchestrationMode", "zones", "singlePlacementGroup",
            "platformFaultDomainCount", "virtualMachineProfile.osProfile.adminUsername",
            "virtualMachineProfile.osProfile.computerNamePrefix",
            "virtualMachineProfile.storageProfile.osDisk.managedDisk.storageAccountType",
            "virtualMachineProfile.storageProfile.imageReference.publisher",
            "virtualMachineProfile.storageProfile.imageReference.offer",
            "virtualMachineProfile.storageProfile.imageReference.sku",
            "virtualMachineProfile.priority"), _CHANGE),
        computed={"uniqueId": "{guid}", "provisioningState": "Succeeded"},
        write_only=("virtualMachineProfile.osProfile.adminPassword",
                    "virtualMachineProfile.osProfile.customData",
                    "virtualMachineProfile.userData",
                    "virtualMachineProfile.extensionProfile.extensions[].protectedSettings"),
    ),
    "storage:StorageAccount": Rule(
        path=_of("Microsoft.Storage/storageAccounts/{accountName}"),
        name=r"[a-z0-9]{3,24}",
        force_new=("isHnsEnabled", "location"),
        fixed={"kind": Answer("AccountPropertyCannotBeUpdated",
            "The property 'kind' was specified in the input, but it cannot be updated.")},
        computed={"primaryEndpoints": _ENDPOINT, "primaryLocation": "{location}",
                  "statusOfPrimary": "available", "creationTime": "2026-01-01T00:00:00Z"},
        dns="{name}.blob.{storage}",
        taken=Answer(
            "StorageAccountAlreadyTaken", "The storage account named {name} is already taken."),
    ),
    "storage:BlobServiceProperties": Rule(
        path=_of("Microsoft.Storage/storageAccounts/{accountName}/blobServices/{blobServicesName}"),
        name="default",
        singleton=True,
    ),
    "storage:BlobContainer": Rule(
        path=_of(
            "Microsoft.Storage/storageAccounts/{accountName}/blobServices/default/containers/"
            "{containerName}"),
        name=r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*|\$(root|web)",
        computed={"hasImmutabilityPolicy": False, "hasLegalHold": False, "deleted": False},
    ),
    "storage:ManagementPolicy": Rule(
        path=_of("Microsoft.Storage/storageAccounts/{accountName}/managementPolicies/"
                 "{managementPolicyName}"),
        name="default",
    ),
    "authorization:RoleAssignment": Rule(
        path="/{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}",
        name=_GUID,
        auto="uuid",
        refs=(("scope", ""),),
        force_new=("principalId", "scope"),
        fixed=dict.fromkeys(("roleDefinitionId", "principalType"), Answer(
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")),
        computed={"createdBy": OPERATOR, "updatedBy": OPERATOR},
    ),
    "authorization:ManagementLockByScope": Rule(
        path="/{scope}/providers/Microsoft.Authorization/locks/{lockName}",
        refs=(("scope", ""),),
    ),
    "keyvault:Vault": Rule(
        path=_of("Microsoft.KeyVault/vaults/{vaultName}"),
        name=r"(?=.{3,24}$)[A-Za-z](-?[A-Za-z0-9])+",
        fixed={"properties.softDeleteRetentionInDays": Answer("BadRequest",
            'The property "softDeleteRetentionInDays" has been set already and it can\'t be'
            " modified.")},
        computed={"properties": {"vaultUri": "https://{name}.{vault}/",
                                 "provisioningState": "Succeeded", "enableSoftDelete": True,
                                 "hsmPoolResourceId": None}},
        write_only=("properties.createMode",),
        dns="{name}.{vault}",
        taken=Answer("VaultAlreadyExists",
            "The vault name '{name}' is already in use. Vault names are globally unique so it is"
            " possible that the name is already taken. If you are sure that the vault name was not"
            " taken then it is possible that a vault with the same name was recently deleted but"
            " not purged after being placed in a recoverable state."),
        soft_delete=_DELETED_VAULT,
    ),
    "keyvault:Secret": Rule(
        path=_of("Microsoft.KeyVault/vaults/{vaultName}/secrets/{secretName}"),
        name=r"[A-Za-z0-9-]{1,127}",
        computed={"properties": {"secretUri": "https://{vaultName}.{vault}/secrets/{name}",
            "secretUriWithVersion": "https://{vaultName}.{vault}/secrets/{name}/{hex}"}},
        write_only=("properties.value",),
    ),
    "dns:Zone": Rule(
        path=_of("Microsoft.Network/dnsZones/{zoneName}"),
        name=r"(?=.{1,253}$)([a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}",
        force_new=("location",),
        computed={"nameServers": [
            f"ns{n}-01.azure-dns.{t}." for n, t in enumerate(("com", "net", "org", "info"), 1)],
                  "maxNumberOfRecordSets": 10000, "numberOfRecordSets": 2},
    ),
    "dns:RecordSet": Rule(
        path=_of("Microsoft.Network/dnsZones/{zoneName}/{recordType}/{relativeRecordSetName}"),
        name=r"@|(\*|[A-Za-z0-9_]([-\w]{0,61}\w)?)(\.[A-Za-z0-9_]([-\w]{0,61}\w)?)*",
        refs=(("targetResource.id", ""),),
        computed={"fqdn": "{name}.{zoneName}.", "provisioningState": "Succeeded"},
    ),
    "monitor:ActionGroup": Rule(
        path=_of("Microsoft.Insights/actionGroups/{actionGroupName}"),
        name=r"[^%&?+/\\]{1,260}",
        force_new=("location",),
    ),
    "monitor:MetricAlert": Rule(
        path=_of("Microsoft.Insights/metricAlerts/{ruleName}"),
        name=r"[^*#&+:<>?@%{}\\/]{1,260}",
        force_new=("location",),
        refs=(("scopes[]", ""), ("actions[].actionGroupId", "actionGroups")),
    ),
    "monitor:ScheduledQueryRule": Rule(
        path=_of("Microsoft.Insights/scheduledQueryRules/{ruleName}"),
        name=r"[^*<>?%&:\\/]{1,260}",
        force_new=("location",),
        refs=(("scopes[]", ""), ("actions.actionGroups[]", "actionGroups")),
        computed={"createdWithApiVersion": "2025-01-01-preview", "isLegacyLogAnalyticsRule": False},
    ),
    "monitor:DataCollectionEndpoint": Rule(
        path=_of("Microsoft.Insights/dataCollectionEndpoints/{dataCollectionEndpointName}"),
        name=r"[A-Za-z0-9](?=.{2,43}$)[-\w]*[A-Za-z0-9]",
        force_new=("location",),
        computed={"immutableId": "dce-{hex}",
            "logsIngestion": {"endpoint": "https://{name}-{tag}.{location}-1.ingest.{monitor}"},
            "metricsIngestion": {
                "endpoint": "https://{name}-{tag}.{location}-1.metrics.ingest.{monitor}"},
            "configurationAccess": {
                "endpoint": "https://{name}-{tag}.{location}-1.handler.control.{monitor}"}},
    ),
    "monitor:DataCollectionRule": Rule(
        path=_of("Microsoft.Insights/dataCollectionRules/{dataCollectionRuleName}"),
        name=r"[A-Za-z0-9][-.\w]{2,63}",
        force_new=("location",),
        refs=(("dataCollectionEndpointId", "dataCollectionEndpoints"),
              ("destinations.logAnalytics[].workspaceResourceId", "workspaces")),
        computed={"immutableId": "dcr-{hex}"},
    ),
    "monitor:DiagnosticSetting": Rule(
        path="/{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}",
        name=r"[^*<>?%&:\\/+]{1,260}",
        refs=(("resourceUri", ""), ("workspaceId", "workspaces"),
              ("storageAccountId", "storageAccounts")),
    ),
    "operationalinsights:Workspace": Rule(
        path=_of("Microsoft.OperationalInsights/workspaces/{workspaceName}"),
        name=r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
        force_new=("location",),
        computed={"customerId": "{guid}", "provisioningState": "Succeeded"},
        soft_delete=Answer("", ""),
    ),
    "operationalinsights:Table": Rule(
        path=_of("Microsoft.OperationalInsights/workspaces/{workspaceName}/tables/{tableName}"),
        name=r"[A-Za-z][A-Za-z0-9_]{0,62}",
    ),
    "applicationinsights:Workbook": Rule(
        path=_of("Microsoft.Insights/workbooks/{resourceName}"),
        name=_GUID,
        auto="uuid",
        force_new=("location",),
        computed={"timeModified": "2026-01-01T00:00:00Z", "revision": "{hex}"},
    ),
    "consumption:Budget": Rule(
        path="/{scope}/providers/Microsoft.Consumption/budgets/{budgetName}",
        name=r"[-\w]{1,63}",
        refs=(("scope", ""), ("notifications[].contactGroups[]", "actionGroups")),
        computed={"currentSpend": {"amount": 0, "unit": "EUR"}},
    ),
}

# Values that Azure takes though the SDK's enum of that name lacks them (or it is another API's);
# "*" for any value.
EXTRA_VALUES: Mapping[str, tuple[str, ...]] = {"monitor:KnownDataFlowStreams": ("*",),
                                               "monitor:ConditionOperator": ("Equals",
                                                                             "GreaterThan",
                                                                             "GreaterThanOrEqual",
                                                                             "LessThan",
                                                                             "LessThanOrEqual")}

# Suffixes by cloud: Azure/go-autorest autorest/azure/environments.go.
CLOUDS: Mapping[str, Mapping[str, str]] = {"public": {"vm": "cloudapp.azure.com",
                                                      "storage": "core.windows.net",
                                                      "vault": "vault.azure.net",
                                                      "monitor": "monitor.azure.com"},
                                           "usgovernment": {"vm": "cloudapp.usgovcloudapi.net",
                                                            "storage": "core.usgovcloudapi.net",
                                                            "vault": "vault.usgovcloudapi.net",
                                                            "monitor": "monitor.azure.us"},
                                           "china": {"vm": "cloudapp.chinacloudapi.cn",
                                                     "storage": "core.chinacloudapi.cn",
                                                     "vault": "vault.azure.cn",
                                                     "monitor": "monitor.azure.cn"}}

# Microsoft Learn reliability/regions-list: regions with availability zones, and those without.
_ZONED = """
australiaeast austriaeast belgiumcentral brazilsouth canadacentral centralindia centralus
chilecentral denmarkeast eastasia eastus eastus2 francecentral germanywestcentral indonesiacentral
israelcentral italynorth japaneast japanwest koreacentral malaysiawest mexicocentral
newzealandnorth northeurope norwayeast polandcentral qatarcentral southafricanorth
southcentralus southeastasia spaincentral swedencentral switzerlandnorth uaenorth uksouth
westeurope westus2 westus3 usgovvirginia chinanorth3
"""
_UNZONED = """
australiacentral australiacentral2 australiasoutheast brazilsoutheast canadaeast francesouth
germanynorth jioindiacentral jioindiawest koreasouth northcentralus norwaywest southafricawest
southindia swedensouth switzerlandwest uaecentral ukwest westcentralus westindia westus usgovarizona
usgovtexas usdodcentral usdodeast chinaeast chinaeast2 chinaeast3 chinanorth chinanorth2
"""
ZONED = frozenset(_ZONED.split())
UNZONED = frozenset(_UNZONED.split())

# Pattern of size -> (processor architecture, Trusted Launch). First match counts; a size that
# matches none does not exist. MicrosoftDocs/azure-compute-docs virtual-machines/trusted-launch.md.
SIZES: tuple[tuple[str, str, bool], ...] = (
    (r"Standard_(A|M|EC|NP)\d+\w*|Basic_A\d|Standard_D\d+_v[23]", "x64", False),
    (r"Standard_[DE]\d+[a-z]*p[a-z]*_v5", "Arm64", False),
    (r"Standard_[BDE]\d+[a-z]*p[a-z]*_v\d+", "Arm64", True),
    (r"Standard_(B|DC?|DS|E|FX?|GS?|H[BCX]?|L|N[CDGV])\d+(-\d+)?[a-z]*(_\w+)?", "x64", True),
)

# Images: (publisher, offer, sku) -> (architecture, generation 2, on the list for automatic OS
# upgrades). MicrosoftDocs/azure-compute-docs virtual-machine-scale-sets-automatic-upgrade.md.
IMAGES: Mapping[tuple[str, str, str], tuple[str, bool, bool]] = {
    ("canonical", "ubuntu-24_04-lts", "server"): ("x64", True, False),
    ("canonical", "ubuntu-24_04-lts", "server-gen1"): ("x64", False, False),
    ("canonical", "ubuntu-24_04-lts", "minimal"): ("x64", True, False),
    ("canonical", "ubuntu-24_04-lts", "server-arm64"): ("Arm64", True, True),
    ("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts"): ("x64", False, True),
    ("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"): ("x64", True, True),
    ("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-arm64"): ("Arm64", True, True)}

# ComputeRP 2024-11-01, VirtualMachineScaleSetOSProfile.adminUsername ("none" is a missing one).
_ADMINISTRATORS_REFUSED = """
1 123 a actuser adm admin admin1 admin2 administrator aspnet backup console david guest john none
owner root server sql support support_388945a0 sys test test1 test2 test3 user user1 user2 user3
user4 user5
"""
ADMINISTRATORS_REFUSED = frozenset(_ADMINISTRATORS_REFUSED.split())

# Built-in roles that the sandbox's directory knows (Microsoft Learn built-in-roles).
ROLES = frozenset({"acdd72a7-3385-48ef-bd42-f606fba81ae7",  # Reader
                   "b24988ac-6180-42a0-ab88-20f7382dd24c",  # Contributor
                   "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",  # Owner
                   "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",  # Storage Blob Data Reader
                   "ba92f5b4-2d11-453d-a403-e96b0029c9fe",  # Storage Blob Data Contributor
                   "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",  # Storage Blob Data Owner
                   "4633458b-17de-408a-b874-0445c86b69e6",  # Key Vault Secrets User
                   "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",  # Key Vault Secrets Officer
                   "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba",  # Key Vault Certificate User
                   "3913510d-42f4-4e42-8a64-420c390055eb",  # Monitoring Metrics Publisher
                   "43d0d8ad-25c7-4714-9337-8ba259a9fe05",  # Monitoring Reader
                   "befefa01-2a29-4197-83a8-272ff33ce314",  # DNS Zone Contributor
                   })

# Metrics and their dimensions by ARM type (Microsoft Learn azure-monitor supported-metrics).
METRICS: Mapping[str, Mapping[str, tuple[str, ...]]] = {"microsoft.storage/storageaccounts": {
    "usedcapacity": (), **dict.fromkeys(("transactions", "ingress", "egress", "availability",
        "successe2elatency", "successserverlatency"),
        ("responsetype", "geotype", "apiname", "authentication", "transactiontype"))},
    "microsoft.network/loadbalancers": {
        "bytecount": ("frontendipaddress", "frontendport", "direction"),
        "packetcount": ("frontendipaddress", "frontendport", "direction"),
        "syncount": ("frontendipaddress", "frontendport", "direction"),
        "vipavailability": ("frontendipaddress", "frontendport"), "dipavailability": (
            "protocoltype", "backendport", "frontendipaddress", "frontendport",
            "backendipaddress"),
        "snatconnectioncount": ("frontendipaddress", "backendipaddress", "connectionstate"),
        "allocatedsnatports": ("frontendipaddress", "backendipaddress", "protocoltype"),
        "usedsnatports": ("frontendipaddress", "backendipaddress", "protocoltype")},
    "microsoft.compute/virtualmachinescalesets": {"percentage cpu": ("vmname",),
        "network in total": ("vmname",), "network out total": ("vmname",),
        "available memory bytes": ("vmname",), "vmavailabilitymetric": ("vmname", "context")}}

# The forms of log-alert query that the sandbox can evaluate. Group `table` is the table,
# `known` the column of the rows that count. Each form has a name, by which the evaluator knows it.
# To allow another form, add a row.
QUERIES: Mapping[str, str] = {
    "last row": r"(?P<table>\w+)\s*\|\s*where isnotnull\((?P<known>\w+)\)"
    r"\s*\|\s*summarize arg_max\(TimeGenerated, \*\)\s*\|\s*project (?P<columns>.+)",
    "rows": r"(?P<table>\w+)\s*\|\s*where isnotnull\((?P<known>\w+)\)"
    r"\s*\|\s*summarize (?P<columns>\w+) = count\(\)",
    "different": r"(?P<table>\w+)\s*\|\s*distinct (?P<known>\w+)"
    r"\s*\|\s*summarize (?P<columns>\w+) = count\(\)"}
