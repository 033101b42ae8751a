"""What the sandbox's Azure refuses: each row changes one thing of what it otherwise takes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from components.regions import REGIONS
from sandbox.provider.cloud import Cloud, Refusal
from sandbox.provider.rules import RULES, UNZONED, ZONED

from .landscape import (
    ASSIGNMENT,
    BALANCER,
    LANDSCAPE,
    NETWORKS,
    NEWEST,
    POOL,
    PROBE,
    PUBLIC,
    ROLES,
    SCOPE,
    SCRIPT,
    SUBNET,
    build,
    id_of,
    inputs,
    place,
)

SET = "virtualMachineProfile"
EXTENSIONS = f"{SET}__extensionProfile__extensions"
NO_HEALTH: dict[str, Any] = {f"{EXTENSIONS}__1": None}
WITH_PROBE: dict[str, Any] = {f"{SET}__networkProfile__healthProbe": PROBE}
ELSEWHERE = "northeurope"
QUERY = "criteria__allOf__0__query"
METRIC = "criteria__allOf__0__metricName"
# (what is wrong, type, what is changed, Azure's code, a part of its text)
Row = tuple[str, str, dict[str, Any], str, str]

CHANGES: tuple[Row, ...] = (
    ("fifty-one tags", "dns:Zone", {"tags": {f"t{n}": "x" for n in range(51)}}, "TooManyTags",
     "50"),
    ("sixteen tags on a secret", "keyvault:Secret", {"tags": {f"t{n}": "x" for n in range(16)}},
     "TooManyTags", "15"),
    ("a tag's name of 129 characters on an account", "storage:StorageAccount",
     {"tags": {"t" * 129: "x"}}, "TagTooLong", "128"),
    ("a tag's value of 257 characters", "dns:Zone", {"tags": {"t": "x" * 257}}, "TagTooLong",
     "256"),
    ("a tag with a slash", "dns:Zone", {"tags": {"a/b": "x"}}, "InvalidTagNameCharacters", "a/b"),
    ("zones in a region without", "network:PublicIPAddress",
     {"zones": ["1"], "location": "westus"}, "InvalidResourceLocation", "westeurope"),
    ("a zone that no region has", "network:PublicIPAddress", {"zones": ["4"]},
     "AvailabilityZoneNotSupported", "1,2,3"),
    ("a region that does not exist", "network:LoadBalancer", {"location": "westeurop"},
     "LocationNotAvailableForResourceType", "westeurop"),
    ("another region for a security group", "network:NetworkSecurityGroup",
     {"location": ELSEWHERE}, "InvalidResourceLocation", "cannot be created in location"),
    ("a network without addresses", "network:VirtualNetwork", {"addressSpace": {}},
     "InvalidRequestFormat", "address prefix"),
    ("a subnet that its network no longer holds", "network:VirtualNetwork",
     {"addressSpace__addressPrefixes": ["10.9.0.0/24"]}, "NetcfgInvalidSubnet", "subnet"),
    ("a subnet outside of its network", "network:Subnet", {"addressPrefix": "10.1.0.0/25"},
     "NetcfgInvalidSubnet", "subnet"),
    ("a subnet that is no network", "network:Subnet", {"addressPrefix": "10.0.0.1/25"},
     "InvalidCIDRNotation", "10.0.0.1/25"),
    ("a missing security group", "network:Subnet",
     {"networkSecurityGroup__id": f"{NETWORKS}/networkSecurityGroups/none"},
     "InvalidResourceReference", "was not found"),
    ("an id of another type", "network:Subnet", {"networkSecurityGroup__id": BALANCER},
     "LinkedInvalidPropertyId", "networkSecurityGroup.id"),
    ("a name where an id belongs", "network:Subnet", {"networkSecurityGroup__id": "filter"},
     "LinkedInvalidPropertyId", "fully qualified"),
    ("a subnet that is removed while in use", "network:VirtualNetwork", {"subnets": []},
     "InUseSubnetCannotBeDeleted", "virtualMachineScaleSets/set"),
    ("two subnets of one name", "network:VirtualNetwork",
     {"subnets": [{"name": "subnet", "addressPrefix": "10.0.0.0/26"},
                  {"name": "subnet", "addressPrefix": "10.0.0.64/26"}]},
     "InvalidRequestFormat", "unique"),
    ("two subnets over each other", "network:VirtualNetwork",
     {"subnets": [{"name": "subnet", "addressPrefix": "10.0.0.0/25"},
                  {"name": "other", "addressPrefix": "10.0.0.64/26"}]},
     "NetcfgSubnetRangesOverlap", "other"),
    ("a rule's priority of 99", "network:NetworkSecurityGroup", {"securityRules__0__priority": 99},
     "SecurityRuleInvalidPriority", "100 and 4096"),
    ("two rules of one priority", "network:NetworkSecurityGroup",
     {"securityRules__1__direction": "Inbound"}, "SecurityRuleConflict", "rule-Inbound"),
    ("a port beyond 65535", "network:NetworkSecurityGroup",
     {"securityRules__0__destinationPortRange": "443-70000"}, "SecurityRuleInvalidPortRange",
     "443-70000"),
    ("a rule with too much to say", "network:NetworkSecurityGroup",
     {"securityRules__0__description": "x" * 141}, "SecurityRuleInvalidDescription",
     "140 characters"),
    ("a basic address", "network:PublicIPAddress", {"sku__name": "Basic"},
     "IPv4BasicSkuPublicIpCountLimitReached", "Basic"),
    ("a dynamic address", "network:PublicIPAddress", {"publicIPAllocationMethod": "Dynamic"},
     "StandardSkuPublicIPAddressMustHaveStaticAllocation", "Static"),
    ("a label with capitals", "network:PublicIPAddress", {"dnsSettings__domainNameLabel": "Point"},
     "InvalidDomainNameLabel", "Point"),
    ("a reserved label", "network:PublicIPAddress", {"dnsSettings__domainNameLabel": "myazure"},
     "DomainNameLabelReserved", "myazure"),
    ("a label of somebody else", "network:PublicIPAddress",
     {"dnsSettings__domainNameLabel": "taken"}, "DnsRecordInUse", "already used"),
    ("a basic balancer", "network:LoadBalancer", {"sku__name": "Basic"},
     "LoadBalancerSkuCannotBeChanged", "Basic"),
    ("an address of another sku", "network:LoadBalancer", {"sku__name": "Gateway"},
     "LoadBalancerSkuCannotBeChanged", "Gateway"),
    ("two rules of one name", "network:LoadBalancer",
     {"probes": [LANDSCAPE["network:LoadBalancer"]["probes"][0]] * 2}, "DuplicateResourceName",
     "probe"),
    ("a front end without address", "network:LoadBalancer",
     {"frontendIPConfigurations__0__publicIPAddress": None},
     "FrontendIPConfigurationMustHaveSubnetOrPublicIP", "front"),
    ("a missing probe", "network:LoadBalancer",
     {"loadBalancingRules__0__probe": {"id": f"{BALANCER}/probes/none"}},
     "InvalidResourceReference", "probes/none"),
    ("a web probe without path", "network:LoadBalancer", {"probes__0__requestPath": None},
     "InvalidProbeRequestPath", "requestPath"),
    ("a plain probe with path", "network:LoadBalancer", {"probes__0__protocol": "Tcp"},
     "InvalidProbeRequestPath", "requestPath"),
    ("a probe every four seconds", "network:LoadBalancer", {"probes__0__intervalInSeconds": 4},
     "InvalidPropertyValue", "intervalInSeconds"),
    ("a front end at the last port", "network:LoadBalancer",
     {"loadBalancingRules__0__frontendPort": 65535}, "InvalidPropertyValue", "frontendPort"),
    ("a pool of a rule's list that is not there", "network:LoadBalancer",
     {"loadBalancingRules__0__backendAddressPools":
      [{"id": f"{BALANCER}/backendAddressPools/none"}]},
     "InvalidResourceReference", "backendAddressPools/none"),
    ("outbound and balancing rule that share an address", "network:LoadBalancer",
     {"loadBalancingRules__0__disableOutboundSnat": False},
     "LoadBalancingRuleMustDisableSNATSinceSameFrontendIPConfigurationIsReferencedByOutboundRule",
     "must disable SNAT"),
    ("outbound ports that are no multiple of eight", "network:LoadBalancer",
     {"outboundRules__0__allocatedOutboundPorts": 1001},
     "SpecifiedAllocatedOutboundPortsForOutboundRuleIsNotAMultipleOfEight", "1001"),
    ("more outbound ports than an address has", "network:LoadBalancer",
     {"outboundRules__0__allocatedOutboundPorts": 64008},
     "SpecifiedAllocatedOutboundPortsForOutboundRuleExceedsTotalNumberOfAllowedPortsPerRule",
     "64008"),
    ("an idle time of three minutes", "network:LoadBalancer",
     {"loadBalancingRules__0__idleTimeoutInMinutes": 3}, "InvalidPropertyValue", "idleTimeout"),
    ("a pool that is removed while in use", "network:LoadBalancer",
     {"backendAddressPools": [{"name": "new"}], "loadBalancingRules": [], "outboundRules": []},
     "InUseBackendAddressPoolCannotBeDeleted", "virtualMachineScaleSets/set"),
    ("a scale set of minus one", "compute:VirtualMachineScaleSet", {"sku__capacity": -1},
     "InvalidParameter", "sku.capacity"),
    ("more instances than the way out has ports for", "compute:VirtualMachineScaleSet",
     {"sku__capacity": 17},
     "SpecifiedAllocatedOutboundPortsForOutboundRuleExceedsTotalNumberOfAvailablePorts",
     "per backend instance of 3760"),
    ("a size that does not exist", "compute:VirtualMachineScaleSet",
     {"sku__name": "Standard_Z9"}, "InvalidParameter", "Standard_Z9"),
    ("a size of another architecture", "compute:VirtualMachineScaleSet",
     {"sku__name": "Standard_D2ps_v6"}, "BadRequest", "CPU Architecture"),
    ("a size without Trusted Launch", "compute:VirtualMachineScaleSet",
     {"sku__name": "Standard_A2_v2"}, "BadRequest", "TrustedLaunch"),
    ("another orchestration mode", "compute:VirtualMachineScaleSet",
     {"orchestrationMode": "Flexible"}, "PropertyChangeNotAllowed", "orchestrationMode"),
    ("another image sku", "compute:VirtualMachineScaleSet",
     {f"{SET}__storageProfile__imageReference__sku": "minimal"}, "PropertyChangeNotAllowed",
     "imageReference.sku"),
    ("an upgrade of the system that the image's list lacks", "compute:VirtualMachineScaleSet",
     {"upgradePolicy__automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True}},
     "BadRequest", "Automatic OS Upgrade cannot be enabled"),
    ("no way to sign in", "compute:VirtualMachineScaleSet",
     {f"{SET}__osProfile__linuxConfiguration": {}}, "InvalidParameter", "either SSH or by user"),
    ("a key that is none", "compute:VirtualMachineScaleSet",
     {f"{SET}__osProfile__linuxConfiguration__ssh__publicKeys__0__keyData": "ssh-rsa AAAA"},
     "InvalidParameter", "keyData"),
    ("a key in another place", "compute:VirtualMachineScaleSet",
     {f"{SET}__osProfile__linuxConfiguration__ssh__publicKeys__0__path": "/root/key"},
     "InvalidParameter", "authorized_keys"),
    ("custom data in plain text", "compute:VirtualMachineScaleSet",
     {f"{SET}__osProfile__customData": "#cloud-config"}, "InvalidParameter", "Base64"),
    ("rolling upgrades without health", "compute:VirtualMachineScaleSet", NO_HEALTH, "BadRequest",
     "Rolling Upgrade mode is not supported"),
    ("repairs without health", "compute:VirtualMachineScaleSet",
     {**NO_HEALTH, "upgradePolicy__mode": "Manual"}, "BadRequest", "Automatic repairs"),
    ("probe and extension both", "compute:VirtualMachineScaleSet", WITH_PROBE, "InvalidParameter",
     "Only one of"),
    ("a probe without a pool", "compute:VirtualMachineScaleSet",
     {**NO_HEALTH, **WITH_PROBE, f"{SET}__networkProfile__networkInterfaceConfigurations__0__"
      "ipConfigurations__0__loadBalancerBackendAddressPools": []},
     "CannotUseHealthProbeWithoutLoadBalancing", "cannot use probe"),
    ("more fault domains than there are", "compute:VirtualMachineScaleSet",
     {"platformFaultDomainCount": 6}, "InvalidParameter", "platformFaultDomainCount"),
    ("even zones where there is none", "compute:VirtualMachineScaleSet", {"zoneBalance": True},
     "InvalidParameter", "zoneBalance"),
    ("extensions that have 14 minutes", "compute:VirtualMachineScaleSet",
     {f"{SET}__extensionProfile__extensionsTimeBudget": "PT14M"}, "InvalidParameter",
     "extensionsTimeBudget"),
    ("a grace of five hours", "compute:VirtualMachineScaleSet",
     {f"{SET}__extensionProfile__extensions__1__settings__gracePeriod": 18000},
     "InvalidPropertyValue", "gracePeriod"),
    ("a repair after nine minutes", "compute:VirtualMachineScaleSet",
     {"automaticRepairsPolicy__gracePeriod": "PT9M"}, "InvalidParameter", "PT10M"),
    ("batches of four percent", "compute:VirtualMachineScaleSet",
     {"upgradePolicy__rollingUpgradePolicy__maxBatchInstancePercent": 4}, "InvalidParameter",
     "maxBatchInstancePercent"),
    ("a pause that is no time", "compute:VirtualMachineScaleSet",
     {"upgradePolicy__rollingUpgradePolicy__pauseTimeBetweenBatches": "2 minutes"},
     "InvalidParameter", "pauseTimeBetweenBatches"),
    ("an extension after one that is not there", "compute:VirtualMachineScaleSet",
     {f"{EXTENSIONS}__1__provisionAfterExtensions": ["none"]}, "InvalidParameter", "'none'"),
    ("extensions that wait for each other", "compute:VirtualMachineScaleSet",
     {f"{EXTENSIONS}__0__provisionAfterExtensions": ["health"]}, "InvalidParameter", "circle"),
    ("two extensions of one name", "compute:VirtualMachineScaleSet",
     {f"{EXTENSIONS}__1__name": "install"}, "InvalidParameter", "unique"),
    ("a script in two places", "compute:VirtualMachineScaleSet",
     {f"{EXTENSIONS}__0__settings": {"script": SCRIPT}}, "VMExtensionProvisioningError",
     "exactly one"),
    ("a script in plain text", "compute:VirtualMachineScaleSet",
     {f"{EXTENSIONS}__0__protectedSettings": {"script": "#!/bin/sh"}},
     "VMExtensionProvisioningError", "base64"),
    ("a script beyond 256 KB", "compute:VirtualMachineScaleSet",
     {f"{EXTENSIONS}__0__protectedSettings":
      {"script": base64.b64encode(bytes(200 * 1024)).decode()}},
     "VMExtensionProvisioningError", "256 KB"),
    ("a script of broken gzip", "compute:VirtualMachineScaleSet",
     {f"{EXTENSIONS}__0__protectedSettings":
      {"script": base64.b64encode(b"\x1f\x8bbroken").decode()}},
     "VMExtensionProvisioningError", "gzip"),
    ("a health extension without path", "compute:VirtualMachineScaleSet",
     {f"{EXTENSIONS}__1__settings": {"protocol": "https"}}, "InvalidParameter", "requestPath"),
    ("an identity that is not there", "compute:VirtualMachineScaleSet",
     {"identity__userAssignedIdentities":
      [f"{SCOPE}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/none"]},
     "ResourceNotFound", "none"),
    ("a subnet that is not there", "compute:VirtualMachineScaleSet",
     {f"{SET}__networkProfile__networkInterfaceConfigurations__0__ipConfigurations__0__subnet":
      {"id": f"{NETWORKS}/virtualNetworks/network/subnets/none"}}, "InvalidResourceReference",
     "none"),
    ("another kind of account", "storage:StorageAccount", {"kind": "BlockBlobStorage"},
     "AccountPropertyCannotBeUpdated", "kind"),
    ("an account that goes zonal", "storage:StorageAccount", {"sku__name": "Standard_ZRS"},
     "InvalidAccountTypeChange", "Standard_ZRS"),
    ("a firewall rule for one address as a network", "storage:StorageAccount",
     {"networkRuleSet__ipRules__0__iPAddressOrRange": "203.0.113.7/32"},
     "InvalidValuesForRequestParameters", "networkAcls"),
    ("a firewall rule for a private network", "storage:StorageAccount",
     {"networkRuleSet__ipRules__0__iPAddressOrRange": "10.0.0.0/8"},
     "InvalidValuesForRequestParameters", "networkAcls"),
    ("a subnet that is not there in the firewall", "storage:StorageAccount",
     {"networkRuleSet__virtualNetworkRules__0__virtualNetworkResourceId": f"{SUBNET}2"},
     "NetworkAclsValidationFailure", "SubnetsNotProvisioned"),
    ("soft delete for 366 days", "storage:BlobServiceProperties",
     {"deleteRetentionPolicy__days": 366}, "InvalidXmlNodeValue", "365"),
    ("a public container in a closed account", "storage:BlobContainer", {"publicAccess": "Blob"},
     "PublicAccessNotPermitted", "not permitted"),
    ("a role that does not exist", "authorization:RoleAssignment",
     {"roleDefinitionId": f"{ROLES}/44444444-4444-4444-8444-444444444444"},
     "RoleAssignmentUpdateNotPermitted", "not allowed to be updated"),
    ("a vault without purge protection, said", "keyvault:Vault",
     {"properties__enablePurgeProtection": False}, "BadRequest", "enablePurgeProtection"),
    ("a vault without soft delete", "keyvault:Vault", {"properties__enableSoftDelete": False},
     "BadRequest", "enableSoftDelete"),
    ("another time of soft delete", "keyvault:Vault",
     {"properties__softDeleteRetentionInDays": 90}, "BadRequest", "can't be modified"),
    ("another tenant", "keyvault:Vault", {"properties__tenantId": ASSIGNMENT}, "VaultTenantChange",
     "tenant"),
    ("another sku family", "keyvault:Vault", {"properties__sku__family": "B"}, "BadRequest",
     "sku.family"),
    ("a secret beyond 25 KB", "keyvault:Secret", {"properties__value": "x" * 25601},
     "BadParameter", "25600"),
    ("a content type of 256 characters", "keyvault:Secret", {"properties__contentType": "x" * 256},
     "BadParameter", "contentType"),
    ("an alias without a name to point to", "dns:RecordSet", {"cnameRecord": None}, "BadRequest",
     "no records"),
    ("a record for no time", "dns:RecordSet", {"ttl": 0}, "BadRequest", "TTL"),
    ("an alias to a name that is none", "dns:RecordSet", {"cnameRecord__cname": "a b"},
     "BadRequest", "a b"),
    ("a short name of thirteen characters", "monitor:ActionGroup", {"groupShortName": "x" * 13},
     "GroupShortNameTooLong", "12"),
    ("two receivers of one name", "monitor:ActionGroup", {"webhookReceivers__0__name": "team"},
     "DuplicateReceiverName", "team"),
    ("a mail address that is none", "monitor:ActionGroup",
     {"emailReceivers__0__emailAddress": "team"}, "InvalidEmailAddress", "team"),
    ("a webhook that is no URL", "monitor:ActionGroup",
     {"webhookReceivers__0__serviceUri": "hook.example"}, "InvalidServiceUri", "serviceUri"),
    ("a metric alert over two days", "monitor:MetricAlert", {"windowSize": "P2D"}, "BadRequest",
     "WindowSize"),
    ("a metric alert looked at less often than its window", "monitor:MetricAlert",
     {"windowSize": "PT15M"}, "BadRequest", "EvaluationFrequency"),
    ("a metric alert every minute over six hours", "monitor:MetricAlert",
     {"evaluationFrequency": "PT1M"}, "BadRequest", "five minutes"),
    ("a severity of five", "monitor:MetricAlert", {"severity": 5}, "BadRequest", "Severity"),
    ("a metric that does not exist", "monitor:MetricAlert", {METRIC: "UsedCapacities"},
     "BadRequest", "UsedCapacities"),
    ("a dimension that the metric lacks", "monitor:MetricAlert",
     {"criteria__allOf__0__dimensions":
      [{"name": "ApiName", "operator": "Include", "values": ["x"]}]}, "BadRequest", "ApiName"),
    ("two accounts in one alert", "monitor:MetricAlert",
     {"scopes": LANDSCAPE["monitor:MetricAlert"]["scopes"] * 2}, "BadRequest", "one scope"),
    ("two accounts in one alert of the other kind", "monitor:MetricAlert",
     {"scopes": LANDSCAPE["monitor:MetricAlert"]["scopes"] * 2, "criteria__odataType":
      "Microsoft.Azure.Monitor.MultipleResourceMultipleMetricCriteria"}, "BadRequest",
     "multi resource"),
    ("two criteria of one name", "monitor:MetricAlert",
     {"criteria__allOf": LANDSCAPE["monitor:MetricAlert"]["criteria"]["allOf"] * 2}, "BadRequest",
     "names of their own"),
    ("a metric alert in a region", "monitor:MetricAlert", {"location": "westeurope"},
     "InvalidResourceLocation", "global"),
    ("an action group that is not there", "monitor:MetricAlert",
     {"actions__0__actionGroupId": f"{SCOPE}/providers/Microsoft.Insights/actionGroups/none"},
     "ResourceNotFound", "none"),
    ("a log alert over three days", "monitor:ScheduledQueryRule", {"windowSize": "P3D"},
     "BadRequest", "2 days"),
    ("a log alert every other day", "monitor:ScheduledQueryRule",
     {"windowSize": "P2D", "evaluationFrequency": "P2D"}, "BadRequest", "1 day"),
    ("a log alert without criteria", "monitor:ScheduledQueryRule", {"criteria": {}}, "BadRequest",
     "no criteria"),
    ("a log alert every minute over seven hours", "monitor:ScheduledQueryRule",
     {"evaluationFrequency": "PT1M", "windowSize": "PT7H"}, "BadRequest", "6 hours"),
    ("a log alert over too many periods", "monitor:ScheduledQueryRule",
     {"windowSize": "P1D",
      "criteria__allOf__0__failingPeriods__numberOfEvaluationPeriods": 3}, "BadRequest",
     "48 hours"),
    ("more failing periods than periods", "monitor:ScheduledQueryRule",
     {"criteria__allOf__0__failingPeriods__minFailingPeriodsToAlert": 2}, "BadRequest",
     "failing periods"),
    ("a muted alert that resolves itself", "monitor:ScheduledQueryRule",
     {"muteActionsDuration": "PT1H"}, "BadRequest", "MuteActionsDuration"),
    ("a column to count", "monitor:ScheduledQueryRule",
     {"criteria__allOf__0__timeAggregation": "Count"}, "BadRequest", "metricMeasureColumn"),
    ("a query of a form that the sandbox cannot evaluate", "monitor:ScheduledQueryRule",
     {QUERY: "Usage_CL | where Bytes > 1"}, "UnsupportedQuery", "last row; rows"),
    ("a log alert of several periods, which the sandbox cannot evaluate",
     "monitor:ScheduledQueryRule",
     {"criteria__allOf__0__failingPeriods__numberOfEvaluationPeriods": 2}, "UnsupportedAlert",
     "one period"),
    ("a metric alert that never resolves, which the sandbox cannot evaluate",
     "monitor:MetricAlert", {"autoMitigate": False}, "UnsupportedAlert", "by themselves"),
    ("a query of a table that is not there", "monitor:ScheduledQueryRule",
     {QUERY: NEWEST.replace("Usage_CL", "None_CL")}, "BadRequest", "None_CL"),
    ("rows for a table that is not there", "monitor:DataCollectionRule",
     {"dataFlows__0__outputStream": "Custom-None_CL"}, "InvalidOutputTable", "Custom-None_CL"),
    ("a stream that is not declared", "monitor:DataCollectionRule",
     {"dataFlows__0__streams": ["Custom-None_CL"]}, "InvalidStream", "Custom-None_CL"),
    ("a destination that is not declared", "monitor:DataCollectionRule",
     {"dataFlows__0__destinations": ["none"]}, "InvalidDestination", "none"),
    ("a stream without an end point", "monitor:DataCollectionRule",
     {"dataCollectionEndpointId": None}, "InvalidPayload", "dataCollectionEndpointId"),
    ("a stream whose name says nothing", "monitor:DataCollectionRule",
     {"streamDeclarations": {"Usage": {"columns": [{"name": "TimeGenerated"}]}}},
     "InvalidPayload", "Custom-"),
    ("a stream without columns", "monitor:DataCollectionRule",
     {"streamDeclarations__Custom-Usage_CL__columns": []}, "InvalidPayload", "no columns"),
    ("a stream without time", "monitor:DataCollectionRule",
     {"streamDeclarations__Custom-Usage_CL__columns": [{"name": "Bytes", "type": "long"}]},
     "InvalidTransformOutput", "TimeGenerated"),
    ("a column that the table lacks", "monitor:DataCollectionRule",
     {"streamDeclarations__Custom-Usage_CL__columns":
      [{"name": "TimeGenerated", "type": "datetime"}, {"name": "More", "type": "long"}]},
     "InvalidTransformOutput", "More"),
    ("a workspace that is not there", "monitor:DiagnosticSetting",
     {"workspaceId": f"{SCOPE}/providers/Microsoft.OperationalInsights/workspaces/none"},
     "ResourceNotFound", "none"),
    ("a workspace that keeps rows for a week", "operationalinsights:Workspace",
     {"retentionInDays": 7}, "InvalidParameter", "RetentionInDays"),
    ("a table without time", "operationalinsights:Table",
     {"schema__columns": [{"name": "Bytes", "type": "long"}]}, "InvalidParameter",
     "TimeGenerated"),
    ("a column of another type than before", "operationalinsights:Table",
     {"schema__columns__1__type": "string"}, "InvalidParameter", "Bytes"),
    ("a column twice", "operationalinsights:Table",
     {"schema__columns": [{"name": "TimeGenerated", "type": "dateTime"}] * 2}, "InvalidParameter",
     "twice"),
    ("a column with a dash", "operationalinsights:Table", {"schema__columns__1__name": "a-b"},
     "InvalidParameter", "a-b"),
    ("a schema of another name", "operationalinsights:Table", {"schema__name": "Other_CL"},
     "InvalidParameter", "schema"),
    ("a workbook that is no JSON", "applicationinsights:Workbook", {"serializedData": "{"},
     "BadRequest", "JSON"),
    ("a budget of nothing", "consumption:Budget", {"amount": 0}, "400", "greater than 0"),
    ("a budget from the middle of a month", "consumption:Budget",
     {"timePeriod__startDate": "2026-11-15T00:00:00Z"}, "400", "first of a month"),
    ("a budget from the past", "consumption:Budget",
     {"timePeriod__startDate": "2026-01-01T00:00:00Z"}, "400", "timegrain period"),
    ("a budget that tells nobody", "consumption:Budget",
     {"notifications__warning__contactEmails": []}, "400", "nobody"),
    ("a budget with six notifications", "consumption:Budget",
     {"notifications": {n: {} for n in "abcdef"}}, "400", "5 notifications"),
    ("a budget that tells at 1001 percent", "consumption:Budget",
     {"notifications__warning__threshold": 1001}, "400", "threshold"),
    ("a subscription that is not there", "network:Subnet",
     {"networkSecurityGroup__id":
      f"{NETWORKS}/networkSecurityGroups/filter".replace("c10d", "ffff")},
     "InvalidResourceReference", "was not found"),
)  # fmt: skip

# The same for what is new: (what is wrong, type, what is changed, code, text).
NEW: tuple[Row, ...] = (
    ("an account's name of somebody else", "storage:StorageAccount", {"accountName": "taken"},
     "StorageAccountAlreadyTaken", "already taken"),
    ("a vault's name of somebody else", "keyvault:Vault", {"vaultName": "taken"},
     "VaultAlreadyExists", "already in use"),
    ("an account in a group that is not there", "storage:StorageAccount",
     {"accountName": "another", "resourceGroupName": "none"}, "ResourceGroupNotFound", "none"),
    ("a container in an account that is not there", "storage:BlobContainer",
     {"accountName": "none"}, "ParentResourceNotFound", "blobServices/containers"),
    ("a secret in a vault that is not there", "keyvault:Secret", {"vaultName": "none"},
     "ParentResourceNotFound", "vaults"),
    ("a balancer in another region than its address", "network:LoadBalancer",
     {"loadBalancerName": "other", "location": ELSEWHERE}, "InvalidResourceReference",
     "same region"),
    ("a second subnet over the first", "network:Subnet",
     {"subnetName": "other", "addressPrefix": "10.0.0.64/26"}, "NetcfgSubnetRangesOverlap",
     "overlaps"),
    ("a basic balancer", "network:LoadBalancer",
     {"loadBalancerName": "other", "sku__name": "Basic"}, "BasicSkuLoadBalancerCreationNotAllowed",
     "retired"),
    ("a balancer of another sku than its address", "network:LoadBalancer",
     {"loadBalancerName": "other", "sku__name": "Gateway"}, "PublicIPAndLBSkuDoNotMatch",
     "Gateway"),
    ("an image that does not exist", "compute:VirtualMachineScaleSet",
     {"vmScaleSetName": "other", f"{SET}__storageProfile__imageReference__sku": "none"},
     "PlatformImageNotFound", "none"),
    ("an image of generation 1 with Trusted Launch", "compute:VirtualMachineScaleSet",
     {"vmScaleSetName": "other", f"{SET}__storageProfile__imageReference__sku": "server-gen1"},
     "BadRequest", "Generation 2"),
    ("an administrator called admin", "compute:VirtualMachineScaleSet",
     {"vmScaleSetName": "other", f"{SET}__osProfile__adminUsername": "admin"}, "InvalidParameter",
     "Admin Username"),
    ("a computer's name of 16 characters", "compute:VirtualMachineScaleSet",
     {"vmScaleSetName": "other", f"{SET}__osProfile__computerNamePrefix": "x" * 16},
     "InvalidParameter", "15 characters"),
    ("an automatic upgrade of a fixed version", "compute:VirtualMachineScaleSet",
     {"vmScaleSetName": "other", "sku__name": "Standard_D2ps_v6",
      f"{SET}__storageProfile__imageReference__sku": "server-arm64",
      f"{SET}__storageProfile__imageReference__version": "24.04.1",
      "upgradePolicy__automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True}},
     "BadRequest", "latest"),
    ("an automatic upgrade without health", "compute:VirtualMachineScaleSet",
     {**NO_HEALTH, "vmScaleSetName": "other", "sku__name": "Standard_D2ps_v6",
      f"{SET}__storageProfile__imageReference__sku": "server-arm64",
      "automaticRepairsPolicy__enabled": False, "upgradePolicy__mode": "Manual",
      "upgradePolicy__automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": True}},
     "BadRequest", "Automatic OS Upgrade is not supported"),
    ("a soft delete of six days", "keyvault:Vault",
     {"vaultName": "other", "properties__softDeleteRetentionInDays": 6}, "BadRequest",
     "between 7 and 90"),
    ("a vault without any way in", "keyvault:Vault",
     {"vaultName": "other", "properties__enableRbacAuthorization": None}, "BadRequest",
     "accessPolicies"),
    ("a secret without value", "keyvault:Secret",
     {"secretName": "other", "properties__value": None}, "BadParameter", "no value"),
    ("a metric alert in a region", "monitor:MetricAlert",
     {"ruleName": "other", "location": "westeurope"}, "BadRequest", "'global'"),
    ("an address with zones where there are none", "network:PublicIPAddress",
     {"publicIpAddressName": "other", "location": "westus", "zones": ["1"],
      "dnsSettings": None}, "AvailabilityZoneNotSupported", "westus"),
    ("a role on what is not there", "authorization:RoleAssignment",
     {"roleAssignmentName": ASSIGNMENT.replace("1", "5"), "scope": f"{SCOPE}x"},
     "ResourceGroupNotFound", "groupx"),
    ("a role that does not exist", "authorization:RoleAssignment",
     {"roleAssignmentName": ASSIGNMENT.replace("1", "5"),
      "roleDefinitionId": f"{ROLES}/44444444-4444-4444-8444-444444444444"},
     "RoleDefinitionDoesNotExist", "4444"),
    ("a principal that is no GUID", "authorization:RoleAssignment",
     {"roleAssignmentName": ASSIGNMENT.replace("1", "5"), "principalId": "team"},
     "InvalidPrincipalId", "team"),
    ("the same role twice", "authorization:RoleAssignment",
     {"roleAssignmentName": ASSIGNMENT.replace("1", "5")}, "RoleAssignmentExists",
     ASSIGNMENT.replace("-", "")),
    ("an assignment's name that stands elsewhere", "authorization:RoleAssignment",
     {"scope": SCOPE}, "RoleAssignmentUpdateNotPermitted", "scope"),
    ("an alias beside another record", "dns:RecordSet",
     {"recordType": "TXT", "cnameRecord": None, "txtRecords": [{"value": ["x"]}]}, "BadRequest",
     "same name"),
    ("an alias for the zone itself", "dns:RecordSet", {"relativeRecordSetName": "@"}, "BadRequest",
     "apex"),
    ("a kind of record that does not exist", "dns:RecordSet", {"recordType": "WKS"}, "BadRequest",
     "'WKS' is not supported"),
    ("a log alert in another region than its workspace", "monitor:ScheduledQueryRule",
     {"ruleName": "other", "location": ELSEWHERE}, "BadRequest", "region"),
    ("a collection rule in another region than its end point", "monitor:DataCollectionRule",
     {"dataCollectionRuleName": "other", "location": ELSEWHERE}, "InvalidPayload", "endpoint"),
    ("a table without the ending of custom ones", "operationalinsights:Table",
     {"tableName": "Usage", "schema__name": "Usage"}, "InvalidParameter", "_CL"),
    ("a vault to recover that was never there", "keyvault:Vault",
     {"vaultName": "other", "properties__createMode": "recover"}, "DeletedVaultNotFound", "other"),
)  # fmt: skip


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    cloud = build(tmp_path_factory.mktemp("azure") / "azure.db")
    with cloud.change() as database:
        database.executemany(
            "INSERT INTO names VALUES (?, '')",
            [
                ("taken.westeurope.cloudapp.azure.com",),
                ("taken.blob.core.windows.net",),
                ("taken.vault.azure.net",),
            ],
        )
    return cloud


def named(rows: tuple[Row, ...]) -> list[Any]:
    return [pytest.param(*row[1:], id=f"{row[1].rpartition(':')[2]}: {row[0]}") for row in rows]


def test_the_landscape_has_each_type_and_azure_takes_it_twice(azure: Cloud) -> None:
    assert set(LANDSCAPE) == set(RULES)
    for token in LANDSCAPE:
        place(azure, token, update=True)


@pytest.mark.parametrize(("token", "changed", "code", "text"), named(CHANGES))
def test_a_change_is_refused(
    azure: Cloud, token: str, changed: dict[str, Any], code: str, text: str
) -> None:
    before = azure.get(id_of(token))
    with pytest.raises(Refusal, match=r"^Status=4\d\d Code=") as refused:
        place(azure, token, update=True, **changed)
    assert refused.value.code == code
    assert text in str(refused.value)
    assert azure.get(id_of(token)) == before, "what is refused leaves no trace"


@pytest.mark.parametrize(("token", "changed", "code", "text"), named(NEW))
def test_something_new_is_refused(
    azure: Cloud, token: str, changed: dict[str, Any], code: str, text: str
) -> None:
    count = azure.rows("SELECT COUNT(*) FROM resources")
    with pytest.raises(Refusal) as refused:
        place(azure, token, **changed)
    assert refused.value.code == code
    assert text in str(refused.value)
    assert azure.rows("SELECT COUNT(*) FROM resources") == count


def test_what_is_there_is_not_created_again(azure: Cloud) -> None:
    with pytest.raises(Refusal, match="cannot create already existing resource '/subscriptions/"):
        place(azure, "storage:StorageAccount")


def test_a_subscription_that_is_not_there_is_refused(azure: Cloud) -> None:
    with pytest.raises(Refusal, match="SubscriptionNotFound"):
        azure.put("dns:Zone", inputs("dns:Zone"), PUBLIC, subscription=ASSIGNMENT)


def test_a_role_for_an_identity_must_say_that_it_is_a_service_principal(azure: Cloud) -> None:
    identity = azure.get(id_of("managedidentity:UserAssignedIdentity"))
    assert identity
    role: dict[str, Any] = {
        "roleAssignmentName": ASSIGNMENT.replace("1", "6"),
        "principalId": identity[2]["principalId"],
    }
    with pytest.raises(Refusal, match="PrincipalNotFound"):
        place(azure, "authorization:RoleAssignment", **role)
    made = place(azure, "authorization:RoleAssignment", **role, principalType="ServicePrincipal")
    with pytest.raises(Refusal, match="ScopeLocked"):
        azure.delete(made)  # a lock keeps the roles on what it keeps, too


def test_a_principal_that_the_directory_lacks_is_refused(azure: Cloud) -> None:
    with azure.change() as database:
        stranger = ASSIGNMENT.replace("1", "7")
        database.execute("INSERT INTO settings VALUES ('absent_principals', ?)", (stranger,))
    with pytest.raises(Refusal, match="PrincipalNotFound"):
        place(
            azure,
            "authorization:RoleAssignment",
            roleAssignmentName=ASSIGNMENT.replace("1", "8"),
            principalId=stranger,
        )


def test_a_firewall_asks_for_the_subnets_service_end_point(tmp_path: Path) -> None:
    azure = build(tmp_path / "azure.db", until="storage:StorageAccount")
    place(azure, "network:Subnet", update=True, serviceEndpoints=[])
    with pytest.raises(Refusal, match="do not have ServiceEndpoints for Microsoft"):
        place(azure, "storage:StorageAccount")
    with pytest.raises(Refusal, match="do not have ServiceEndpoints for Microsoft"):
        place(azure, "keyvault:Vault")


def test_a_balancers_rule_is_frozen_once_a_scale_set_takes_its_probe_as_health(
    tmp_path: Path,
) -> None:
    azure = build(tmp_path / "azure.db", until="compute:VirtualMachineScaleSet")
    place(azure, "compute:VirtualMachineScaleSet", **NO_HEALTH, **WITH_PROBE)
    place(azure, "network:LoadBalancer", update=True, tags={"a": "b"})
    with pytest.raises(Refusal, match="CannotModifyRuleUsedByProbeUsedByVMSS"):
        place(azure, "network:LoadBalancer", update=True, loadBalancingRules__0__backendPort=444)
    with pytest.raises(Refusal, match="CannotRemoveRuleUsedByProbeUsedByVMSS"):
        place(
            azure,
            "network:LoadBalancer",
            update=True,
            probes=[],
            loadBalancingRules__0__probe=None,
        )


def test_a_collection_rule_must_be_in_its_workspaces_region(azure: Cloud) -> None:
    there: dict[str, Any] = {"location": ELSEWHERE}
    endpoint = "monitor:DataCollectionEndpoint"
    made = place(azure, endpoint, dataCollectionEndpointName="there", **there)
    with pytest.raises(Refusal, match="the workspace is in another region"):
        place(
            azure,
            "monitor:DataCollectionRule",
            dataCollectionRuleName="other",
            dataCollectionEndpointId=made,
            **there,
        )
    azure.delete(made)


def test_an_unknown_table_is_no_matter_when_the_query_is_not_to_be_checked(azure: Cloud) -> None:
    query = NEWEST.replace("Usage_CL", "Later_CL")
    place(
        azure,
        "monitor:ScheduledQueryRule",
        update=True,
        skipQueryValidation=True,
        **dict[str, Any]({QUERY: query}),
    )


@pytest.mark.parametrize(
    ("token", "code", "user"),
    [
        ("network:Subnet", "InUseSubnetCannotBeDeleted", "virtualMachineScaleSets/set"),
        ("network:VirtualNetwork", "InUseSubnetCannotBeDeleted", "virtualMachineScaleSets/set"),
        ("network:PublicIPAddress", "PublicIPAddressCannotBeDeleted", "loadBalancers/balancer"),
        (
            "network:NetworkSecurityGroup",
            "InUseNetworkSecurityGroupCannotBeDeleted",
            "subnets/subnet",
        ),
        (
            "network:LoadBalancer",
            "LoadBalancerInUseByVirtualMachineScaleSet",
            "virtualMachineScaleSets/set",
        ),
        ("storage:StorageAccount", "ScopeLocked", "storageAccounts/pointabcdef"),
        ("resources:ResourceGroup", "ScopeLocked", "storageaccounts/pointabcdef"),
        ("keyvault:Secret", "Forbidden", "Client address is not authorized"),
    ],
)
def test_what_others_need_is_not_deleted(azure: Cloud, token: str, code: str, user: str) -> None:
    with pytest.raises(Refusal) as refused:
        azure.delete(id_of(token))
    assert refused.value.code == code
    assert user.lower() in str(refused.value).lower()
    assert azure.get(id_of(token))


def test_a_read_only_lock_forbids_changes_too(tmp_path: Path) -> None:
    azure = build(tmp_path / "azure.db")
    lock = "authorization:ManagementLockByScope"
    place(azure, lock, update=True, level="ReadOnly")
    with pytest.raises(Refusal, match="cannot perform write operation"):
        place(azure, "storage:StorageAccount", update=True)
    azure.delete(id_of(lock))
    place(azure, "storage:StorageAccount", update=True)


def test_a_pool_in_use_is_named_in_the_refusal(azure: Cloud) -> None:
    with pytest.raises(Refusal, match="child resources pool are in use"):
        azure.delete(BALANCER)
    assert azure.exists(POOL["id"])


def test_azure_has_the_regions_and_zones_that_the_settings_know() -> None:
    known = {region: zones for cloud in REGIONS.values() for region, zones in cloud.items()}
    assert {region for region, zones in known.items() if zones} == ZONED
    assert {region for region, zones in known.items() if not zones} == UNZONED
