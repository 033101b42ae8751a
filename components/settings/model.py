"""The settings as a model: every key with its type, default, rule and description.

This is the one place where a key is defined: the `config` block of `Pulumi.yaml` and
`docs/settings.md` are made from it. Rules about one value hang on the value's field; rules
about several are in `checks`.
"""

from __future__ import annotations

from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, InstanceOf, SecretStr
from pydantic.alias_generators import to_camel

from .. import naming, values
from ..certificate import ServiceCertificate
from ..naming import Names
from ..regions import normalise_region
from ..values import Between, Refused
from ..vm_sizes import DEFAULT_SIZE, parse_size, trusted_launch_instead

# Source: Microsoft Learn "Azure Monitor service limits", action groups.
MOST_EMAILS = 1000
MOST_WEBHOOKS = 10
# Source: MicrosoftDocs/azure-docs storage/common/storage-network-security-limitations.md.
MOST_ADDRESSES = 400
# Of 400 (storage-network-security-virtual-networks.md), the service has one.
MOST_SUBNETS = 399


def setting(
    default: Any,
    description: str,
    *,
    rule: str = "",
    shown_default: str = "",
    alias: str | None = None,
    hidden: bool = False,
) -> Any:
    """A field with all that `docs/settings.md` says of it.

    Args:
        default: what holds when the key is not given.
        description: what the key does, in one or two sentences, with its unit.
        rule: what a value must be, where the type does not say it.
        shown_default: the default in words, where it is computed.
        alias: the key, where it is not the attribute's name in camel case.
        hidden: whether messages leave the value out.
    """
    return Field(
        default,
        alias=alias,
        repr=not hidden,
        description=description,
        json_schema_extra={"rule": rule, "default": shown_default},
    )


def _whole(low: int, high: int, unit: str = "") -> Any:
    return AfterValidator(Between(low, high, unit))


def _region(value: str) -> str:
    region = normalise_region(value)
    if not region.isalnum():
        raise Refused(
            "is not the name of an Azure region: use its display name or its short name, such as "
            '"West Europe" or "westeurope"'
        )
    return region


def _vm_size(value: str) -> str:
    size = parse_size(value)
    if size is None:
        raise Refused("is not the name of a virtual machine size: use the form Standard_D2s_v5")
    instead = trusted_launch_instead(value)
    if instead:
        raise Refused(
            f"cannot do Trusted Launch, which the service needs: the nearest size that can is "
            f"{instead}"
        )
    return str(size)


def _secret(rule: Any) -> Any:
    """A rule for the text within a secret."""
    return AfterValidator(lambda secret: SecretStr(rule(secret.get_secret_value())))


def _emails(addresses: tuple[str, ...]) -> tuple[str, ...]:
    rule = f"an action group takes {MOST_EMAILS}: use a distribution list"
    values.no_more_than(MOST_EMAILS, addresses, "addresses", rule)
    values.no_repeats(addresses, "address")
    return addresses


def _webhooks(urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    rule = f"an action group takes {MOST_WEBHOOKS}: remove some"
    values.no_more_than(MOST_WEBHOOKS, urls, "URLs", rule)
    values.no_repeats([url.get_secret_value() for url in urls], "URL", key=str)
    return urls


def _address(given: str) -> str:
    values.public_addresses(given)
    return given


def _addresses(given: tuple[str, ...]) -> tuple[str, ...]:
    single = tuple(address for value in given for address in values.public_addresses(value))
    rule = f"a storage account takes {MOST_ADDRESSES}: use larger networks"
    values.no_more_than(MOST_ADDRESSES, single, "addresses", rule)
    values.no_repeats(single, "address")
    return single


def _subnets(given: tuple[str, ...]) -> tuple[str, ...]:
    rule = f"a storage account takes {MOST_SUBNETS} beside the service's own: remove some"
    values.no_more_than(MOST_SUBNETS, given, "subnets", rule)
    values.no_repeats(given, "subnet")
    return given


def _no_repeated(what: str) -> Any:
    def check(given: tuple[str, ...]) -> tuple[str, ...]:
        values.no_repeats(given, what, key=str)
        return given

    return AfterValidator(check)


class _Settings(BaseModel):
    # Strict: a number in quotes is a mistake, and is said to be one.
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=False,
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
    )


class PublisherType(StrEnum):
    """What kind of principal publishes, in Azure's own words."""

    USER = "User"
    GROUP = "Group"
    SERVICE_PRINCIPAL = "ServicePrincipal"


class DnsMode(StrEnum):
    """How the alias (CNAME) of the service comes to be."""

    AZURE = "azure"
    RFC2136 = "rfc2136"
    MANUAL = "manual"


class DnsKeyAlgorithm(StrEnum):
    """Algorithms of TSIG keys (RFC 8945), without the broken HMAC-MD5."""

    HMAC_SHA1 = "hmac-sha1"
    HMAC_SHA224 = "hmac-sha224"
    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA384 = "hmac-sha384"
    HMAC_SHA512 = "hmac-sha512"


class CertificateSettings(_Settings):
    """Where the service certificate comes from: one of three sources."""

    pfx_file: Annotated[str, AfterValidator(values.path)] | None = setting(
        None,
        "PFX (PKCS #12) file with the service certificate, its private key and its chain.",
        rule="a path; relative ones start at the folder of `Pulumi.yaml`",
    )
    pfx_base64: Annotated[SecretStr, _secret(values.base64_text)] | None = setting(
        None,
        "The same as base64 text, for a pipeline that keeps it as a secret.",
        rule="base64 of a PFX file",
    )
    password: SecretStr | None = setting(
        None, "Password of the PFX.", rule="only with `pfxFile` or `pfxBase64`"
    )
    key_vault_secret_id: Annotated[str, AfterValidator(values.key_vault_secret_id)] | None = (
        setting(
            None,
            "A certificate in an existing Key Vault: the URL of its secret. The instances fetch "
            "it themselves, and its firewall must admit their subnet.",
            rule="`https://<vault>.vault.azure.net/secrets/<name>`, without a version; needs "
            "`keyVaultId` and `serviceFqdn`",
        )
    )
    key_vault_id: Annotated[str, AfterValidator(values.key_vault_id)] | None = setting(
        None,
        "Resource id of that vault, which must use Azure RBAC: the service gets the role to read "
        "the secret there.",
        rule="only with `keyVaultSecretId`, and of the same vault",
    )


class AccessSettings(_Settings):
    """Who may download: any one of the ways in that are set is enough."""

    client_trust_roots: Annotated[
        tuple[Annotated[str, AfterValidator(values.path)], ...], _no_repeated("file")
    ] = setting(
        (),
        "PEM files with the root and intermediate certificates that client certificates must "
        "chain to.",
        rule="CA certificates only; relative paths start at the folder of `Pulumi.yaml`",
    )
    revocation_lists: Annotated[
        tuple[Annotated[str, AfterValidator(values.revocation_list_url)], ...],
        _no_repeated("URL"),
    ] = setting(
        (),
        "URLs of the revocation lists (CRL) of those certificates, one for every CA of the "
        "chain; without them, revocation is not checked.",
        rule="http or https; only with `clientTrustRoots`",
    )
    token_key: Annotated[SecretStr, _secret(values.token_key)] | None = setting(
        None,
        "Key that signs download tokens (JWT, HS256).",
        rule="32 bytes or more (`openssl rand -base64 48`)",
    )
    previous_token_key: Annotated[SecretStr, _secret(values.token_key)] | None = setting(
        None,
        "The key before it, accepted as well while tokens that it signed are in use.",
        rule="as `tokenKey`, with it, and another one",
    )
    anonymous: bool = setting(False, "Anybody may download.")


class ContentPublisher(_Settings):
    """A principal of Microsoft Entra ID that may upload and delete content."""

    object_id: Annotated[str, AfterValidator(values.guid)] = setting(
        ..., "Object id in Microsoft Entra ID; not the application id.", rule="a GUID"
    )
    type: PublisherType = setting(..., "What it is.")


def _publishers(given: tuple[ContentPublisher, ...]) -> tuple[ContentPublisher, ...]:
    values.no_repeats([publisher.object_id for publisher in given], "objectId")
    return given


class DnsSettings(_Settings):
    """The alias (CNAME) from the service FQDN to the name that Azure gives."""

    mode: DnsMode = setting(
        DnsMode.MANUAL,
        "`azure`: a record in an Azure DNS zone; `rfc2136`: a signed dynamic update of your own "
        "DNS server; `manual`: the record is shown, and you create it.",
    )
    zone: Annotated[str, AfterValidator(values.domain)] = setting(
        "",
        "The zone that the record goes into.",
        rule="`serviceFqdn` lies in it and is not its apex; required with `azure` and `rfc2136`",
    )
    resource_group: Annotated[str, AfterValidator(naming.resource_group_name)] = setting(
        "", "Resource group of the Azure DNS zone.", rule="required with `azure`, and only there"
    )
    subscription_id: Annotated[str, AfterValidator(values.guid)] | None = setting(
        None,
        "Subscription of the Azure DNS zone.",
        rule="a GUID; only with `azure`",
        shown_default="the distribution point's",
    )
    ttl: Annotated[int, _whole(1, 604_800, "seconds")] = setting(
        300, "Time to live of the record, in seconds."
    )
    server: Annotated[str, AfterValidator(values.dns_server)] = setting(
        "",
        "DNS server that takes the update.",
        rule="host, host:port or [IPv6]:port; required with `rfc2136`, and only there",
    )
    key_name: Annotated[str, AfterValidator(values.domain)] = setting(
        "", "Name of the TSIG key.", rule="required with `rfc2136`, and only there"
    )
    key_algorithm: DnsKeyAlgorithm = setting(
        DnsKeyAlgorithm.HMAC_SHA256, "Algorithm of the TSIG key.", rule="only with `rfc2136`"
    )
    key_secret: Annotated[SecretStr, _secret(values.base64_text)] | None = setting(
        None, "The TSIG key.", rule="base64; required with `rfc2136`, and only there"
    )


class DistributionPointKeys(_Settings):
    """Every key of a distribution point, as the user gives them."""

    region: Annotated[str, AfterValidator(_region)] = setting(
        "",
        "Azure region, in any spelling that Azure takes.",
        rule="required; a region of the cloud; one that is not known here only gets a warning",
    )
    service_fqdn: Annotated[str, AfterValidator(values.fqdn)] = setting(
        "",
        "Name that clients use.",
        rule="covered by the certificate; no `*`; required with a wildcard certificate or "
        "`certificate.keyVaultSecretId`; unique within the stack",
        shown_default="the certificate's subject",
    )
    service_name: Annotated[str, AfterValidator(naming.service_name)] = setting(
        "",
        "Short name of the service, which begins the names of its resources.",
        rule="3 to 18 lower-case letters and digits, a letter first; unique within the stack",
        shown_default="letters and digits of the FQDN's first label",
    )
    dns_label: Annotated[str, AfterValidator(naming.dns_label)] = setting(
        "",
        "Label of the public IP address: `<label>.<region>.cloudapp.azure.com`.",
        rule="3 to 63 lower-case letters, digits and hyphens, a letter first, no hyphen last; "
        "free in the region",
        shown_default="service name and six characters of a digest",
    )
    storage_account_name: Annotated[str, AfterValidator(naming.storage_account_name)] = setting(
        "",
        "Name of the storage account.",
        rule="3 to 24 lower-case letters and digits; free in all of Azure",
        shown_default="service name and six characters of a digest",
    )
    key_vault_name: Annotated[str, AfterValidator(naming.key_vault_name)] = setting(
        "",
        "Name of the Key Vault.",
        rule="3 to 24 letters, digits and single hyphens, a letter first, no hyphen last; free "
        "in all of Azure",
        shown_default="service name and six characters of a digest",
    )
    description: Annotated[str, AfterValidator(values.printable)] = setting(
        "",
        "What this distribution point is for, in one line.",
        rule=f"{values.LONGEST_LINE} characters at most",
    )
    subscription_id: Annotated[str, AfterValidator(values.guid)] | None = setting(
        None,
        "Subscription that the distribution point goes into.",
        rule="a GUID",
        shown_default="the provider's",
    )
    cloud: str = setting(
        "",
        "Azure cloud: `public`, `usgovernment` or `china`.",
        rule="the one that the provider signs in to",
        shown_default="`azure-native:environment`",
    )
    resource_group: Annotated[str, AfterValidator(naming.resource_group_name)] = setting(
        "",
        "Name of the resource group.",
        rule="1 to 90 letters, digits and `_-().`, no full stop last; a new group belongs to one "
        "distribution point",
        shown_default="service name",
    )
    use_existing_resource_group: bool = setting(
        False,
        "The resource group exists already: it is read, and never changed or deleted.",
        rule="needs `resourceGroup`",
    )
    certificate: CertificateSettings = setting(
        CertificateSettings(),
        "Service certificate.",
        rule="exactly one of `pfxFile`, `pfxBase64` and `keyVaultSecretId`",
    )
    recover_key_vault: bool = setting(
        False, "Takes back a deleted Key Vault of that name, which blocks it for a week."
    )
    test_environment: bool = setting(
        False, "Allows a self-signed or wildcard certificate, which are for tests."
    )
    storage_quota_gb: Annotated[int, _whole(1, 5_000_000, "GB")] = setting(
        2000, "Storage quota in GB (10^9 bytes).", alias="storageQuotaGB"
    )
    transfer_quota_gb: Annotated[int, _whole(1, 1_000_000_000, "GB")] = setting(
        10_000,
        "Quota of bytes sent to clients within the transfer period, in GB.",
        alias="transferQuotaGB",
    )
    transfer_period_days: Annotated[int, _whole(1, 90, "days")] = setting(
        30, "Length of the transfer period in days, which slides."
    )
    warning_percent: Annotated[int, _whole(1, 100, "percent of the quota")] = setting(
        50, "Use of either quota that raises a warning, in percent.", rule="< `criticalPercent`"
    )
    critical_percent: Annotated[int, _whole(1, 100, "percent of the quota")] = setting(
        90, "Use of either quota that raises a critical alert, in percent."
    )
    stop_at_critical: bool = setting(
        False,
        "Stops serving content when the transfer reaches the critical percentage, until use "
        "falls or the quota is raised.",
    )
    certificate_warning_days: Annotated[int, _whole(1, 365, "days")] = setting(
        30, "Days before the certificate's expiry at which an alert is raised."
    )
    alert_emails: Annotated[
        tuple[Annotated[str, AfterValidator(values.email)], ...], AfterValidator(_emails)
    ] = setting((), "E-mail addresses that alerts go to.", rule=f"{MOST_EMAILS} at most")
    alert_webhooks: Annotated[
        tuple[Annotated[SecretStr, _secret(values.https_url)], ...], AfterValidator(_webhooks)
    ] = setting(
        (),
        "URLs that alerts are posted to, in Azure's common alert schema.",
        rule=f"https; {MOST_WEBHOOKS} at most",
    )
    monthly_budget: Annotated[int, _whole(0, 1_000_000_000)] = setting(
        0, "Monthly budget in the subscription's currency; 0 is none."
    )
    instances: Annotated[int, _whole(0, 16)] = setting(
        2, "Number of instances; 0 stops the service and keeps the content."
    )
    vm_size: Annotated[str, AfterValidator(_vm_size)] = setting(
        DEFAULT_SIZE,
        "Size of the instances. They carry every byte: look at the size's network bandwidth.",
        rule="one that can do Trusted Launch",
    )
    zones: Annotated[tuple[str, ...], AfterValidator(values.zones)] = setting(
        (), "Availability zones that the instances are spread over.", rule='"1", "2", "3"'
    )
    automatic_os_upgrades: bool | None = setting(
        None,
        "Azure replaces the instances' system disks when a new image appears. Where it is off, "
        "the instances patch themselves.",
        rule="not with an x64 size, whose image is not on Azure's list",
        shown_default="`true` for an arm64 size, else `false`",
    )
    log_workspace_id: Annotated[str, AfterValidator(values.log_workspace_id)] | None = setting(
        None,
        "Resource id of an existing Log Analytics workspace, in any subscription and region; rule, "
        "end point and log alerts are made in its region.",
        rule="an ARM id",
        shown_default="a workspace of its own",
    )
    service_port: Annotated[int, AfterValidator(values.service_port)] = setting(
        443,
        "TCP port of the service.",
        rule="from 1 to 65534, but for ports that Azure's health probes may not use",
    )
    access: AccessSettings = setting(
        AccessSettings(), "Who may download.", rule="at least one way in"
    )
    content_publishers: Annotated[tuple[ContentPublisher, ...], AfterValidator(_publishers)] = (
        setting((), "Principals that may upload content.", rule="each once")
    )
    publisher_addresses: Annotated[
        tuple[Annotated[str, AfterValidator(_address)], ...], AfterValidator(_addresses)
    ] = setting(
        (),
        "Public IPv4 addresses and networks (CIDR) from which content is uploaded.",
        rule=f"public IPv4; {MOST_ADDRESSES} at most",
    )
    publisher_subnets: Annotated[
        tuple[Annotated[str, AfterValidator(values.subnet_id)], ...], AfterValidator(_subnets)
    ] = setting(
        (),
        "Resource ids of subnets in Azure from which content is uploaded; each needs a service end "
        "point for storage.",
        rule=f"{MOST_SUBNETS} at most",
    )
    dns: DnsSettings = setting(
        DnsSettings(), "The alias (CNAME) from the service FQDN to the name that Azure gives."
    )
    nameservers: Annotated[
        tuple[Annotated[str, AfterValidator(values.name_server)], ...],
        _no_repeated("server"),
    ] = setting(
        (),
        "DNS servers for the look-ups made from this machine.",
        rule="host, host:port, [IPv6]:port, or an https:// URL (DNS over HTTPS)",
        shown_default="`CLOUDDP_NAMESERVERS`, else the system's",
    )
    proxy: Annotated[SecretStr, _secret(values.proxy_url)] | None = setting(
        None,
        "Proxy for the checks made from this machine.",
        rule="a URL, which may carry user and password",
        shown_default="`HTTPS_PROXY`",
    )
    readiness_timeout_minutes: Annotated[int, _whole(0, 1440, "minutes")] = setting(
        30, "How long `up` waits for the service to be ready, in minutes; 0 does not wait."
    )
    readiness_interval_seconds: Annotated[int, _whole(1, 600, "seconds")] = setting(
        10, "Time between two checks while waiting, in seconds."
    )
    readiness_path: Annotated[str, AfterValidator(values.blob_name)] | None = setting(
        None,
        "Path of content of which `up` downloads a part as BITS does, once it is published.",
        rule="its name in the container, not percent-encoded, such as `packages/client.msi`; needs "
        "`access.tokenKey` or `access.anonymous`",
        shown_default="none",
    )
    status_log_file: Annotated[str, AfterValidator(values.path)] | None = setting(
        None,
        "File that the stages of readiness are logged to.",
        rule="a path in an existing folder; relative ones start at the folder of `Pulumi.yaml`",
        shown_default="none",
    )
    ssh_public_key: Annotated[str, AfterValidator(values.ssh_public_key)] | None = setting(
        None,
        "SSH public key of the instances, which Azure demands although nothing answers SSH.",
        rule="RSA of 2048 bits or more, or Ed25519",
        shown_default="a key without a private half",
        hidden=True,  # somebody may paste the private one
    )
    protect_content: bool = setting(True, "Content is never deleted or replaced by accident.")
    tags: Annotated[dict[str, str], AfterValidator(values.tags)] = setting(
        {},
        "Tags of everything that takes tags.",
        rule=f"{values.MOST_TAGS} at most; names up to {values.LONGEST_TAG_NAME} and values up "
        f"to {values.LONGEST_TAG_VALUE} characters; no `<>%&\\?/` in names",
    )


class DistributionPointSettings(DistributionPointKeys):
    """One distribution point with everything worked out: keys, names, and what files hold."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    names: Names
    """Physical names of everything."""
    service_certificate: InstanceOf[ServiceCertificate] | None = Field(exclude=True)
    """The certificate that was read, or None where another vault holds it."""
    trust_roots_pem: str
    """The certificates of `access.clientTrustRoots`, one after the other, or empty."""
    fqdn_from_certificate: bool
    """Whether the service FQDN follows from the certificate, for want of `serviceFqdn`."""
    service_name_from_fqdn: bool
    """Whether the service name follows from the service FQDN, for want of `serviceName`."""
    warnings: tuple[str, ...]
    """What is worth a warning, one sentence each."""


def kind_of(annotation: Any) -> str:
    """The type of a setting in the words of `Pulumi.yaml`, which knows these five."""
    plain = _plain(annotation)
    if plain in (bool, int):
        return "boolean" if plain is bool else "integer"
    if get_origin(plain) is tuple:
        return "array"
    if get_origin(plain) is dict or model_of(plain):
        return "object"
    return "string"


def item_of(annotation: Any) -> Any:
    """The type of a list's items."""
    return get_args(_plain(annotation))[0]


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model of a nested object, or None for anything else."""
    plain = _plain(annotation)
    return plain if isinstance(plain, type) and issubclass(plain, BaseModel) else None


def is_secret(annotation: Any) -> bool:
    """Whether a setting's value, or an item of its list, is a secret."""
    plain = _plain(annotation)
    return plain is SecretStr or any(is_secret(part) for part in get_args(plain))


def _plain(annotation: Any) -> Any:
    """Takes `Annotated` and `| None` off a type."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _plain(next(part for part in get_args(annotation) if part is not NoneType))
    return annotation
