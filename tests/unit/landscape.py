"""One resource of each type that the sandbox's Azure knows, in an order in which they can be made.

Each is as Azure takes it: a test changes one thing, and so knows what the refusal is about.
"""

from __future__ import annotations

import base64
import copy
import gzip
import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.provider.cloud import Cloud, identify
from sandbox.provider.rules import CLOUDS, RULES, SUBSCRIPTION, TENANT

PUBLIC = CLOUDS["public"]
REGION = "westeurope"
SCOPE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group"
NETWORKS = f"{SCOPE}/providers/Microsoft.Network"
SUBNET = f"{NETWORKS}/virtualNetworks/network/subnets/subnet"
BALANCER = f"{NETWORKS}/loadBalancers/balancer"
FRONTEND = {"id": f"{BALANCER}/frontendIPConfigurations/front"}
POOL = {"id": f"{BALANCER}/backendAddressPools/pool"}
PROBE = {"id": f"{BALANCER}/probes/probe"}
WORKSPACE = f"{SCOPE}/providers/Microsoft.OperationalInsights/workspaces/logs-abcdef"
ROLES = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
BLOB_READER = f"{ROLES}/2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
ASSIGNMENT = "11111111-1111-4111-8111-111111111111"
PERSON = "22222222-2222-4222-8222-222222222222"
SCRIPT = base64.b64encode(gzip.compress(b"#!/bin/sh\n", mtime=0)).decode()
# A key whose private half does not exist: the numbers are no secret.
_ED25519 = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + bytes(32)
SSH_KEY = f"ssh-ed25519 {base64.b64encode(_ED25519).decode()}"
NEWEST = "Usage_CL | where isnotnull(Bytes) | summarize arg_max(TimeGenerated, *) | project Bytes"
TABLE = {
    "name": "Usage_CL",
    "columns": [{"name": "TimeGenerated", "type": "dateTime"}, {"name": "Bytes", "type": "long"}],
}

_SCALE_SET = {
    "vmScaleSetName": "set",
    "orchestrationMode": "Uniform",
    "sku": {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": 2},
    "identity": {
        "type": "UserAssigned",
        "userAssignedIdentities": [
            f"{SCOPE}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/identity"
        ],
    },
    "upgradePolicy": {"mode": "Rolling", "rollingUpgradePolicy": {"maxBatchInstancePercent": 20}},
    "automaticRepairsPolicy": {"enabled": True, "gracePeriod": "PT30M"},
    "virtualMachineProfile": {
        "securityProfile": {"securityType": "TrustedLaunch"},
        "osProfile": {
            "computerNamePrefix": "set",
            "adminUsername": "operator",
            "customData": base64.b64encode(b"x").decode(),
            "linuxConfiguration": {
                "ssh": {
                    "publicKeys": [
                        {"path": "/home/operator/.ssh/authorized_keys", "keyData": SSH_KEY}
                    ]
                }
            },
        },
        "storageProfile": {
            "imageReference": {
                "publisher": "Canonical",
                "offer": "ubuntu-24_04-lts",
                "sku": "server",
                "version": "latest",
            }
        },
        "networkProfile": {
            "networkInterfaceConfigurations": [
                {
                    "name": "nic",
                    "primary": True,
                    "ipConfigurations": [
                        {
                            "name": "ip",
                            "subnet": {"id": SUBNET},
                            "loadBalancerBackendAddressPools": [POOL],
                        }
                    ],
                }
            ]
        },
        "extensionProfile": {
            "extensions": [
                {
                    "name": "install",
                    "publisher": "Microsoft.Azure.Extensions",
                    "type": "CustomScript",
                    "typeHandlerVersion": "2.1",
                    "settings": {},
                    "protectedSettings": {"script": SCRIPT},
                },
                {
                    "name": "health",
                    "publisher": "Microsoft.ManagedServices",
                    "type": "ApplicationHealthLinux",
                    "typeHandlerVersion": "2.0",
                    "provisionAfterExtensions": ["install"],
                    "settings": {"protocol": "https", "port": 443, "requestPath": "/healthz"},
                },
            ]
        },
    },
}

# By type; "resourceGroupName" and "location" are added where the type has them.
LANDSCAPE: dict[str, dict[str, Any]] = {
    "resources:ResourceGroup": {},
    "managedidentity:UserAssignedIdentity": {"resourceName": "identity"},
    "network:NetworkSecurityGroup": {
        "networkSecurityGroupName": "filter",
        "securityRules": [
            {
                "name": f"rule-{direction}",
                "priority": 100,
                "direction": direction,
                "access": "Allow",
                "protocol": "Tcp",
                "sourceAddressPrefix": "*",
                "sourcePortRange": "*",
                "destinationAddressPrefix": "*",
                "destinationPortRange": "443",
            }
            for direction in ("Inbound", "Outbound")
        ],
    },
    "network:VirtualNetwork": {
        "virtualNetworkName": "network",
        "addressSpace": {"addressPrefixes": ["10.0.0.0/24"]},
    },
    "network:Subnet": {
        "virtualNetworkName": "network",
        "subnetName": "subnet",
        "addressPrefix": "10.0.0.0/25",
        "networkSecurityGroup": {"id": f"{NETWORKS}/networkSecurityGroups/filter"},
        "serviceEndpoints": [{"service": "Microsoft.Storage"}, {"service": "Microsoft.KeyVault"}],
    },
    "network:PublicIPAddress": {
        "publicIpAddressName": "address",
        "sku": {"name": "Standard"},
        "publicIPAllocationMethod": "Static",
        "dnsSettings": {"domainNameLabel": "point"},
    },
    "network:LoadBalancer": {
        "loadBalancerName": "balancer",
        "sku": {"name": "Standard"},
        "frontendIPConfigurations": [
            {"name": "front", "publicIPAddress": {"id": f"{NETWORKS}/publicIPAddresses/address"}}
        ],
        "backendAddressPools": [{"name": "pool"}],
        "probes": [
            {
                "name": "probe",
                "protocol": "Https",
                "port": 443,
                "requestPath": "/readyz",
                "intervalInSeconds": 5,
            }
        ],
        "loadBalancingRules": [
            {
                "name": "serve",
                "protocol": "Tcp",
                "frontendPort": 443,
                "backendPort": 443,
                "frontendIPConfiguration": FRONTEND,
                "backendAddressPool": POOL,
                "probe": PROBE,
                "disableOutboundSnat": True,
            }
        ],
        "outboundRules": [
            {
                "name": "out",
                "protocol": "All",
                "frontendIPConfigurations": [FRONTEND],
                "backendAddressPool": POOL,
                "allocatedOutboundPorts": 3992,
            }
        ],
    },
    "compute:VirtualMachineScaleSet": _SCALE_SET,
    "storage:StorageAccount": {
        "accountName": "pointabcdef",
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS"},
        "allowBlobPublicAccess": False,
        "networkRuleSet": {
            "defaultAction": "Deny",
            "virtualNetworkRules": [{"virtualNetworkResourceId": SUBNET}],
            "ipRules": [{"iPAddressOrRange": "203.0.113.7"}],
        },
    },
    "storage:BlobServiceProperties": {
        "accountName": "pointabcdef",
        "blobServicesName": "default",
        "deleteRetentionPolicy": {"enabled": True, "days": 7},
    },
    "storage:BlobContainer": {"accountName": "pointabcdef", "containerName": "content"},
    "storage:ManagementPolicy": {
        "accountName": "pointabcdef",
        "managementPolicyName": "default",
        "policy": {"rules": []},
    },
    "operationalinsights:Workspace": {
        "workspaceName": "logs-abcdef",
        "sku": {"name": "PerGB2018"},
        "retentionInDays": 30,
    },
    "operationalinsights:Table": {
        "workspaceName": "logs-abcdef",
        "tableName": "Usage_CL",
        "schema": TABLE,
    },
    "monitor:DataCollectionEndpoint": {"dataCollectionEndpointName": "endpoint"},
    "monitor:DataCollectionRule": {
        "dataCollectionRuleName": "rule",
        "dataCollectionEndpointId": (
            f"{SCOPE}/providers/Microsoft.Insights/dataCollectionEndpoints/endpoint"
        ),
        "streamDeclarations": {
            "Custom-Usage_CL": {
                "columns": [
                    {"name": "TimeGenerated", "type": "datetime"},
                    {"name": "Bytes", "type": "long"},
                ]
            }
        },
        "destinations": {"logAnalytics": [{"name": "workspace", "workspaceResourceId": WORKSPACE}]},
        "dataFlows": [
            {
                "streams": ["Custom-Usage_CL"],
                "destinations": ["workspace"],
                "outputStream": "Custom-Usage_CL",
                "transformKql": "source",
            }
        ],
    },
    "keyvault:Vault": {
        "vaultName": "point-abcdef",
        "properties": {
            "tenantId": TENANT,
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
            "softDeleteRetentionInDays": 7,
            "networkAcls": {"defaultAction": "Deny", "virtualNetworkRules": [{"id": SUBNET}]},
        },
    },
    "keyvault:Secret": {
        "vaultName": "point-abcdef",
        "secretName": "certificate",
        "properties": {"value": "hush", "contentType": "application/x-pem-file"},
    },
    "authorization:RoleAssignment": {
        "roleAssignmentName": ASSIGNMENT,
        "principalId": PERSON,
        "principalType": "User",
        "roleDefinitionId": BLOB_READER,
        "scope": f"{SCOPE}/providers/Microsoft.Storage/storageAccounts/pointabcdef",
    },
    "monitor:ActionGroup": {
        "actionGroupName": "receivers",
        "groupShortName": "point",
        "enabled": True,
        "location": "global",
        "emailReceivers": [{"name": "team", "emailAddress": "team@contoso.example"}],
        "webhookReceivers": [{"name": "hook", "serviceUri": "https://hook.contoso.example/"}],
    },
    "monitor:MetricAlert": {
        "ruleName": "storage-warning",
        "location": "global",
        "enabled": True,
        "severity": 2,
        "evaluationFrequency": "PT1H",
        "windowSize": "PT6H",
        "scopes": [f"{SCOPE}/providers/Microsoft.Storage/storageAccounts/pointabcdef"],
        "criteria": {
            "odataType": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
            "allOf": [
                {
                    "name": "used",
                    "criterionType": "StaticThresholdCriterion",
                    "metricName": "UsedCapacity",
                    "timeAggregation": "Average",
                    "operator": "GreaterThan",
                    "threshold": 1000,
                }
            ],
        },
        "actions": [
            {
                "actionGroupId": f"{SCOPE}/providers/Microsoft.Insights/actionGroups/receivers",
            }
        ],
    },
    "monitor:ScheduledQueryRule": {
        "ruleName": "transfer-warning",
        "severity": 2,
        "scopes": [WORKSPACE],
        "evaluationFrequency": "PT5M",
        "windowSize": "PT1H",
        "autoMitigate": True,
        "criteria": {
            "allOf": [
                {
                    "query": NEWEST,
                    "metricMeasureColumn": "Bytes",
                    "timeAggregation": "Maximum",
                    "operator": "GreaterThan",
                    "threshold": 1,
                    "failingPeriods": {
                        "numberOfEvaluationPeriods": 1,
                        "minFailingPeriodsToAlert": 1,
                    },
                }
            ]
        },
    },
    "monitor:DiagnosticSetting": {
        "name": "to-logs",
        "resourceUri": f"{NETWORKS}/loadBalancers/balancer",
        "workspaceId": WORKSPACE,
    },
    "applicationinsights:Workbook": {
        "resourceName": "33333333-3333-4333-8333-333333333333",
        "displayName": "Use",
        "category": "workbook",
        "serializedData": "{}",
    },
    "consumption:Budget": {
        "budgetName": "budget",
        "scope": SCOPE,
        "amount": 100,
        "category": "Cost",
        "timeGrain": "Monthly",
        "timePeriod": {"startDate": f"{datetime.now(UTC):%Y-%m}-01T00:00:00Z"},
        "notifications": {
            "warning": {
                "enabled": True,
                "operator": "GreaterThan",
                "threshold": 50,
                "contactEmails": ["team@contoso.example"],
            }
        },
    },
    "dns:Zone": {"zoneName": "point.example", "location": "global"},
    "dns:RecordSet": {
        "zoneName": "point.example",
        "recordType": "CNAME",
        "relativeRecordSetName": "dp",
        "ttl": 300,
        "cnameRecord": {"cname": "point.westeurope.cloudapp.azure.com"},
    },
    "authorization:ManagementLockByScope": {
        "lockName": "keep",
        "level": "CanNotDelete",
        "scope": f"{SCOPE}/providers/Microsoft.Storage/storageAccounts/pointabcdef",
    },
}
# The ARM types whose API has no region of its own.
_PLACELESS = (
    "network:Subnet", "storage:BlobServiceProperties", "storage:BlobContainer",
    "storage:ManagementPolicy", "operationalinsights:Table", "keyvault:Secret", "dns:RecordSet",
    "authorization:RoleAssignment", "authorization:ManagementLockByScope", "consumption:Budget",
    "monitor:DiagnosticSetting",
)  # fmt: skip


def inputs(token: str, **changed: Any) -> dict[str, Any]:
    """The inputs of the landscape's resource of a type.

    Args:
        token: Such as "network:Subnet".
        **changed: Values by path, with two underscores for each dot and numbers for places in a
            list: `securityRules__0__priority=99`; None takes the key away.
    """
    result = copy.deepcopy(LANDSCAPE[token])
    if "{resourceGroupName}" in RULES[token].path:
        result["resourceGroupName"] = "group"
    if token not in _PLACELESS:
        result.setdefault("location", REGION)
    for path, value in changed.items():
        *steps, last = path.split("__")
        holder: Any = result
        for step in steps:
            holder = holder[int(step)] if step.isdigit() else holder.setdefault(step, {})
        place_in = int(last) if last.isdigit() else last
        if value is None:
            del holder[place_in]
        else:
            holder[place_in] = value
    return result


def id_of(token: str, **changed: Any) -> str:
    """The id that such a resource has."""
    return identify(RULES[token], inputs(token, **changed), SUBSCRIPTION)


def build(path: Path, *, until: str = "") -> Cloud:
    """A new Azure with the landscape in it, all of it or what stands before a type."""
    cloud = Cloud(path)
    for token in itertools.takewhile(lambda each: each != until, LANDSCAPE):
        cloud.put(token, inputs(token), PUBLIC)
    return cloud


def place(cloud: Cloud, token: str, *, update: bool = False, **changed: Any) -> str:
    """Creates (or updates) the landscape's resource of a type, changed, and returns its id."""
    return cloud.put(token, inputs(token, **changed), PUBLIC, update=update)[0]
