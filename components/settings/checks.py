"""Rules about several settings at once, and what is worked out from them.

Each check names the keys that it needs, and runs where those are good, so that one mistake never
hides another. The checks run in the order in which they stand here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .. import naming, values
from ..certificate import (
    LARGEST_SECRET,
    CertificateError,
    ServiceCertificate,
    read_file,
)
from ..certificate.leaf import reading, shown_name
from ..certificate.rules import listed
from ..clouds import CLOUDS, Cloud, cloud_named
from ..naming import Names
from ..regions import (
    REGIONS,
    cloud_of_region,
    has_zones,
    nearest_region,
)
from ..values import Refused, arm_names
from ..vm_sizes import architecture
from .model import DistributionPointSettings, DnsMode
from .parsing import Entry, keys_of, nested_secrets

# What the service settings hold besides the access part: names, URLs, resource ids, numbers.
_REST_OF_SERVICE_SETTINGS_BYTES = 3_000
_CERTIFICATE_SOURCES = ("pfxFile", "pfxBase64", "keyVaultSecretId")
_DNS_KEYS = {
    DnsMode.AZURE: {"zone", "resourceGroup", "subscriptionId", "ttl"},
    DnsMode.RFC2136: {"zone", "ttl", "server", "keyName", "keyAlgorithm", "keySecret"},
    DnsMode.MANUAL: {"zone", "ttl"},
}
_DNS_KEYS_NEEDED = {
    DnsMode.AZURE: ("zone", "resourceGroup"),
    DnsMode.RFC2136: ("zone", "server", "keyName", "keySecret"),
    DnsMode.MANUAL: (),
}


@dataclass
class Resolution:
    """An entry and what is worked out from it, step by step."""

    entry: Entry
    root: Path
    """The folder of `Pulumi.yaml`, where relative paths start."""
    provider_cloud: str
    """The cloud that the provider signs in to, in its own spelling."""
    cloud: Cloud | None = None
    fqdn: str | None = None
    service: str | None = None
    certificate: ServiceCertificate | None = None
    trust_roots: list[str] = field(default_factory=list)
    names: Names | None = None
    status_log_file: str | None = None

    def settings(self) -> DistributionPointSettings:
        """The settings of an entry that has no problems."""
        names, cloud = self.names, self.cloud
        if names is None or cloud is None:
            raise RuntimeError(f"{self.entry.path('region')}: a check refused nothing, and failed")
        keys = self.entry.keys
        given = {name: getattr(keys, name) for name in type(keys).model_fields}
        worked_out: dict[str, Any] = {
            "cloud": cloud.name,
            "service_fqdn": names.fqdn,
            "service_name": names.service,
            "resource_group": names.resource_group,
            "dns_label": names.dns_label,
            "storage_account_name": names.storage_account,
            "key_vault_name": names.key_vault,
            "status_log_file": self.status_log_file,
            "names": names,
            "service_certificate": self.certificate,
            "trust_roots_pem": "".join(self.trust_roots),
            "fqdn_from_certificate": not keys.service_fqdn,
            "service_name_from_fqdn": not keys.service_name,
            "warnings": tuple(self.entry.warnings),
        }
        return DistributionPointSettings.model_construct(None, **given | worked_out)


Check = Callable[[Resolution], None]
_CHECKS: list[tuple[tuple[str, ...], Check]] = []


def _check(*keys: str) -> Callable[[Check], Check]:
    """Registers a check that needs these (dotted) keys to be good."""

    def register(check: Check) -> Check:
        _CHECKS.append((keys, check))
        return check

    return register


def resolve(entry: Entry, *, root: Path, provider_cloud: str) -> Resolution:
    """Runs every check whose keys are good, and works out what follows from them."""
    resolution = Resolution(entry, root, provider_cloud)
    for keys, check in _CHECKS:
        if entry.is_good(*keys):
            check(resolution)
    return resolution


@_check("cloud")
def _cloud(at: Resolution) -> None:
    signed_in = cloud_named(at.provider_cloud)
    if signed_in is None:
        at.entry.problems.append(
            f'azure-native:environment "{at.provider_cloud}" is not a cloud that this program '
            f"knows: use {_choices(CLOUDS)}."
        )
        return
    at.cloud = cloud_named(at.entry.keys.cloud) if at.entry.keys.cloud else signed_in
    if at.cloud is None:
        at.entry.refuse("cloud", f"is not an Azure cloud: use {_choices(CLOUDS)}")
    elif at.cloud is not signed_in:
        at.entry.refuse(
            "cloud",
            f'is not the cloud that the provider signs in to ("{signed_in.name}"): remove it, or '
            f"run `pulumi config set azure-native:environment {at.cloud.name}`",
        )
        at.cloud = None


@_check("region")
def _region(at: Resolution) -> None:
    region = at.entry.keys.region
    if not region:
        at.entry.refuse("region", 'is required: set an Azure region such as "westeurope"')
        return
    if at.cloud is None:
        return
    home = cloud_of_region(region)
    meant = nearest_region(region, at.cloud.name)
    if home is None and meant:
        at.entry.refuse("region", f'is not an Azure region: did you mean "{meant}"?')
    elif home is None:
        at.entry.warn(
            "region",
            f"is not among the {len(REGIONS[at.cloud.name])} regions that this program knows of "
            f'the cloud "{at.cloud.name}": if Azure does not know it either, the deployment fails',
        )
    elif home != at.cloud.name:
        at.entry.refuse(
            "region",
            f'is a region of the cloud "{home}", but the provider signs in to '
            f'"{at.cloud.name}": choose one of its regions, or run '
            f"`pulumi config set azure-native:environment {home}`",
        )


@_check("zones", "region")
def _zones(at: Resolution) -> None:
    if at.entry.keys.zones and has_zones(at.entry.keys.region) is False:
        at.entry.warn(
            "zones",
            f"are set, but {at.entry.keys.region} had no availability zones when this program's "
            "list was made: if it has none still, the deployment fails",
        )


@_check("warningPercent", "criticalPercent")
def _percentages(at: Resolution) -> None:
    keys = at.entry.keys
    if keys.warning_percent >= keys.critical_percent:
        at.entry.refuse(
            "warningPercent",
            f"must be less than criticalPercent, which is {keys.critical_percent}: lower the one "
            "or raise the other",
        )


@_check("readinessTimeoutMinutes", "readinessIntervalSeconds")
def _waiting(at: Resolution) -> None:
    keys = at.entry.keys
    seconds = keys.readiness_timeout_minutes * 60
    if seconds and keys.readiness_interval_seconds > seconds:
        at.entry.refuse(
            "readinessIntervalSeconds",
            f"is longer than readinessTimeoutMinutes, which is {keys.readiness_timeout_minutes}: "
            "shorten it",
        )


@_check("readinessPath", "access")
def _readiness_path(at: Resolution) -> None:
    access = at.entry.keys.access
    if at.entry.keys.readiness_path and not (access.token_key or access.anonymous):
        at.entry.refuse(
            "readinessPath",
            "needs a way in that this program has too, and a client certificate is none: set "
            "access.tokenKey or access.anonymous: true, or remove it",
        )


@_check("resourceGroup", "useExistingResourceGroup")
def _resource_group(at: Resolution) -> None:
    if at.entry.keys.use_existing_resource_group and not at.entry.keys.resource_group:
        at.entry.refuse("useExistingResourceGroup", "needs the group's name: set resourceGroup")


@_check("vmSize", "automaticOsUpgrades")
def _os_upgrades(at: Resolution) -> None:
    keys = at.entry.keys
    if keys.automatic_os_upgrades and architecture(keys.vm_size) != "arm64":
        at.entry.refuse(
            "automaticOsUpgrades",
            f'is not possible with vmSize "{keys.vm_size}": Azure upgrades the image of arm64 '
            "sizes only, so remove it or choose a size like Standard_D2ps_v6",
        )


@_check("alertEmails", "alertWebhooks")
def _alert_receivers(at: Resolution) -> None:
    if not at.entry.keys.alert_emails and not at.entry.keys.alert_webhooks:
        at.entry.warn(
            "alertEmails",
            "and alertWebhooks are empty: alerts will fire, and nobody will be told",
        )


@_check()
def _plain_secrets(at: Resolution) -> None:
    secrets = [(key, f"{key}.{name}") for key, name in nested_secrets()]
    # A receiver's URL is its password where there is more to it than a host.
    secrets += [
        ("alertWebhooks", f"alertWebhooks[{index}]")
        for index, url in enumerate(at.entry.keys.alert_webhooks)
        if any(urlsplit(url.get_secret_value().rstrip("/"))[2:])
    ]
    proxy = at.entry.keys.proxy
    if proxy and urlsplit(proxy.get_secret_value()).password:
        secrets.append(("proxy", "proxy"))
    for key, path in secrets:
        if at.entry.is_given(path) and not at.entry.is_encrypted(key):
            at.entry.warn(
                path,
                "stands in the stack file as plain text: set it anew with `pulumi config set "
                f"--path --secret '{at.entry.path(path)}'`, and use another value if others "
                "could read this one",
            )


@_check("statusLogFile")
def _status_log(at: Resolution) -> None:
    if not at.entry.keys.status_log_file:
        return
    file = at.root / at.entry.keys.status_log_file
    try:
        if file.is_dir():
            at.entry.refuse("statusLogFile", f"is a folder ({file}): give the path of a file")
        elif not file.parent.is_dir():
            at.entry.refuse("statusLogFile", f"lies in no folder: create {file.parent}")
    except OSError as error:
        at.entry.refuse(
            "statusLogFile", f"cannot be reached ({error.strerror}): choose another path"
        )
    at.status_log_file = str(file)


@_check("access")
def _ways_in(at: Resolution) -> None:
    access = at.entry.keys.access
    if not (access.anonymous or access.token_key or access.client_trust_roots):
        at.entry.refuse(
            "access",
            "names no way in: set access.clientTrustRoots, access.tokenKey, or "
            "access.anonymous: true",
        )
    if access.previous_token_key and not access.token_key:
        at.entry.refuse("access.previousTokenKey", "has no tokenKey beside it: set access.tokenKey")
    elif access.previous_token_key and access.previous_token_key == access.token_key:
        at.entry.refuse("access.previousTokenKey", "is the same as access.tokenKey: remove it")
    if access.revocation_lists and not access.client_trust_roots:
        at.entry.refuse(
            "access.revocationLists",
            "has no meaning without access.clientTrustRoots: set those, or remove it",
        )


@_check("access.clientTrustRoots")
def _trust_roots(at: Resolution) -> None:
    for number, name in enumerate(at.entry.keys.access.client_trust_roots):
        key = f"access.clientTrustRoots[{number}]"
        try:
            for certificate in _certificate_authorities(at.root / name):
                pem = certificate.public_bytes(Encoding.PEM).decode()
                if pem not in at.trust_roots:
                    at.trust_roots.append(pem)
        except (Refused, CertificateError) as error:
            at.entry.refuse(key, str(error))


def _certificate_authorities(file: Path) -> list[x509.Certificate]:
    data = read_file(file, "PEM")
    if b"PRIVATE KEY" in data:
        raise Refused("holds a private key, which must not leave its CA: give certificates only")
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        advice = (
            "convert it with `openssl x509 -inform DER -in FILE -out FILE.pem`"
            if _is_der(data)
            else "name a text file with -----BEGIN CERTIFICATE----- in it"
        )
        raise Refused(f"holds no PEM certificates ({file}): {advice}") from None
    with reading("one of the authorities"):
        other = next((each for each in certificates if not _is_authority(each)), None)
        subject = shown_name(other.subject) if other else ""
    if other:
        raise Refused(
            f"holds the certificate {subject}, which is not a CA's: give those of the root and "
            "intermediate CAs"
        )
    return certificates


def _is_der(data: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(data)
    except ValueError:
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:  # a root from before there were extensions
        return certificate.subject == certificate.issuer


@_check("access")
def _access_fits_the_vault(at: Resolution) -> None:
    access = at.entry.keys.access
    keys = [key.get_secret_value() for key in (access.token_key, access.previous_token_key) if key]
    text = json.dumps([keys, "".join(at.trust_roots), access.revocation_lists])
    size = len(text.encode()) + _REST_OF_SERVICE_SETTINGS_BYTES
    if size > LARGEST_SECRET:
        at.entry.refuse(
            "access",
            f"makes service settings of {size} bytes, and a vault secret holds "
            f"{LARGEST_SECRET}: name fewer certificates in access.clientTrustRoots",
        )


@_check("certificate")
def _certificate_source(at: Resolution) -> None:
    entry, certificate = at.entry, at.entry.keys.certificate
    sources = [s for s in _CERTIFICATE_SOURCES if entry.is_given(f"certificate.{s}")]
    if len(sources) != 1:
        listed = ", ".join(f"certificate.{source}" for source in _CERTIFICATE_SOURCES)
        found = f"has {' and '.join(sources)}" if sources else "names no source"
        entry.refuse("certificate", f"{found}: set exactly one of {listed}")
        return
    if certificate.key_vault_secret_id is None:
        if certificate.key_vault_id:
            entry.refuse(
                "certificate.keyVaultId",
                f"has no meaning with certificate.{sources[0]}: remove it",
            )
        return
    if certificate.password:
        entry.refuse(
            "certificate.password",
            "has no meaning with certificate.keyVaultSecretId: remove it",
        )
    if not entry.is_given("serviceFqdn") and entry.is_good("serviceFqdn"):
        entry.refuse(
            "serviceFqdn",
            "is required with certificate.keyVaultSecretId, whose certificate is not read here: "
            "set the name that clients use",
        )
    _check_vault(at, certificate.key_vault_secret_id, certificate.key_vault_id)


def _check_vault(at: Resolution, secret_id: str, vault_id: str | None) -> None:
    vault, _, suffix = (urlsplit(secret_id).hostname or "").partition(".")
    if at.cloud and suffix != at.cloud.vault_suffix:
        at.entry.refuse(
            "certificate.keyVaultSecretId",
            f'is not in the cloud "{at.cloud.name}": its host must end in .{at.cloud.vault_suffix}',
        )
    if vault_id is None:
        at.entry.refuse(
            "certificate.keyVaultId",
            "is required with certificate.keyVaultSecretId, for the role of the service on that "
            "vault: set the vault's resource id (`az keyvault show --query id`)",
        )
    elif arm_names(vault_id)[2].lower() != vault:
        at.entry.refuse(
            "certificate.keyVaultId",
            f'is not the vault "{vault}" of certificate.keyVaultSecretId: correct one of them',
        )


@_check("certificate", "testEnvironment", "certificateWarningDays")
def _certificate(at: Resolution) -> None:
    keys, certificate = at.entry.keys, at.entry.keys.certificate
    try:
        if certificate.pfx_file:
            data = read_file(at.root / certificate.pfx_file)
        elif certificate.pfx_base64:
            data = values.decoded(certificate.pfx_base64.get_secret_value())
        else:
            return
        at.certificate = ServiceCertificate.read(
            data,
            certificate.password.get_secret_value() if certificate.password else None,
            fqdn=keys.service_fqdn or None,
            test_environment=keys.test_environment,
            warning_days=keys.certificate_warning_days,
        )
    except CertificateError as error:
        for problem in error.problems:
            at.entry.refuse(_pfx_key(at), problem)
        return
    for warning in at.certificate.warnings:
        at.entry.warn(_pfx_key(at), warning)


@_check("serviceFqdn")
def _fqdn(at: Resolution) -> None:
    if at.entry.keys.service_fqdn:
        at.fqdn = at.entry.keys.service_fqdn
    elif at.certificate:
        try:
            at.fqdn = at.certificate.default_fqdn()
        except CertificateError as error:
            at.entry.refuse(_pfx_key(at), str(error))


def _pfx_key(at: Resolution) -> str:
    certificate = at.entry.keys.certificate
    return "certificate.pfxFile" if certificate.pfx_file else "certificate.pfxBase64"


@_check("region", "serviceFqdn", "dnsLabel")
def _azure_domain(at: Resolution) -> None:
    if not (at.fqdn and at.cloud):
        return
    label = at.entry.keys.dns_label
    try:
        own = naming.azure_label(at.fqdn, at.entry.keys.region, at.cloud)
    except Refused as error:
        at.entry.refuse("serviceFqdn", str(error))
        return
    if own and label and label != own:
        at.entry.refuse(
            "dnsLabel",
            f'contradicts serviceFqdn "{at.fqdn}", whose label in the Azure domain is "{own}": '
            "remove it",
        )


@_check("serviceName", "serviceFqdn")
def _service(at: Resolution) -> None:
    at.service = at.entry.keys.service_name or None
    if at.fqdn and not at.service:
        try:
            at.service = naming.service_name_from_fqdn(at.fqdn)
        except Refused as error:
            at.entry.refuse(
                "serviceName",
                f'is not given, and the first label of "{at.fqdn}" {error}: set serviceName',
            )


@_check(
    "region",
    "serviceFqdn",
    "serviceName",
    "dnsLabel",
    "storageAccountName",
    "keyVaultName",
    "resourceGroup",
)
def _names(at: Resolution) -> None:
    if not (at.fqdn and at.service and at.cloud):
        return
    keys = at.entry.keys
    names = at.names = Names.compute(
        service=at.service,
        fqdn=at.fqdn,
        region=keys.region,
        cloud=at.cloud,
        resource_group=keys.resource_group,
        dns_label=keys.dns_label,
        storage_account=keys.storage_account_name,
        key_vault=keys.key_vault_name,
    )
    for key, name, rule in (
        ("dnsLabel", names.dns_label, naming.dns_label),
        ("storageAccountName", names.storage_account, naming.storage_account_name),
        ("keyVaultName", names.key_vault, naming.key_vault_name),
    ):
        try:
            rule(name)
        except Refused as error:
            at.entry.refuse(key, f'is not given, and would be "{name}", which {error}')


@_check("dns.mode")
def _dns_keys(at: Resolution) -> None:
    entry, mode = at.entry, at.entry.keys.dns.mode
    for key in keys_of(type(entry.keys.dns)):
        if key != "mode" and key not in _DNS_KEYS[mode] and entry.is_given(f"dns.{key}"):
            entry.refuse(
                f"dns.{key}",
                f'has no meaning with dns.mode "{mode}": remove it, or change the mode',
            )
    for key in _DNS_KEYS_NEEDED[mode]:
        if not entry.is_given(f"dns.{key}") and entry.is_good(f"dns.{key}"):
            entry.refuse(f"dns.{key}", f'is required with dns.mode "{mode}": set it')


@_check("dns.mode", "dns.zone", "serviceFqdn")
def _fqdn_in_zone(at: Resolution) -> None:
    zone, fqdn = at.entry.keys.dns.zone, at.fqdn
    if fqdn and naming.in_azure_domain(fqdn):
        if at.entry.keys.dns.mode is not DnsMode.MANUAL:
            at.entry.refuse(
                "dns.mode",
                f'has no meaning with serviceFqdn "{fqdn}", which lies in the Azure domain and '
                "needs no record: remove dns",
            )
    elif fqdn and zone and fqdn == zone:
        at.entry.refuse(
            "dns.zone",
            "is serviceFqdn itself, and the apex of a zone takes no CNAME record: choose a name "
            "below it, or the zone above it",
        )
    elif fqdn and zone and not fqdn.endswith(f".{zone}"):
        at.entry.refuse(
            "dns.zone",
            f'does not hold serviceFqdn "{fqdn}": name the zone that the record goes into',
        )


def refuse_clashes(resolutions: Sequence[Resolution]) -> None:
    """Refuses what two entries of one stack may not share."""
    named = [at for at in resolutions if at.names is not None]
    for number, later in enumerate(named):
        for earlier in named[:number]:
            _refuse_clash(later, earlier)


def _refuse_clash(later: Resolution, earlier: Resolution) -> None:
    new, old = later.names, earlier.names
    if new is None or old is None:
        return
    keys, others = later.entry.keys, earlier.entry.keys
    clashes = {
        "serviceFqdn": new.fqdn == old.fqdn,
        "serviceName": new.service == old.service,
    }
    if not clashes["serviceName"]:  # else these follow from it
        clashes |= {
            "dnsLabel": new.site_fqdn == old.site_fqdn,
            "storageAccountName": new.storage_account == old.storage_account,
            "keyVaultName": new.key_vault.lower() == old.key_vault.lower(),
            "resourceGroup": new.resource_group.lower() == old.resource_group.lower()
            and keys.subscription_id == others.subscription_id
            and not (keys.use_existing_resource_group and others.use_existing_resource_group),
        }
    names = {
        "serviceFqdn": new.fqdn,
        "serviceName": new.service,
        "dnsLabel": new.dns_label,
        "storageAccountName": new.storage_account,
        "keyVaultName": new.key_vault,
        "resourceGroup": new.resource_group,
    }
    where = earlier.entry.prefix.rstrip(".")
    advices = {
        "resourceGroup": "a new group belongs to one entry, so name another, or let both use an "
        "existing one"
    }
    if later.certificate and later.certificate == earlier.certificate:
        advices["serviceFqdn"] = (
            "set serviceFqdn in each, to names that the certificate they share carries "
            f"({listed(later.certificate.dns_names)}), or give each entry its own certificate"
        )
    for key in (key for key, clash in clashes.items() if clash):
        given = later.entry.is_given(key)
        if key == "serviceName" and clashes["serviceFqdn"] and not given:
            continue  # it follows from the FQDN
        text = "is" if given else f'is not given and would be "{names[key]}", which is'
        advice = advices.get(key, "give each entry its own")
        later.entry.refuse(key, f"{text} also that of {where}: {advice}")


def _choices(names: Mapping[str, object]) -> str:
    *most, last = (f'"{name}"' for name in names)
    return f"{', '.join(most)} or {last}"
