"""What ought to run, read from the control plane's database: rows in, plain values out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from components.clouds import CLOUDS
from sandbox.dataplane import watch
from sandbox.dataplane.network import Network
from sandbox.dataplane.vault import VaultSecret
from sandbox.dataplane.watch import AlertRule, Intake, Receivers
from sandbox.provider.checks import value, values
from sandbox.provider.cloud import Cloud

PROFILE = "virtualMachineProfile"
IP_CONFIGURATIONS = f"{PROFILE}.networkProfile.networkInterfaceConfigurations[].ipConfigurations[]"
# Types of records: where a record set has them, and the field that is their data.
RECORDS = {
    "A": ("aRecords[].ipv4Address", "{}"),
    "AAAA": ("aaaaRecords[].ipv6Address", "{}"),
    "CNAME": ("cnameRecord.cname", "{}."),
    "NS": ("nsRecords[].nsdname", "{}."),
    "TXT": ("txtRecords[].value[]", '"{}"'),
}
AZURE_TTL = 60


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A role that a principal has on a scope; ids in lower case."""

    scope: str
    role: str
    principal: str


@dataclass(frozen=True, kw_only=True)
class Health:
    """How the health extension asks an instance, and how long it waits for a new one (seconds)."""

    port: int
    path: str
    grace: float


@dataclass(frozen=True, kw_only=True)
class ScaleSet:
    """A scale set's model, as far as it says what runs."""

    id: str
    capacity: int
    script: str = field(repr=False)
    """What the Custom Script extension runs: gzip in base64."""
    health: Health | None
    batch_percent: int
    """How many instances change at once."""
    principals: Mapping[str, str] = field(hash=False)
    """Object id of each of its identities, by client id."""
    pools: frozenset[str]
    """Pools of balancers that its instances are in, ids in lower case."""

    @property
    def name(self) -> str:
        """Its own name."""
        return self.id.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One balancing rule of a balancer."""

    balancer: str
    """Id in lower case."""
    address: str
    port: int
    pool: str
    """Id in lower case."""
    backend_port: int
    probe_port: int
    probe_path: str
    probe_threshold: int
    idle_minutes: int


@dataclass(frozen=True, kw_only=True)
class Desired:
    """All of it."""

    accounts: Mapping[str, str]
    """Id (lower case) of each storage account, by the host name of its blob service."""
    containers: frozenset[tuple[str, str]]
    """Account and container."""
    vaults: Mapping[str, str]
    """Id (lower case) of each vault, by its host name."""
    secrets: Mapping[tuple[str, str], VaultSecret]
    """By vault and name."""
    grants: frozenset[Grant]
    sets: Mapping[str, ScaleSet]
    """By id in lower case."""
    rules: tuple[Rule, ...]
    zones: Mapping[str, tuple[str, ...]]
    """Lines of each DNS zone."""
    intakes: Mapping[str, Intake]
    """Data collection rules, by immutable id."""
    tables: frozenset[str]
    """Ids of the tables that rows may go to, in lower case."""
    alert_rules: tuple[AlertRule, ...]
    """Those that are on."""
    known_rules: frozenset[str]
    """Ids of all alert rules, in lower case."""
    receivers: Mapping[str, Receivers]
    """Who is told, by id of the action group in lower case."""

    def permits(self, principal: str, scope: str, roles: frozenset[str]) -> bool:
        """Whether a principal has one of the roles on a scope or on what that lies in."""
        return any(
            grant.principal == principal.lower()
            and grant.role in roles
            and f"{scope.lower()}/".startswith(f"{grant.scope}/")
            for grant in self.grants
        )


def read(cloud: Cloud, network: Network) -> Desired:
    """Read what the control plane has now."""
    accounts = {
        _host(value(body, "primaryEndpoints.blob")): each.lower()
        for each, body in cloud.all("storage:StorageAccount")
    }
    vaults = {
        _host(value(body, "properties.vaultUri")): each.lower()
        for each, body in cloud.all("keyvault:Vault")
    }
    return Desired(
        accounts=accounts,
        containers=frozenset(
            (body["accountName"], body["containerName"])
            for _, body in cloud.all("storage:BlobContainer")
        ),
        vaults=vaults,
        secrets={
            (body["vaultName"].lower(), body["secretName"].lower()): VaultSecret(
                str(value(body, "properties.value", "")),
                str(value(body, "properties.contentType", "")),
            )
            for _, body in cloud.all("keyvault:Secret")
        },
        grants=frozenset(
            Grant(
                scope=f"/{body['scope'].strip('/')}".lower(),
                role=body["roleDefinitionId"].rpartition("/")[2].lower(),
                principal=body["principalId"].lower(),
            )
            for _, body in cloud.all("authorization:RoleAssignment")
        ),
        sets={
            each.lower(): _scale_set(cloud, each, body)
            for each, body in cloud.all("compute:VirtualMachineScaleSet")
        },
        rules=tuple(
            rule
            for each, body in cloud.all("network:LoadBalancer")
            for rule in _rules(cloud, each, body)
        ),
        zones=_zones(
            cloud,
            dict.fromkeys(accounts, network.storage) | dict.fromkeys(vaults, network.vault),
        ),
        intakes=watch.intakes(cloud),
        tables=watch.tables(cloud),
        alert_rules=watch.alert_rules(cloud),
        known_rules=watch.known_rules(cloud),
        receivers=watch.receivers(cloud),
    )


def _scale_set(cloud: Cloud, resource_id: str, body: Mapping[str, Any]) -> ScaleSet:
    extensions = {
        each["type"]: each for each in values(body, f"{PROFILE}.extensionProfile.extensions[]")
    }
    health = extensions.get("ApplicationHealthLinux", {}).get("settings")
    identities = [cloud.get(each) for each in values(body, "identity.userAssignedIdentities[]")]
    return ScaleSet(
        id=resource_id,
        capacity=int(value(body, "sku.capacity", 0)),
        script=value(extensions.get("CustomScript"), "settings.script", ""),
        health=Health(
            port=int(health["port"]),
            path=health["requestPath"],
            grace=float(health.get("gracePeriod", 0)),
        )
        if health
        else None,
        batch_percent=int(
            value(body, "upgradePolicy.rollingUpgradePolicy.maxBatchInstancePercent", 20)
        ),
        principals={each[2]["clientId"]: each[2]["principalId"] for each in identities if each},
        pools=frozenset(
            each.lower()
            for each in values(body, f"{IP_CONFIGURATIONS}.loadBalancerBackendAddressPools[].id")
        ),
    )


def _rules(cloud: Cloud, balancer: str, body: Mapping[str, Any]) -> Iterator[Rule]:
    fronts = {
        f"{balancer}/frontendIPConfigurations/{each['name']}".lower(): cloud.get(
            value(each, "publicIPAddress.id", "")
        )
        for each in values(body, "frontendIPConfigurations[]")
    }
    probes = {f"{balancer}/probes/{each['name']}".lower(): each for each in body.get("probes", ())}
    for rule in values(body, "loadBalancingRules[]"):
        front = fronts.get(value(rule, "frontendIPConfiguration.id", "").lower())
        probe = probes.get(value(rule, "probe.id", "").lower())
        for pool in values(rule, "backendAddressPools[].id"):
            if front and probe:
                yield Rule(
                    balancer=balancer.lower(),
                    address=front[2]["ipAddress"],
                    port=int(rule["frontendPort"]),
                    pool=pool.lower(),
                    backend_port=int(rule["backendPort"]),
                    probe_port=int(probe["port"]),
                    probe_path=probe.get("requestPath", "/"),
                    probe_threshold=int(probe.get("probeThreshold", 1)),
                    idle_minutes=int(rule.get("idleTimeoutInMinutes", 4)),
                )


def _zones(cloud: Cloud, addresses: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The zones of Azure itself, in which all that is not there does not exist, and the stack's."""
    azure: dict[str, list[str]] = {}
    for each in CLOUDS.values():
        for zone in (f"blob.{each.storage_suffix}", each.vault_suffix, each.vm_dns_suffix):
            azure[zone] = []
    virtual = {
        value(body, "dnsSettings.fqdn"): body["ipAddress"]
        for _, body in cloud.all("network:PublicIPAddress")
    }
    for host, address in {**addresses, **virtual}.items():
        for zone, lines in azure.items():
            if host and host.endswith(f".{zone}"):
                lines.append(f"{host}. {AZURE_TTL} A {address}")
    own: dict[str, list[str]] = {body["zoneName"]: [] for _, body in cloud.all("dns:Zone")}
    for _, body in cloud.all("dns:RecordSet"):
        path, form = RECORDS.get(body["recordType"].upper(), ("", ""))
        own.setdefault(body["zoneName"], []).extend(
            f"{body['relativeRecordSetName']} {body.get('ttl', 3600)}"
            f" {body['recordType'].upper()} {form.format(str(each).rstrip('.'))}"
            for each in (values(body, path) if path else ())
        )
    return {zone: tuple(sorted(lines)) for zone, lines in {**azure, **own}.items()}


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()
