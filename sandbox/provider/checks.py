"""What Azure checks beyond names, references and fixed properties; one function for each type.

Codes and texts are Azure's where a public source has them (Microsoft Learn, the specs' examples,
issue threads that quote replies); those marked UNSURE are worded after the documented rule.
"""

# ruff: noqa: S105 (a type token is no password)
# Laid out by hand: one fact to as few lines as can be read.
# fmt: off
from __future__ import annotations

import base64
import binascii
import gzip
import ipaddress
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .rules import ADMINISTRATORS_REFUSED, IMAGES, METRICS, QUERIES, ROLES, SIZES, ZONED

if TYPE_CHECKING:
    from .cloud import Cloud, Put

Check = Callable[["Put"], None]
CHECKS: dict[str, Check] = {}


def _check(token: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CHECKS[token] = check
        return check

    return register


# Paths and small values


def values(obj: Any, path: str) -> Iterator[Any]:
    """All that stands at a path such as "subnets[].id", without what is absent."""
    if obj is None:
        return
    if not path:
        yield obj
        return
    step, _, rest = path.partition(".")
    if step == "[]":
        for item in obj.values() if isinstance(obj, dict) else obj:
            yield from values(item, rest)
    elif step.endswith("[]"):
        tail = f"[].{rest}" if rest else "[]"
        yield from values(obj.get(step[:-2]) if isinstance(obj, dict) else None, tail)
    elif isinstance(obj, dict):
        yield from values(obj.get(step), rest)


def value(obj: Any, path: str, default: Any = None) -> Any:
    """The first value at a path."""
    return next(values(obj, path), default)


def minutes(duration: str) -> float:
    """An ISO 8601 duration ("PT1H30M", "P1D") in minutes; -1 when it is none."""
    match = re.fullmatch(
        r"P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", str(duration))
    if match is None:
        return -1
    days, hours, mins, seconds = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + mins + seconds / 60


def _twice(names: Iterable[Any]) -> list[str]:
    return [name for name, count in Counter(str(n).lower() for n in names).items() if count > 1]


def _network(put: Put, prefix: str, code: str, text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(prefix)
    except ValueError:
        put.refuse(code, text)


# Every type


def common(put: Put) -> None:
    """Tags and zones (Microsoft Learn azure-resource-manager/management/tag-resources)."""
    tags = put.new.get("tags") or {}
    limit, longest = (15, 256) if put.token == "keyvault:Secret" else (50, 512)
    longest = 128 if put.token == "storage:StorageAccount" else longest
    put.need(len(tags) <= limit, "TooManyTags",  # UNSURE: code
             f"The resource has {len(tags)} tags, and at most {limit} are allowed.")
    for name, text in tags.items():
        put.need(len(name) <= longest and len(text) <= 256, "TagTooLong",  # UNSURE: code
            f"The tag '{name[:40]}' is too long: names may have {longest} characters, values 256."
            )
        put.need(not re.search(r"[<>%&\\?/\x00-\x1f]", name), "InvalidTagNameCharacters",
                 f"The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control"
                 " characters.")
    zones = put.new.get("zones")
    if zones and not (put.location in ZONED and set(zones) <= {"1", "2", "3"}):
        put.refuse("AvailabilityZoneNotSupported",
                   f"The zone(s) '{','.join(zones)}' for resource '{put.name}' is not supported."
                   f" The supported zones for location '{put.location}' are"
                   f" '{'1,2,3' if put.location in ZONED else ''}'")


def deletable(cloud: Cloud, resource_id: str, body: dict[str, Any] | None) -> None:
    """A secret is deleted through the vault's own address, so the vault's firewall has a say.

    pulumi-azure-native provider/pkg/resources/customresources/custom_keyvault.go.
    """
    match = re.fullmatch(r"(.+/vaults/([^/]+))/secrets/[^/]+", resource_id, re.I)
    if match is None:
        return
    vault = cloud.get(match.group(1))
    if vault is None:
        cloud.refuse("", f"dial tcp: lookup {match.group(2)}.vault.azure.net: no such host", 0)
    elif body and (value(vault[2], "properties.networkAcls.defaultAction") == "Deny"
                   or value(vault[2], "properties.publicNetworkAccess") == "Disabled"):
        cloud.refuse("Forbidden",
                     "Client address is not authorized and caller is not a trusted service."
                     f" Vault: {match.group(2)};location={vault[2].get('location')}", 403)


# Network


def _ranges(put: Put, subnet: dict[str, Any]) -> list[ipaddress.IPv4Network]:
    prefixes = subnet.get("addressPrefixes") or [subnet.get("addressPrefix")]
    text = f"Subnet '{subnet.get('name')}' has an address prefix that is not a network:"
    return [_network(put, str(p), "InvalidCIDRNotation", f"{text} '{p}'.") for p in prefixes]


def _subnets(put: Put, network: dict[str, Any], subnets: dict[str, dict[str, Any]]) -> None:
    spaces = [_network(put, p, "InvalidAddressPrefixFormat", f"Address prefix {p} is not valid.")
              for p in values(network, "addressSpace.addressPrefixes[]")]
    taken: list[tuple[str, ipaddress.IPv4Network]] = []
    for name, subnet in subnets.items():
        for own in _ranges(put, {**subnet, "name": name}):
            put.need(any(own.subnet_of(space) for space in spaces), "NetcfgInvalidSubnet",
                     f"Subnet '{name}' is not valid in virtual network.")
            put.need(not any(own.overlaps(other) for _, other in taken),
                     "NetcfgSubnetRangesOverlap",
                     f"Subnet '{name}' is not valid because its IP address range overlaps with that"
                     " of an existing subnet in virtual network.")
            taken.append((name, own))


@_check("network:VirtualNetwork")
def _virtual_network(put: Put) -> None:
    put.need(bool(value(put.new, "addressSpace.addressPrefixes")), "InvalidRequestFormat",
             "A virtual network needs at least one address prefix in addressSpace.")
    if "subnets" in put.new:
        names = list(values(put.new, "subnets[].name"))
        put.need(not _twice(names), "InvalidRequestFormat", "Subnet names must be unique.")
        _subnets(put, put.new, {str(s.get("name")): s for s in put.new["subnets"]})
    else:
        below = put.cloud.all("network:Subnet", put.id)
        _subnets(put, put.new, {each.rpartition("/")[2]: subnet for each, subnet in below})


@_check("network:Subnet")
def _subnet(put: Put) -> None:
    network = put.id.rsplit("/", 2)[0]
    found = put.cloud.get(network)
    others = {each.rpartition("/")[2]: s for each, s in put.cloud.all("network:Subnet", network)}
    _subnets(put, found[2] if found else {}, {**others, put.name: put.new})


@_check("network:NetworkSecurityGroup")
def _security_group(put: Put) -> None:
    seen: dict[tuple[Any, Any], str] = {}
    for rule in put.new.get("securityRules") or ():
        name, priority = str(rule.get("name")), rule.get("priority")
        put.need(isinstance(priority, int) and 100 <= priority <= 4096,
                 "SecurityRuleInvalidPriority",
                 f"Security rule {name} has invalid Priority {priority}. Value should be between"
                 " 100 and 4096.")
        put.need(len(rule.get("description") or "") <= 140, "SecurityRuleInvalidDescription",
                 f"Security rule {name} has a description of more than 140 characters.")  # UNSURE
        other = seen.setdefault((priority, rule.get("direction")), name)
        put.need(other == name, "SecurityRuleConflict",
                 f"Security rule {name} conflicts with rule {other}. Rules cannot have the same"
                 f" Priority and Direction. Value provided: {priority}.")
        for port in filter(
            None, (rule.get("destinationPortRange"), *(rule.get("destinationPortRanges") or ()))):
            low, _, high = str(port).partition("-")
            put.need(port == "*" or (low.isdigit() and (high or low).isdigit()
                                     and int(low) <= int(high or low) <= 65535),
                     "SecurityRuleInvalidPortRange",
                     f"Security rule has invalid Port range. Value provided: {port}. Value should"
                     " be an integer OR integer range with '-' delimiter. Valid range 0-65535.")


@_check("network:PublicIPAddress")
def _public_ip(put: Put) -> None:
    standard = value(put.new, "sku.name", "Basic") == "Standard"
    # Retired 2025-09-30 (Azure updates, "Basic SKU public IPs").
    put.need(standard, "IPv4BasicSkuPublicIpCountLimitReached",
             "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription"
             " in this region.")
    put.need(put.new.get("publicIPAllocationMethod") == "Static",
             "StandardSkuPublicIPAddressMustHaveStaticAllocation",  # UNSURE: code
             f"Standard sku publicIp {put.id} must have AllocationMethod set to Static.")
    label = value(put.new, "dnsSettings.domainNameLabel")
    if label is not None:
        put.need(bool(re.fullmatch(r"[a-z][a-z0-9-]{1,61}[a-z0-9]", label)),
                 "InvalidDomainNameLabel",
                 f"The domain name label {label} is invalid. It must conform to the following"
                 " regular expression: ^[a-z][a-z0-9-]{1,61}[a-z0-9]$.")
        words = ("microsoft", "windows", "azure", "xbox", "login", "bing", "skype", "hotmail")
        put.need(not any(word in label for word in words), "DomainNameLabelReserved",
                 f"The domain name label {label} is reserved and cannot be used.")
        fqdn = f"{label}.{put.location}.{put.suffixes['vm']}"
        put.extra["dnsSettings"] = {**put.new["dnsSettings"], "fqdn": fqdn}
    used = {body.get("ipAddress") for _, body in put.cloud.all("network:PublicIPAddress")}
    prefix = put.cloud.setting("virtual_ips", "203.0.113.")
    free = (f"{prefix}{n}" for n in range(10, 250))
    put.extra["ipAddress"] = (put.old or {}).get("ipAddress") or next(
        (address for address in free if address not in used), f"{prefix}250")
    put.extra["idleTimeoutInMinutes"] = put.new.get("idleTimeoutInMinutes", 4)


# Codes: MicrosoftDocs/azure-docs load-balancer/load-balancer-common-deployment-errors.md.
_PORTS = "SpecifiedAllocatedOutboundPortsForOutboundRule"


@_check("network:LoadBalancer")
def _load_balancer(put: Put) -> None:
    sku = value(put.new, "sku.name", "Basic")
    put.need(sku != "Basic", "BasicSkuLoadBalancerCreationNotAllowed",  # UNSURE: code
             "Basic SKU load balancers are retired: use the Standard SKU.")
    for address in values(put.new, "frontendIPConfigurations[].publicIPAddress.id"):
        found = put.cloud.get(address)
        theirs = value(found[2], "sku.name", "Basic") if found else sku
        put.need(theirs == sku, "PublicIPAndLBSkuDoNotMatch",
            f"{sku} sku load balancer {put.id} cannot reference {theirs} sku publicIP {address}.")
    for kind in ("frontendIPConfigurations", "backendAddressPools", "loadBalancingRules",
                 "probes", "outboundRules"):
        twice = _twice(values(put.new, f"{kind}[].name"))
        put.need(not twice, "DuplicateResourceName",
                 f"Resource {put.id} has two child resources with the same name ({twice}).")
    for frontend in put.new.get("frontendIPConfigurations") or ():
        put.need("publicIPAddress" in frontend or "subnet" in frontend,
                 "FrontendIPConfigurationMustHaveSubnetOrPublicIP",  # UNSURE: code
                 f"Frontend IP configuration {frontend.get('name')} needs a subnet or a public IP."
                 )
    for probe in put.new.get("probes") or ():
        _probe(put, probe)
    outbound = [
        str(i).lower() for i in values(put.new, "outboundRules[].frontendIPConfigurations[].id")]
    for rule in put.new.get("loadBalancingRules") or ():
        frontend = str(value(rule, "frontendIPConfiguration.id", "")).lower()
        put.need(frontend not in outbound or rule.get("disableOutboundSnat") is True,
                 "LoadBalancingRuleMustDisableSNATSinceSameFrontendIPConfigurationIs"
                 "ReferencedByOutboundRule",
                 f"Load balancing rule {put.id}/loadBalancingRules/{rule.get('name')} must disable"
                 " SNAT since same frontend IP configuration is referenced by outbound rule.")
        _within(put, rule, "idleTimeoutInMinutes", 4, 100)
        _within(put, rule, "frontendPort", 0, 65534)
        _within(put, rule, "backendPort", 0, 65535)
    for rule in put.new.get("outboundRules") or ():
        _within(put, rule, "idleTimeoutInMinutes", 4, 120)
        ports = rule.get("allocatedOutboundPorts") or 0
        put.need(ports % 8 == 0, f"{_PORTS}IsNotAMultipleOfEight",
                 f"The outbound rule {rule.get('name')} allocates {ports} ports; it must be a"
                 " multiple of 8.")
        put.need(0 <= ports <= 64000, f"{_PORTS}ExceedsTotalNumberOfAllowedPortsPerRule",
                 f"The outbound rule {rule.get('name')} allocates {ports} ports; 64000 are allowed."
                 )
    _kept_for_scale_sets(put)


def _within(put: Put, holder: dict[str, Any], name: str, low: int, high: int) -> None:
    number = holder.get(name)
    put.need(number is None or low <= number <= high, "InvalidPropertyValue",  # UNSURE: code
             f"'{name}' of '{holder.get('name')}' is {number}; it must be between {low} and {high}."
             )


def _probe(put: Put, probe: dict[str, Any]) -> None:
    name, protocol = probe.get("name"), str(probe.get("protocol")).lower()
    path = probe.get("requestPath")
    put.need((path is not None) == (protocol in ("http", "https")), "InvalidProbeRequestPath",
             f"Probe {name}: requestPath must be set for Http and Https probes, and only there.")
    _within(put, probe, "intervalInSeconds", 5, 2147483646)
    _within(put, probe, "port", 1, 65535)


def _kept_for_scale_sets(put: Put) -> None:
    """Parts of a balancer that scale sets use can't go; a health probe freezes its rules.

    hashicorp/terraform-provider-azurerm pull request 922.
    """
    if put.old is None:
        return
    for kind in ("backendAddressPools", "probes", "inboundNatPools"):
        kept = {str(name).lower() for name in values(put.new, f"{kind}[].name")}
        for name in {str(n).lower() for n in values(put.old, f"{kind}[].name")} - kept:
            users = put.cloud.users(f"{put.key}/{kind}/{name}")
            put.need(not users, "CannotRemoveRuleUsedByProbeUsedByVMSS" if kind == "probes"
                     else "InUseBackendAddressPoolCannotBeDeleted",  # UNSURE: code
                     f"{kind}/{name} is in use by virtual machine scale set {users[:1]} and cannot"
                     f" be removed from load balancer {put.id}.")
    for rule in put.old.get("loadBalancingRules") or ():
        probe = str(value(rule, "probe.id", "")).lower()
        if (probe and put.cloud.users(probe)
            and rule not in (put.new.get("loadBalancingRules") or ())):
            put.refuse("CannotModifyRuleUsedByProbeUsedByVMSS",
                       f"Load balancing rule {rule.get('name')} cannot be modified because it is"
                       f" used as health probe by VM scale set {put.cloud.users(probe)[0]}.")


# Compute

_EXTENSIONS = "virtualMachineProfile.extensionProfile.extensions[]"
_HEALTH = ("applicationhealthlinux", "applicationhealthwindows")
_POOLS = ("networkProfile.networkInterfaceConfigurations[]"
          ".ipConfigurations[].loadBalancerBackendAddressPools[].id")


@_check("compute:VirtualMachineScaleSet")
def _scale_set(put: Put) -> None:
    capacity = value(put.new, "sku.capacity", 0)
    put.need(0 <= capacity <= 1000, "InvalidParameter",
             f"The value {capacity} of parameter sku.capacity is not between 0 and 1000.")
    profile = value(put.new, "virtualMachineProfile", {})
    pools = list(values(profile, _POOLS))
    _spread(put)
    _way_out(put, pools, capacity)
    _image_and_size(put, profile)
    _login(put, value(profile, "osProfile", {}))
    extensions = list(values(put.new, _EXTENSIONS))
    _extensions(put, extensions)
    healthy = [e for e in extensions if str(e.get("type")).lower() in _HEALTH]
    probe = value(profile, "networkProfile.healthProbe.id")
    put.need(not (healthy and probe), "InvalidParameter",  # UNSURE: text
             "Only one of a load balancer health probe and an application health extension may be"
             " given for the virtual machine scale set.")
    if probe:
        put.need(bool(pools), "CannotUseHealthProbeWithoutLoadBalancing",
                 f"VM scale set {put.id} cannot use probe {probe} as a HealthProbe without load"
                 " balancing rules that reference it and one of its backend pools.")
    _upgrades(put, healthy=bool(healthy or probe))


def _spread(put: Put) -> None:
    """Zones and fault domains of a uniform set.

    MicrosoftDocs/azure-compute-docs virtual-machine-scale-sets-manage-fault-domains.md; ComputeRP
    2024-11-01 virtualMachineScaleSet (zoneBalance).
    """
    zones, domains = put.new.get("zones") or (), put.new.get("platformFaultDomainCount")
    allowed = (1, 5) if zones else (1, 2, 3, 4, 5)
    put.need(domains is None or domains in allowed, "InvalidParameter",  # UNSURE: text
             f"The value {domains} of parameter platformFaultDomainCount is not one of {allowed}.")
    put.need(put.new.get("zoneBalance") is None or len(zones) > 1, "InvalidParameter",
             "zoneBalance can only be set if the scale set has more than one zone.")  # UNSURE: text


def _way_out(put: Put, pools: list[str], capacity: int) -> None:
    """What an outbound rule has is shared by the instances; each balancing rule takes 8 of it.

    MicrosoftDocs/azure-docs load-balancer/load-balancer-outbound-connections.md; the text is of
    Azure/AzLoadBalancerMigration issue 114.
    """
    for pool in pools:
        found = put.cloud.get(pool.rsplit("/", 2)[0])
        balancer = found[2] if found else {}
        for rule in values(balancer, "outboundRules[]"):
            if str(value(rule, "backendAddressPool.id")).lower() != pool.lower():
                continue
            ports = 64000 * len(rule.get("frontendIPConfigurations") or ())
            ports -= 8 * len(balancer.get("loadBalancingRules") or ())
            most = ports // max(capacity, 1) // 8 * 8
            put.need((rule.get("allocatedOutboundPorts") or 0) <= most, f"{_PORTS}"
                     "ExceedsTotalNumberOfAvailablePorts",
                     f"Specified Allocated Outbound Ports {rule.get('allocatedOutboundPorts')} for"
                     f" Outbound Rule {rule.get('name')} exceeds total number of available ports"
                     f" per backend instance of {most} based upon desired pool size. Reduce"
                     " allocated ports or increase number of IP addresses for outbound rule.")


def _image_and_size(put: Put, profile: dict[str, Any]) -> None:
    size = str(value(put.new, "sku.name", ""))
    family = next((row for row in SIZES if re.fullmatch(row[0], size)), None)
    if family is None:
        put.refuse("InvalidParameter",
                   f"The value {size} provided for the VM size is not valid. The valid sizes in the"
                   " current region are: Standard_D2s_v5, Standard_D2ps_v6, Standard_B2s, ...")
    _, architecture, trusted = family
    image = value(profile, "storageProfile.imageReference", {})
    wanted = (image.get("publisher"), image.get("offer"), image.get("sku"))
    known = IMAGES.get(tuple(str(part).lower() for part in wanted))  # type: ignore[arg-type]
    if "id" not in image and known is None:
        put.refuse("PlatformImageNotFound",
                   f"The platform image '{':'.join(map(str, wanted))}:{image.get('version')}' is"
                   " not available. Verify that all fields in the storage profile are correct.",
                   404)
    its_architecture, generation2, listed = known or (architecture, True, True)
    put.need(its_architecture == architecture, "BadRequest",
             f"Cannot create a VM of size '{size}' because this VM size only supports a CPU"
             f" Architecture of '{architecture}', but an image or disk with CPU Architecture"
             f" '{its_architecture}' was given. Please check that the CPU Architecture of the image"
             " or disk is compatible with that of the VM size.")
    if value(profile, "securityProfile.securityType") == "TrustedLaunch":
        put.need(trusted, "BadRequest",
                 f"The VM size '{size}' is not supported for creation of VMs with 'TrustedLaunch'"
                 " security type.")
        put.need(generation2, "BadRequest",
                 "The provided image is not supported for 'TrustedLaunch' security type: only"
                 " Generation 2 images are.")
    automatic = value(put.new, "upgradePolicy.automaticOSUpgradePolicy.enableAutomaticOSUpgrade")
    if automatic:
        put.need(listed, "BadRequest",
                 "Automatic OS Upgrade cannot be enabled on virtualMachineScaleSets configured with"
                 " a Platform Image.")
        put.need(image.get("version") == "latest" or "id" in image, "BadRequest",
                 "Automatic OS Upgrade needs the image version 'latest'.")  # UNSURE: text


def _login(put: Put, profile: dict[str, Any]) -> None:
    put.need(str(profile.get("adminUsername")).lower() not in ADMINISTRATORS_REFUSED,
             "InvalidParameter", "The Admin Username specified is not allowed.")
    put.need(1 <= len(str(profile.get("computerNamePrefix") or "")) <= 15, "InvalidParameter",
             "Computer name prefixes must be 1 to 15 characters long.")
    keys = list(values(profile, "linuxConfiguration.ssh.publicKeys[]"))
    put.need(bool(keys or profile.get("adminPassword")), "InvalidParameter",
             "Authentication using either SSH or by user name and password must be enabled in Linux"
             " profile.")
    home = f"/home/{profile.get('adminUsername')}/.ssh/authorized_keys"
    for key in keys:
        put.need(key.get("path") == home, "InvalidParameter",
                 "Destination path for SSH public keys is currently limited to its default value"
                 f" {home} due to a known issue in Linux provisioning agent.")
        put.need(_is_ssh_key(str(key.get("keyData"))), "InvalidParameter",
                 "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.")
    data = profile.get("customData")
    put.need(data is None or (_decoded(data) is not None and len(data) <= 87380),
             "InvalidParameter", "Custom data in OSProfile must be in Base64 encoding and with a"
             " maximum length of 87380 characters.")


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_ssh_key(text: str) -> bool:
    kind, _, rest = text.strip().partition(" ")
    blob = _decoded(rest.partition(" ")[0]) or b""
    named = blob[4 : 4 + len(kind)] == kind.encode() and len(kind) > 0
    return named and (kind == "ssh-ed25519" or (kind == "ssh-rsa" and len(blob) >= 270))


def _extensions(put: Put, extensions: list[dict[str, Any]]) -> None:
    budget = value(put.new, f"{_EXTENSIONS.rpartition('.')[0]}.extensionsTimeBudget", "PT1H30M")
    put.need(15 <= minutes(budget) <= 120, "InvalidParameter",  # UNSURE: text
             f"The value '{budget}' of extensionsTimeBudget is not between 15 and 120 minutes.")
    names = [str(e.get("name")) for e in extensions]
    put.need(not _twice(names), "InvalidParameter", "Extension names must be unique.")
    waits = {str(e.get("name")): list(e.get("provisionAfterExtensions") or ()) for e in extensions}
    for name, befores in waits.items():
        for before in befores:
            put.need(before in names, "InvalidParameter",  # UNSURE: text
                     f"The extension '{name}' is to be provisioned after '{before}', which the"
                     " scale set does not have.")
    done: set[str] = set()
    while ready := {n for n, befores in waits.items() if n not in done and set(befores) <= done}:
        done |= ready
    put.need(len(done) == len(waits), "InvalidParameter",
             "The extensions wait for each other in a circle.")  # UNSURE: text
    for extension in extensions:
        kind = str(extension.get("type")).lower()
        if kind == "customscript":
            _custom_script(put, extension)
        elif kind in _HEALTH:
            settings = extension.get("settings") or {}
            put.need("protocol" in settings
                     and ("requestPath" in settings or settings["protocol"] == "tcp"),
                     "InvalidParameter",  # UNSURE: text
                     "The application health extension needs protocol, port and requestPath in its"
                     " settings.")
            for name, low, high in (("intervalInSeconds", 5, 60), ("numberOfProbes", 1, 24),
                                    ("gracePeriod", 5, 14400)):
                _within(put, {"name": extension.get("name"), **settings}, name, low, high)


def _custom_script(put: Put, extension: dict[str, Any]) -> None:
    """MicrosoftDocs/azure-compute-docs virtual-machines/extensions/custom-script-linux.md."""
    both = [extension.get("settings") or {}, extension.get("protectedSettings") or {}]
    given = [part for part in both for name in ("commandToExecute", "script") if name in part]
    put.need(len(given) == 1, "VMExtensionProvisioningError",
             "CustomScript needs exactly one of commandToExecute and script, in exactly one of"
             " settings and protectedSettings.")
    script = next((part["script"] for part in both if "script" in part), None)
    if script is not None:
        plain = _decoded(str(script))
        put.need(plain is not None and len(str(script)) <= 256 * 1024,
                 "VMExtensionProvisioningError",
                 "CustomScript: 'script' must be base64, gzipped or not, of at most 256 KB.")
        if plain and plain[:2] == b"\x1f\x8b":
            try:
                gzip.decompress(plain)
            except (OSError, EOFError, zlib.error):
                put.refuse("VMExtensionProvisioningError", "CustomScript: 'script' is broken gzip.")


def _upgrades(put: Put, *, healthy: bool) -> None:
    policy = put.new.get("upgradePolicy") or {}
    automatic = value(policy, "automaticOSUpgradePolicy.enableAutomaticOSUpgrade")
    put.need(healthy or policy.get("mode") != "Rolling", "BadRequest",
             "Rolling Upgrade mode is not supported for this Virtual Machine Scale Set because a"
             " health probe or health extension was not provided.")
    put.need(healthy or not automatic, "BadRequest",
             "Automatic OS Upgrade is not supported for this Virtual Machine Scale Set because a"
             " health probe or health extension was not specified.")
    for name, low in (("maxBatchInstancePercent", 5), ("maxUnhealthyInstancePercent", 5),
                      ("maxUnhealthyUpgradedInstancePercent", 0)):
        percent = value(policy, f"rollingUpgradePolicy.{name}", 20)
        put.need(low <= percent <= 100, "InvalidParameter",
                 f"The value of parameter rollingUpgradePolicy.{name} is out of range. The value"
                 f" must be between '{low}' and '100', inclusive.")
    pause = value(policy, "rollingUpgradePolicy.pauseTimeBetweenBatches", "PT0S")
    put.need(minutes(pause) >= 0, "InvalidParameter",
             f"The value '{pause}' of pauseTimeBetweenBatches is not an ISO 8601 duration.")
    repairs = put.new.get("automaticRepairsPolicy") or {}
    if repairs.get("enabled"):
        put.need(healthy, "BadRequest",
                 "Automatic repairs not supported for this Virtual Machine Scale Set because a"
                 " health probe or health extension was not provided.")
        grace = repairs.get("gracePeriod", "PT10M")
        put.need(10 <= minutes(grace) <= 90, "InvalidParameter",
                 f"The value '{grace}' of automaticRepairsPolicy.gracePeriod is invalid. The valid"
                 " range is between PT10M and PT90M.")


# Storage

_PRIVATE = [ipaddress.IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


def _firewall(put: Put, rules: dict[str, Any], service: str, id_of: str, address_of: str) -> None:
    """Network rules of storage accounts and vaults: subnets need the service's end point."""
    for rule in rules.get("virtualNetworkRules") or ():
        subnet_id = str(rule.get(id_of))
        found = put.cloud.get(subnet_id)
        if found is None:
            put.refuse("NetworkAclsValidationFailure",
                       "Validation of network acls failure: SubnetsNotProvisioned:Cannot proceed"
                       f" with operation because subnets {subnet_id.rpartition('/')[2]} of the"
                       f" virtual network {subnet_id.rsplit('/', 2)[0]} are not provisioned."
                       " They are in Failed state..")
        points = [
            str(p).removesuffix(".Global") for p in values(found[2], "serviceEndpoints[].service")
            ]
        put.need(service in points, "NetworkAclsValidationFailure",
                 "Validation of network acls failure: SubnetsHaveNoServiceEndpointsConfigured:"
                 f"Subnets {subnet_id.rpartition('/')[2]} of virtual network"
                 f" {subnet_id.rsplit('/', 2)[0]} do not have ServiceEndpoints for {service}"
                 f" resources configured. Add {service} to subnet's ServiceEndpoints collection"
                 f" before trying to ACL {service} resources to these subnets..")
        put.also.add(subnet_id.lower())
    for address in values(rules, f"ipRules[].{address_of}"):
        text = ("Values for request parameters are invalid: networkAcls.ipRule[*].value. For more"
                " information, see - https://aka.ms/storagenetworkruleset")
        network = _network(put, address, "InvalidValuesForRequestParameters", text)
        small = service == "Microsoft.Storage" and "/" in address and network.prefixlen > 30
        own = any(network.overlaps(private) for private in _PRIVATE)
        put.need(not (small or own), "InvalidValuesForRequestParameters", text)


@_check("storage:StorageAccount")
def _storage_account(put: Put) -> None:
    sku = str(value(put.new, "sku.name"))
    was = value(put.old, "sku.name", sku)
    zonal = any("ZRS" in each or each.startswith("Premium") for each in (was, sku))
    put.need(was == sku or not zonal, "InvalidAccountTypeChange",  # UNSURE: code
             f"Storage account sku cannot be updated from {was} to {sku}.")
    _firewall(put, put.new.get("networkRuleSet") or {}, "Microsoft.Storage",
              "virtualNetworkResourceId", "iPAddressOrRange")


@_check("storage:BlobServiceProperties")
def _blob_service(put: Put) -> None:
    for name in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        policy = put.new.get(name) or {}
        days = policy.get("days")
        put.need(not policy.get("enabled") or (days is not None and 1 <= days <= 365),
                 "InvalidXmlNodeValue",
                 f"The value for one of the XML nodes is not in the correct format: {name}.days is"
                 f" {days}, and must be between 1 and 365.")


@_check("storage:BlobContainer")
def _container(put: Put) -> None:
    account = put.cloud.get(put.id.partition("/blobServices/")[0])
    public = put.new.get("publicAccess", "None") != "None"
    put.need(not public or value(account and account[2], "allowBlobPublicAccess", False),
             "PublicAccessNotPermitted",
             "Public access is not permitted on this storage account.", 409)


# Authorization


@_check("authorization:RoleAssignment")
def _role_assignment(put: Put) -> None:
    role = str(put.new["roleDefinitionId"]).lower().rpartition("/")[2]
    put.need(role in ROLES and "/roledefinitions/" in put.new["roleDefinitionId"].lower(),
             "RoleDefinitionDoesNotExist",
             f"The specified role definition with ID '{role}' does not exist.")
    principal = str(put.new["principalId"])
    said = put.new.get("principalType") or "User"
    identities = put.cloud.all("managedidentity:UserAssignedIdentity")
    ours = any(body.get("principalId") == principal for _, body in identities)
    there = ours or principal not in put.cloud.setting("absent_principals", "")
    put.need(bool(re.fullmatch(r"[0-9a-f-]{36}", principal)), "InvalidPrincipalId",
             f"The principal ID '{principal}' is not valid. Principal ID must be a GUID.")
    put.need(there and (not ours or said == "ServicePrincipal"), "PrincipalNotFound",
             f"Principal {principal.replace('-', '')} does not exist in the directory. Check that"
             " you have the correct principal ID. If you are creating this principal and then"
             " immediately assigning a role, this error might be related to a replication delay."
             " In this case, set the role assignment principalType property to a value, such as"
             " ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype")
    scope = str(put.new["scope"]).strip("/").lower()
    for each, body in put.cloud.all("authorization:RoleAssignment"):
        if each.lower() == put.key:
            continue
        put.need(each.rpartition("/")[2].lower() != put.name.lower(),
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
            409)
        same = (str(body["principalId"]) == principal
                and str(body["scope"]).strip("/").lower() == scope
                and str(body["roleDefinitionId"]).lower().endswith(role))
        put.need(not same, "RoleAssignmentExists",
                 "The role assignment already exists. The ID of the existing role assignment is"
                 f" {each.rpartition('/')[2].replace('-', '')}.", 409)


# Key Vault


@_check("keyvault:Vault")
def _vault(put: Put) -> None:
    properties = put.new["properties"]
    put.need(properties.get("enablePurgeProtection") is not False, "BadRequest",
             'The property "enablePurgeProtection" cannot be set to false. Enabling the purge'
             " protection for a vault is an irreversible action.")
    put.need(properties.get("enableSoftDelete") is not False, "BadRequest",
             'The property "enableSoftDelete" can be set to false only for creating new vault.'
             " Enabling the 'soft delete' functionality is an irreversible action.")
    days = properties.get("softDeleteRetentionInDays", 90)
    put.need(7 <= days <= 90, "BadRequest",
             f'The property "softDeleteRetentionInDays" is {days} and must be between 7 and 90.')
    put.need(str(value(properties, "sku.family")) == "A", "BadRequest",
             "The parameter sku.family is invalid.")
    was = value(put.old, "properties.tenantId", properties.get("tenantId"))
    put.need(was == properties.get("tenantId"), "VaultTenantChange",  # UNSURE: code
             "The tenant of a vault cannot be changed in an update.")
    rbac = properties.get("enableRbacAuthorization")
    put.need(bool(rbac) or "accessPolicies" in properties or put.old is not None, "BadRequest",
             "The parameter accessPolicies is not specified.")
    _firewall(put, properties.get("networkAcls") or {}, "Microsoft.KeyVault", "id", "value")


@_check("keyvault:Secret")
def _secret(put: Put) -> None:
    properties = put.new["properties"]
    text = str(properties.get("value") or "")
    put.need(len(text.encode()) <= 25600, "BadParameter",  # UNSURE: text
             "The value of the secret is too long: at most 25600 bytes are allowed.")
    put.need(bool(text) or put.old is not None, "BadParameter", "The secret has no value.")
    put.need(len(str(properties.get("contentType") or "")) <= 255, "BadParameter",
             "contentType may have at most 255 characters.")


# DNS

_RECORDS = ("A", "AAAA", "CAA", "CNAME", "DS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "TLSA",
            "TXT")


@_check("dns:RecordSet")
def _record(put: Put) -> None:
    kind, name = str(put.new["recordType"]).upper(), put.name
    put.need(kind in _RECORDS, "BadRequest", f"The record type '{kind}' is not supported.")
    field = {"CNAME": "cnameRecord", "SOA": "soaRecord"}.get(kind, f"{kind.lower()}Records")
    put.need(bool(put.new.get(field) or put.new.get("targetResource")), "BadRequest",
             f"The '{kind}' record set '{name}' has no records.")
    put.need(kind != "CNAME" or name != "@", "BadRequest",
             "CNAME records are not permitted at the zone apex.")
    ttl = put.new.get("ttl", 3600)
    put.need(1 <= ttl <= 2147483647, "BadRequest",
             f"The TTL {ttl} is invalid: it must be between 1 and 2147483647.")
    target = value(put.new, "cnameRecord.cname")
    put.need(target is None or bool(re.fullmatch(r"([\w-]{1,63}\.)*[\w-]{1,63}\.?", target)),
             "BadRequest", f"The domain name '{target}' is invalid.")
    zone = put.id.rsplit("/", 2)[0]
    for each, _ in put.cloud.all("dns:RecordSet", zone):
        other, theirs = each.rsplit("/", 2)[1:]
        clash = theirs.lower() == name.lower() and other.upper() != kind
        put.need(not clash or "CNAME" not in (kind, other.upper()), "BadRequest",
                 f"The record could not be created because a {other} record with the same name"
                 " already exists in this zone.")


# Monitor

_METRIC_STEPS = (1, 5, 15, 30, 60, 360, 720, 1440)


@_check("monitor:ActionGroup")
def _action_group(put: Put) -> None:
    short = str(put.new["groupShortName"])
    put.need(1 <= len(short) <= 12, "GroupShortNameTooLong",  # UNSURE: code
             f"The group short name '{short}' must have 1 to 12 characters.")
    receivers = [name for kind in put.new if kind.endswith("Receivers")
                 for name in values(put.new, f"{kind}[].name")]
    put.need(not _twice(receivers), "DuplicateReceiverName",  # UNSURE: code
             f"Receiver names must be unique within the group: {_twice(receivers)}.")
    for mail in values(put.new, "emailReceivers[].emailAddress"):
        put.need(bool(re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", mail)), "InvalidEmailAddress",
                 f"The email address '{mail}' is not valid.")
    for address in values(put.new, "webhookReceivers[].serviceUri"):
        put.need(address.startswith(("https://", "http://")), "InvalidServiceUri",
                 "A webhook receiver's serviceUri must be an http or https URL.")


@_check("monitor:MetricAlert")
def _metric_alert(put: Put) -> None:
    window, often = minutes(put.new["windowSize"]), minutes(put.new["evaluationFrequency"])
    put.need(put.location == "global", "BadRequest", "The location of a metric alert is 'global'.")
    put.need(window in _METRIC_STEPS, "BadRequest",
             f"WindowSize {put.new['windowSize']} is not supported.")
    put.need(often in _METRIC_STEPS[:5] and often <= window, "BadRequest",
             f"EvaluationFrequency {put.new['evaluationFrequency']} is not supported for the window"
             f" size {put.new['windowSize']}.")
    put.need(window <= 240 or often >= 5, "BadRequest",
             "Evaluation frequency must be greater than or equal to five minutes since the period"
             " is greater than four hours")
    _severity(put)
    criteria = list(values(put.new, "criteria.allOf[]"))
    put.need(1 <= len(criteria) <= 5 and not _twice(c.get("name") for c in criteria),
             "BadRequest", "A metric alert has one to five criteria with names of their own.")
    single = "SingleResource" in str(value(put.new, "criteria.odataType"))
    scopes = put.new["scopes"]
    put.need(len(scopes) == 1 or not single, "BadRequest",
             "A rule of type SingleResourceMultipleMetricCriteria has exactly one scope.")
    kinds = {put.cloud.kind_of(scope).lower() for scope in scopes}
    put.need(len(scopes) == 1 or not kinds & set(METRICS), "BadRequest",
             f"Alerts are currently not supported with multi resource level for {kinds}.")
    for criterion in criteria:
        for kind in kinds & set(METRICS):
            metric = str(criterion.get("metricName")).lower()
            put.need(metric in METRICS[kind] or bool(criterion.get("skipMetricValidation")),
                     "BadRequest", f"Couldn't find a metric named {criterion.get('metricName')}."
                     " If the metric is newly created, set skipMetricValidation.")
            for name in values(criterion, "dimensions[].name"):
                put.need(name.lower() in METRICS[kind].get(metric, (name.lower(),)), "BadRequest",
                    f"The dimension {name} is not one of the metric {criterion.get('metricName')}."
                    )
        whole = not criterion.get("dimensions")
        _evaluated(put, whole and criterion.get("timeAggregation") in ("Average", "Total"),
                   "of an average or a total over all dimensions")


def _severity(put: Put) -> None:
    severity = put.new.get("severity", 3)
    put.need(severity in range(5), "BadRequest", f"Severity {severity} is not between 0 and 4.")


@_check("monitor:ScheduledQueryRule")
def _query_rule(put: Put) -> None:
    """MicrosoftDocs/azure-monitor-docs alerts/alerts-create-log-alert-rule.md."""
    window = minutes(put.new.get("windowSize", "PT5M"))
    often = minutes(put.new.get("evaluationFrequency", "PT5M"))
    put.need(1 <= often <= 1440, "BadRequest",
             "The evaluation frequency must be between 1 minute and 1 day.")
    put.need(often <= window <= 2880, "BadRequest",
             "The window size must be between the evaluation frequency and 2 days.")
    put.need(often > 1 or window <= 360, "BadRequest",
             "With a frequency of 1 minute the window size can be 6 hours at most.")
    _severity(put)
    for scope in put.new.get("scopes") or ():
        found = put.cloud.get(scope)
        place = str(found[2].get("location") if found else "").replace(" ", "").lower()
        put.need(place in ("", put.location), "BadRequest",
                 f"The rule must be in the region of its scope, '{place}'.")
    mute = minutes(put.new.get("muteActionsDuration") or "PT0S")
    put.need(not (mute and put.new.get("autoMitigate", True)), "BadRequest",
             "MuteActionsDuration cannot be set while AutoMitigate is true.")
    put.need(bool(value(put.new, "criteria.allOf")), "BadRequest", "The rule has no criteria.")
    for criterion in values(put.new, "criteria.allOf[]"):
        periods = value(criterion, "failingPeriods.numberOfEvaluationPeriods", 1)
        failing = value(criterion, "failingPeriods.minFailingPeriodsToAlert", 1)
        put.need(1 <= failing <= periods <= 6, "BadRequest",
                 "The failing periods must be between 1 and the number of periods, 6 at most.")
        put.need(window * periods <= 2880, "BadRequest",
                 "The window size times the number of periods can be 48 hours at most.")
        needs = "metricMeasureColumn" in criterion
        put.need(needs == (criterion.get("timeAggregation") != "Count"), "BadRequest",
                 "metricMeasureColumn is needed for every time aggregation but Count.")
        _query(put, str(criterion.get("query", "")))
        _evaluated(put, needs and periods == 1, "of a column in one period")


def _evaluated(put: Put, holds: bool, which: str) -> None:
    """Refuses what Azure can evaluate and the sandbox cannot, rather than never to fire."""
    put.need(holds and put.new.get("autoMitigate", True), "UnsupportedAlert",
             f"The sandbox evaluates only alerts {which} that resolve by themselves"
             " (sandbox/dataplane/alerts.py).")


def _query(put: Put, query: str) -> None:
    """Only the forms that the sandbox can evaluate, over tables that exist."""
    forms = [re.fullmatch(form, query.strip(), re.S) for form in QUERIES.values()]
    match = next((form for form in forms if form), None)
    if match is None:
        put.refuse("UnsupportedQuery", "The sandbox evaluates only these forms of query: "
                   + "; ".join(QUERIES) + " (QUERIES in sandbox/provider/rules.py).")
    tables = [each.rpartition("/")[2] for scope in put.new.get("scopes") or ()
              for each, _ in put.cloud.all("operationalinsights:Table", scope)]
    known = match["table"] in (*tables, "Heartbeat", "AzureMetrics", "AzureActivity")
    put.need(known or bool(put.new.get("skipQueryValidation")), "BadRequest",
             f"The query is invalid: 'where' operator: Failed to resolve table or column expression"
             f" named '{match['table']}'.")


@_check("monitor:DataCollectionRule")
def _collection_rule(put: Put) -> None:
    custom = put.new.get("streamDeclarations") or {}
    endpoint = put.new.get("dataCollectionEndpointId")
    put.need(not custom or bool(endpoint), "InvalidPayload",  # UNSURE: text
             "Data collection rule is invalid: a rule with streamDeclarations needs a"
             " dataCollectionEndpointId.")
    found = put.cloud.get(endpoint) if endpoint else None
    place = str(found[2].get("location") if found else "").replace(" ", "").lower()
    put.need(place in ("", put.location), "InvalidPayload",
             "Data collection rule is invalid: the data collection endpoint"
             f" {endpoint} is in another region than the rule.")
    spaces = {}
    for target in values(put.new, "destinations.logAnalytics[]"):
        workspace = put.cloud.get(str(target.get("workspaceResourceId")))
        spaces[target.get("name")] = str(target.get("workspaceResourceId"))
        there = str(workspace[2].get("location") if workspace else "").replace(" ", "").lower()
        put.need(there in ("", put.location), "InvalidPayload",
            "Data collection rule is invalid: the workspace is in another region than the rule.")
    for name, stream in custom.items():
        put.need(name.startswith("Custom-"), "InvalidPayload",
                 f"Data collection rule is invalid: the stream '{name}' must begin with 'Custom-'."
                 )
        put.need(bool(stream.get("columns")), "InvalidPayload",
                 f"Data collection rule is invalid: the stream '{name}' has no columns.")
    for index, flow in enumerate(put.new.get("dataFlows") or ()):
        _flow(put, index, flow, custom, spaces)


def _flow(
    put: Put, index: int, flow: dict[str, Any], custom: dict[str, Any], spaces: dict[Any, str]
) -> None:
    where = f"properties.dataFlows[{index}]"
    for stream in flow.get("streams") or ():
        put.need(not stream.startswith("Custom-") or stream in custom, "InvalidStream",
                 f"Data collection rule is invalid: {where}: the stream '{stream}' is not declared."
                 )
    for target in flow.get("destinations") or ():
        put.need(target in spaces, "InvalidDestination",
                 f"Data collection rule is invalid: {where}: the destination '{target}' is not"
                 " declared.")
        output = flow.get("outputStream") or (flow.get("streams") or [""])[0]
        table = output.removeprefix("Custom-")
        rows = put.cloud.all("operationalinsights:Table", spaces[target])
        body = next((b for each, b in rows if each.rpartition("/")[2] == table), None)
        if not output.startswith("Custom-"):
            continue
        if body is None:
            put.refuse("InvalidOutputTable",
                       f"Data collection rule is invalid: {where}: Table for output stream"
                       f" '{output}' is not available for destination '{target}'.")
        columns = {str(n) for n in values(body, "schema.columns[].name")}
        sent = {str(n) for each in flow.get("streams") or ()
                for n in values(custom.get(each), "columns[].name")}
        if not flow.get("transformKql") or flow.get("transformKql") == "source":
            put.need("TimeGenerated" in sent, "InvalidTransformOutput",
                     f"Data collection rule is invalid: {where}: the output lacks TimeGenerated.")
            put.need(sent <= columns, "InvalidTransformOutput",
                     f"Data collection rule is invalid: {where}: the table {table} lacks the"
                     f" columns {sorted(sent - columns)}.")


# Log Analytics, workbooks, budgets


@_check("operationalinsights:Workspace")
def _workspace(put: Put) -> None:
    days = put.new.get("retentionInDays", 30)
    put.need(30 <= days <= 730, "InvalidParameter",
             f"'RetentionInDays' property doesn't match the SKU limits: {days} is not between 30"
             " and 730.")


@_check("operationalinsights:Table")
def _table(put: Put) -> None:
    shape = put.new.get("schema") or {}
    put.need(put.name.endswith("_CL") or not shape, "InvalidParameter",
             f"Table name '{put.name}' is invalid: custom tables end with '_CL'.")
    put.need(shape.get("name", put.name) == put.name, "InvalidParameter",
             "The table name in the schema must be that of the table.")
    names = list(values(shape, "columns[].name"))
    put.need("TimeGenerated" in names or not shape, "InvalidParameter",
             "TimeGenerated column is mandatory and must be of type datetime.")
    put.need(not _twice(names), "InvalidParameter", f"Columns are named twice: {_twice(names)}.")
    for name in names:
        put.need(bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,44}", name)), "InvalidParameter",
                 f"The column name '{name}' is invalid.")
    was = {c["name"]: c.get("type") for c in values(put.old, "schema.columns[]")}
    for column in values(shape, "columns[]"):
        before = was.get(column.get("name"), column.get("type"))
        put.need(before == column.get("type"), "InvalidParameter",
                 f"The type of the column '{column.get('name')}' cannot be changed.")


@_check("applicationinsights:Workbook")
def _workbook(put: Put) -> None:
    try:
        json.loads(put.new["serializedData"])
    except ValueError:
        put.refuse("BadRequest", "serializedData is not JSON.")  # UNSURE: text


@_check("consumption:Budget")
def _budget(put: Put) -> None:
    put.need(put.new["amount"] > 0, "400", "The budget amount must be greater than 0.")
    start = str(value(put.new, "timePeriod.startDate", ""))
    put.need(bool(re.match(r"20(1[7-9]|[2-9]\d)-\d\d-01", start)), "400",
             f"Budget start date '{start}' must be the first of a month, from June 2017 on.")
    put.need(start >= f"{datetime.now(UTC):%Y-%m}" or put.new["timeGrain"] != "Monthly", "400",
             f"Budget start date '{start}' lies in the past, and must then be selected within the"
             " timegrain period.")  # UNSURE: whether an update may keep its old one
    notifications = put.new.get("notifications") or {}
    put.need(len(notifications) <= 5, "400", "A budget has 5 notifications at most.")
    for name, each in notifications.items():
        put.need(bool(
            each.get("contactEmails") or each.get("contactGroups") or each.get("contactRoles")),
                 "400", f"The notification '{name}' has nobody to notify.")
        put.need(0 < each.get("threshold", 0) <= 1000, "400",
                 f"The threshold of '{name}' must be between 0.01 and 1000.")
