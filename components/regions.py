"""Azure's regions: how a region may be spelt, which cloud has it, and whether it has zones.

Azure adds regions all the time, so that this list can only be behind: a region that it does not
know is let through with a warning, unless it is one slip of the pen away from a known one.

Sources, read in November 2026: MicrosoftDocs/reliability-docs ``articles/reliability/
regions-list.md`` (2025-09-23), docs.azure.cn ``reliability/regions-list``, and for Azure
Government ``Azure.Core.AzureLocation`` of the Azure SDK.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ZONED = "zones"
_SINGLE = "no zones"

_PUBLIC = {
    _ZONED: """
        australiaeast austriaeast belgiumcentral brazilsouth canadacentral centralindia centralus
        chilecentral denmarkeast eastasia eastus eastus2 francecentral germanywestcentral
        indonesiacentral israelcentral italynorth japaneast japanwest koreacentral malaysiawest
        mexicocentral newzealandnorth northeurope norwayeast polandcentral qatarcentral
        southafricanorth southcentralus southeastasia spaincentral swedencentral switzerlandnorth
        uaenorth uksouth westeurope westus2 westus3
    """,
    _SINGLE: """
        australiacentral australiacentral2 australiasoutheast brazilsoutheast canadaeast
        francesouth germanynorth jioindiacentral jioindiawest koreasouth northcentralus norwaywest
        southafricawest southindia swedensouth switzerlandwest uaecentral ukwest westcentralus
        westindia westus
    """,
}
_US_GOVERNMENT = {
    _ZONED: "usgovvirginia",
    _SINGLE: "usdodcentral usdodeast usgovarizona usgovtexas",
}
_CHINA = {
    _ZONED: "chinanorth3",
    _SINGLE: "chinaeast chinaeast2 chinaeast3 chinanorth chinanorth2",
}

REGIONS: Mapping[str, Mapping[str, bool]] = MappingProxyType(
    {
        cloud: MappingProxyType(
            {
                region: kind is _ZONED
                for kind, regions in table.items()
                for region in regions.split()
            }
        )
        for cloud, table in (
            ("public", _PUBLIC),
            ("usgovernment", _US_GOVERNMENT),
            ("china", _CHINA),
        )
    }
)
"""For each cloud its regions, by programmatic name, and whether they have availability zones."""


def normalise_region(spelling: str) -> str:
    """The programmatic name of a region: Azure ignores case and spaces ("West Europe")."""
    return "".join(spelling.split()).lower()


def cloud_of_region(region: str) -> str | None:
    """The cloud that a region (programmatic name) belongs to, or None when it is not known."""
    return next((cloud for cloud, regions in REGIONS.items() if region in regions), None)


def has_zones(region: str) -> bool | None:
    """Whether a region has availability zones, or None when the region is not known."""
    cloud = cloud_of_region(region)
    return None if cloud is None else REGIONS[cloud][region]


def nearest_region(region: str, cloud: str) -> str | None:
    """The known region that a misspelt one must mean, or None when none is that close.

    A slip is one letter too many, missing, wrong, or two swapped. A digit is no slip: Azure names
    new regions by counting on (``eastus``, ``eastus2``, ``eastus3``).
    """
    letters = re.sub(r"\d", "", region)
    if any(letters == re.sub(r"\d", "", known) for known in REGIONS[cloud]):
        return None
    return next((known for known in REGIONS[cloud] if _one_slip_apart(region, known)), None)


def _one_slip_apart(left: str, right: str) -> bool:
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    left, right = left[start:], right[start:]
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    return max(len(left), len(right)) == 1 or (len(left) == 2 and left == right[::-1])
