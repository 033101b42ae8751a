"""The Azure clouds that a distribution point can stand in, and what differs between them.

Names, agent, alerts and links all read this one table, so that no host name of a cloud is
written anywhere else.

Sources: Azure/go-autorest ``autorest/azure/environments.go``; for the audience of the logs
ingestion API MicrosoftDocs/azure-monitor-docs ``logs/logs-ingestion-api-overview.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The end points of one Azure cloud. Hosts and URLs have no trailing slash unless said."""

    name: str
    """As ``azure-native:environment`` spells it."""
    vm_dns_suffix: str
    """What follows ``<label>.<region>.`` in the DNS name of a public IP address."""
    storage_suffix: str
    """What follows ``<account>.blob.`` in the blob end point of a storage account."""
    vault_suffix: str
    """What follows ``<vault>.`` in the host name of a Key Vault."""
    resource_manager: str
    """URL of Azure Resource Manager, where platform metrics are read too."""
    login: str
    """URL of Microsoft Entra ID."""
    vault_audience: str
    """Audience of a token for Key Vault: without a trailing slash, as Key Vault wants it."""
    storage_audience: str
    """Audience of a token for storage: one for all clouds, with a trailing slash."""
    monitor_audience: str
    """Audience of a token for the logs ingestion API."""
    portal: str
    """URL of the Azure portal."""


CLOUDS: Mapping[str, Cloud] = MappingProxyType(
    {
        cloud.name: cloud
        for cloud in (
            Cloud(
                name="public",
                vm_dns_suffix="cloudapp.azure.com",
                storage_suffix="core.windows.net",
                vault_suffix="vault.azure.net",
                resource_manager="https://management.azure.com",
                login="https://login.microsoftonline.com",
                vault_audience="https://vault.azure.net",
                storage_audience="https://storage.azure.com/",
                monitor_audience="https://monitor.azure.com",
                portal="https://portal.azure.com",
            ),
            Cloud(
                name="usgovernment",
                vm_dns_suffix="cloudapp.usgovcloudapi.net",
                storage_suffix="core.usgovcloudapi.net",
                vault_suffix="vault.usgovcloudapi.net",
                resource_manager="https://management.usgovcloudapi.net",
                login="https://login.microsoftonline.us",
                vault_audience="https://vault.usgovcloudapi.net",
                storage_audience="https://storage.azure.com/",
                monitor_audience="https://monitor.azure.us",
                portal="https://portal.azure.us",
            ),
            Cloud(
                name="china",
                vm_dns_suffix="cloudapp.chinacloudapi.cn",
                storage_suffix="core.chinacloudapi.cn",
                vault_suffix="vault.azure.cn",
                resource_manager="https://management.chinacloudapi.cn",
                login="https://login.chinacloudapi.cn",
                vault_audience="https://vault.azure.cn",
                storage_audience="https://storage.azure.com/",
                monitor_audience="https://monitor.azure.cn",
                portal="https://portal.azure.cn",
            ),
        )
    }
)

DEFAULT_CLOUD = "public"

_OTHER_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        "azurecloud": "public",
        "azurepubliccloud": "public",
        "usgov": "usgovernment",
        "azureusgovernment": "usgovernment",
        "azureusgovernmentcloud": "usgovernment",
        "azurechinacloud": "china",
    }
)


def cloud_named(spelling: str) -> Cloud | None:
    """Finds a cloud by any name that Azure's own tools use for it, or None."""
    key = spelling.strip().lower()
    return CLOUDS.get(_OTHER_SPELLINGS.get(key, key))
