"""Names: what everything is called in Azure, computed from settings alone.

Pure functions, so that a preview shows the real names before anything exists. What must be unique
in all of Azure carries six characters of the digest of the organisation's own domain and of the
region. A name that Azure would refuse is refused here, with Azure's rule in the message.

Sources: Microsoft Learn "Naming rules and restrictions for Azure resources" and "Resolve errors
for reserved resource names"; azure-rest-api-specs for Key Vault and public IP addresses.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from dataclasses import dataclass

from .clouds import CLOUDS, Cloud
from .values import Refused

DIGEST_LENGTH = 6

_SERVICE_NAME = re.compile(r"[a-z][a-z0-9]{2,17}")
_DNS_LABEL = re.compile(r"[a-z][a-z0-9-]{1,61}[a-z0-9]")
_STORAGE_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_KEY_VAULT = re.compile(r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")
_RESOURCE_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]")

_RESERVED_ANYWHERE = ("microsoft", "windows")
_RESERVED_AT_START = ("login",)
_RESERVED_WHOLE = """
    access azure bing bizspark biztalk cortana directx dotnet dynamics excel exchange forefront
    groove hololens hyperv kinect lync msdn o365 office office365 onedrive onenote outlook
    powerpoint sharepoint skype visio visualstudio xbox
"""


@dataclass(frozen=True, kw_only=True)
class Names:
    """Every physical name of one distribution point, computed from settings alone."""

    service: str
    """Service name: 3-18 lower-case letters and digits, begins with a letter."""
    fqdn: str
    """Service FQDN: lower case, A-labels, no dot at its end."""
    region: str
    """Azure region, in its short form (``westeurope``)."""
    resource_group: str
    dns_label: str
    """First label of the public IP address's name in the Azure domain."""
    site_fqdn: str
    """Name in the Azure domain as a preview shows it; the address's own output is what counts."""
    storage_account: str
    key_vault: str
    log_workspace: str
    """A Log Analytics workspace's name stays taken for two weeks after it was deleted."""
    container: str = "content"
    certificate_secret: str = "certificate"  # noqa: S105 - the secret's name
    settings_secret: str = "settings"  # noqa: S105 - the secret's name

    @classmethod
    def compute(
        cls,
        *,
        service: str,
        fqdn: str,
        region: str,
        cloud: Cloud,
        resource_group: str = "",
        dns_label: str = "",
        storage_account: str = "",
        key_vault: str = "",
    ) -> Names:
        """Fills in every name that was not chosen by hand. Inputs are valid and normalised.

        Args:
            service: service name.
            fqdn: service FQDN.
            region: Azure region, in its short form.
            cloud: the cloud of that region.
            resource_group: a chosen name, else the service name.
            dns_label: a chosen label, else the FQDN's own in the Azure domain, else made up.
            storage_account: a chosen name, else made up.
            key_vault: a chosen name, else made up.
        """
        unique = service + digest(fqdn, region)
        label = dns_label or azure_label(fqdn, region, cloud) or unique
        return cls(
            service=service,
            fqdn=fqdn,
            region=region,
            resource_group=resource_group or service,
            dns_label=label,
            site_fqdn=f"{label}.{region}.{cloud.vm_dns_suffix}",
            storage_account=storage_account or unique,
            key_vault=key_vault or unique,
            log_workspace=unique,
        )

    def of(self, role: str) -> str:
        """The name of something inside the resource group: ``of("network")``."""
        return f"{self.service}-{role}"

    def guid(self, *parts: str) -> str:
        """A GUID that depends on names alone, so that a preview knows it.

        Role assignments need names that are unique in the whole tenant: the storage account's,
        which is unique in all of Azure and never changes without a replacement, sees to that.
        """
        space = uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.storage_account}.clouddp")
        return str(uuid.uuid5(space, "\n".join(parts)))


def digest(fqdn: str, region: str) -> str:
    """Six characters of the digest of the FQDN's parent domain and of the region.

    The parent domain is the organisation's own, so that two organisations never want one name.
    In the Azure domain, where the parent is everyone's, the whole FQDN stands for it.
    """
    domain = fqdn if in_azure_domain(fqdn) else fqdn.partition(".")[2]
    hashed = hashlib.sha256(f"{domain}\n{region}".encode()).digest()
    return base64.b32encode(hashed).decode().lower()[:DIGEST_LENGTH]


def in_azure_domain(fqdn: str) -> bool:
    """Whether an FQDN is one that Azure gives to public IP addresses, in any cloud."""
    return any(fqdn.endswith("." + cloud.vm_dns_suffix) for cloud in CLOUDS.values())


def azure_label(fqdn: str, region: str, cloud: Cloud) -> str | None:
    """The DNS label of an FQDN in the Azure domain of that region, or None for any other FQDN.

    Raises:
        Refused: the FQDN is in the Azure domain, but not of this region and cloud.
    """
    if not in_azure_domain(fqdn):
        return None
    label, _, domain = fqdn.partition(".")
    if domain != f"{region}.{cloud.vm_dns_suffix}":
        raise Refused(
            f"lies in the Azure domain, but is not of the form <label>.{region}."
            f"{cloud.vm_dns_suffix}: correct it, or choose the region that it names"
        )
    return label


def service_name_from_fqdn(fqdn: str) -> str:
    """The service name that an FQDN's first label gives: its letters and digits.

    Nothing is cut off: two long labels might become one name.

    Raises:
        Refused: the label gives no valid service name.
    """
    label = fqdn.partition(".")[0]
    if label.startswith("xn--"):
        raise Refused(f'begins with the international label "{label}", which gives no name')
    cleaned = label.replace("-", "")
    try:
        return service_name(cleaned)
    except Refused:
        raise Refused(
            f'gives "{cleaned}", which is not 3 to 18 lower-case letters and digits that begin '
            "with a letter"
        ) from None


def service_name(name: str) -> str:
    """Checks a service name. Raises Refused."""
    if not _SERVICE_NAME.fullmatch(name):
        raise Refused(
            "is not a service name: use 3 to 18 lower-case letters and digits, a letter first"
        )
    return name


def dns_label(name: str) -> str:
    """Checks the DNS label of a public IP address. Raises Refused."""
    if not _DNS_LABEL.fullmatch(name):
        raise Refused(
            "is not a DNS label that Azure takes: use 3 to 63 lower-case letters, digits and "
            "hyphens, a letter first and no hyphen last"
        )
    return _not_reserved(name)


def storage_account_name(name: str) -> str:
    """Checks the name of a storage account. Raises Refused."""
    if not _STORAGE_ACCOUNT.fullmatch(name):
        raise Refused("is not a storage account name: use 3 to 24 lower-case letters and digits")
    return _not_reserved(name)


def key_vault_name(name: str) -> str:
    """Checks the name of a Key Vault. Raises Refused."""
    if not _KEY_VAULT.fullmatch(name):
        raise Refused(
            "is not a Key Vault name: use 3 to 24 letters, digits and single hyphens, a letter "
            "first and no hyphen last"
        )
    return _not_reserved(name)


def resource_group_name(name: str) -> str:
    """Checks the name of a resource group. Raises Refused."""
    if not _RESOURCE_GROUP.fullmatch(name):
        raise Refused(
            "is not a resource group name: use 1 to 90 letters, digits, underscores, hyphens, "
            "parentheses and full stops, no full stop last"
        )
    return name


def _not_reserved(name: str) -> str:
    low = name.lower()
    word = next(
        (word for word in _RESERVED_ANYWHERE if word in low),
        next((word for word in _RESERVED_AT_START if low.startswith(word)), None),
    ) or (low if low in _RESERVED_WHOLE.split() else None)
    if word:
        raise Refused(
            f'has the word "{word}", which Azure reserves in public names: choose another name'
        )
    return name
