"""A monthly estimate, so that a reviewer sees what a stack costs before it exists.

Pure: a small table of dated list prices, and the lines of text that a preview shows. What the
table does not have is said, never guessed. ``docs/quotas.md`` says how to bring it up to date.

Sources, US dollars, list prices without tax and discounts:

- sizes: Azure Retail Prices API (``https://prices.azure.com/api/retail/prices``) as recorded on
  2026-06-18 in Azure/karpenter-provider-azure ``pkg/providers/pricing/zz_generated.pricing.go``.
  In these series the price is proportional to the number of vCPUs (checked there: within 0.5 %).
- transfer: ``https://azure.microsoft.com/pricing/details/bandwidth/``, the first and dearest tier,
  by the continent of the region.
- balancer, address: ``https://azure.microsoft.com/pricing/details/load-balancer/`` (up to five
  rules) and ``.../pricing/details/ip-addresses/`` (standard, static).
- content: Hot LRS, first 50 TB, East US (``.../pricing/details/storage/blobs/``); other regions
  differ by some tenths.
- alerts: ``.../pricing/details/monitor/``, by how often a log alert is evaluated.
- disks: Standard SSD, LRS (``.../pricing/details/managed-disks/``), East US.

Only the sizes come from a dated record. The other figures are those of the pages named, as public
sources of the first half of 2026 quote them; Asia's price of transfer is not confirmed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .vm_sizes import parse_size

if TYPE_CHECKING:
    from .settings import DistributionPointSettings

PRICES_OF = "2026-06-18"
HOURS = 730
"""Hours in a month, as Azure's own calculator counts."""
DAYS = 30

_BALANCER_HOUR = 0.025
_BALANCER_GB = 0.005
_ADDRESS_HOUR = 0.005
_CONTENT_GB_MONTH = 0.0208
_DISK_MONTH = {32: 2.40, 64: 4.80, 128: 9.60, 256: 19.20, 512: 38.40}
"""By GiB; Azure charges the next of these sizes that is large enough."""
_LOG_ALERTS_MONTH = 2 * 1.50 + 3 * 0.50
"""Two look every five minutes, three less often."""
_METRIC_ALERT_MONTH = 0.10
_TRANSFER_GB = {1: 0.087, 2: 0.12, 3: 0.181}
"""By transfer zone: 1 North America and Europe; 2 Asia, Oceania, Middle East and Africa; 3 South
America."""

_SERIES = (("D", "s", 5), ("D", "s", 6), ("D", "ps", 6))
_REGIONS = """
austriaeast          1 0.115  0.121  -
canadacentral        1 0.107  0.112  0.078
canadaeast           1 0.107  0.112  0.078
centralus            1 0.108  0.114  0.0792
eastus               1 0.096  0.101  0.0702
eastus2              1 0.096  0.101  0.0702
francecentral        1 0.112  0.118  0.082
francesouth          1 0.146  0.153  -
germanynorth         1 0.15   0.157  -
germanywestcentral   1 0.115  0.121  0.0838
italynorth           1 0.112  0.118  0.0816
mexicocentral        1 0.106  0.111  0.0772
northcentralus       1 0.096  0.101  0.0702
northeurope          1 0.107  0.112  0.0784
norwayeast           1 0.127  0.144  0.1
norwaywest           1 0.164  0.173  -
polandcentral        1 0.115  0.121  0.0838
southcentralus       1 0.115  0.121  0.0842
spaincentral         1 0.107  0.112  0.0784
swedencentral        1 0.102  0.107  0.0748
swedensouth          1 0.133  0.139  -
switzerlandnorth     1 0.127  0.134  0.109
switzerlandwest      1 0.164  0.204  -
uksouth              1 0.111  0.117  0.081
ukwest               1 0.116  0.122  0.0848
westcentralus        1 0.115  0.121  0.0842
westeurope           1 0.115  0.121  0.0838
westus               1 0.112  0.118  0.082
westus2              1 0.096  0.101  0.0702
westus3              1 0.096  0.101  0.0702
australiacentral     2 0.12   0.126  -
australiacentral2    2 0.12   0.126  -
australiaeast        2 0.12   0.126  0.0874
australiasoutheast   2 0.125  0.131  0.0912
centralindia         2 0.101  0.106  0.0462
eastasia             2 0.132  0.139  0.0966
indonesiacentral     2 0.108  -      -
israelcentral        2 0.112  0.118  -
japaneast            2 0.124  0.13   0.0902
japanwest            2 0.124  0.13   0.0904
jioindiacentral      2 0.101  0.106  -
jioindiawest         2 0.101  0.106  -
koreacentral         2 0.118  0.124  0.0914
koreasouth           2 0.11   0.116  -
malaysiawest         2 0.108  -      -
newzealandnorth      2 0.126  -      0.0918
qatarcentral         2 0.118  0.124  -
southafricanorth     2 0.127  0.134  0.0984
southafricawest      2 0.165  0.173  -
southeastasia        2 0.12   0.126  0.0874
southindia           2 0.135  0.142  -
uaecentral           2 0.153  0.161  -
uaenorth             2 0.118  0.124  0.0856
westindia            2 0.123  0.129  -
brazilsouth          3 0.153  0.161  0.112
brazilsoutheast      3 0.199  0.209  -
chilecentral         3 0.134  -      -
"""


class _Part(NamedTuple):
    text: str
    dollars: float | None
    """Of a month; None where the table has no price."""


class _Region(NamedTuple):
    zone: int
    hour_of_two_vcpus: tuple[float | None, ...]
    """For each of the series."""


def estimate(
    *,
    service: str,
    cloud: str,
    region: str,
    instances: int,
    vm_size: str,
    os_disk_gib: int,
    storage_quota_gb: int,
    transfer_quota_gb: int,
    transfer_period_days: int,
    stop_at_critical: bool,
) -> tuple[str, ...]:
    """What one distribution point costs in a month, as lines of text.

    Args:
        service: service name.
        cloud: name of the cloud.
        region: region, in its short form.
        instances: how many instances there should be.
        vm_size: size of each.
        os_disk_gib: size of each instance's disk.
        storage_quota_gb: storage quota in GB.
        transfer_quota_gb: transfer quota in GB.
        transfer_period_days: days over which transfer counts.
        stop_at_critical: whether the service stops to serve content near that quota.
    """
    if cloud != "public":
        return (f"No estimate for {service}: the price table has no prices of cloud {cloud}.",)
    found = _TABLE.get(region)
    if found is None:
        return (f"No estimate for {service}: the price table does not know region {region}.",)
    parts = (
        *_compute(instances, vm_size, os_disk_gib, region, found),
        _Part("load balancer and public address", (_BALANCER_HOUR + _ADDRESS_HOUR) * HOURS),
        _Part(
            f"content, when all of the quota of {storage_quota_gb:,} GB is used (price of East US)",
            storage_quota_gb * _CONTENT_GB_MONTH,
        ),
        _Part("alerts", alerts_month(instances)),
    )
    unknown = any(part.dollars is None for part in parts)
    fixed = sum(part.dollars or 0 for part in parts)
    transfer = _TRANSFER_GB[found.zone] + _BALANCER_GB
    most_gb = transfer_quota_gb * DAYS / transfer_period_days
    heading = (
        f"Estimate for {service} in {region}, from list prices of {PRICES_OF} in US dollars, "
        "before tax and discounts:"
    )
    per_tb = (
        f"  {_money(1000 * transfer)} for each TB that clients download: "
        f"{_money(most_gb * transfer)} a month when all of the quota is used ({most_gb:,.0f} GB)"
        f"{'' if stop_at_critical else ', at which nothing stops (stopAtCritical)'}"
    )
    return (
        heading,
        f"  {_money(fixed)} a month{', without what has no price below' if unknown else ''}",
        *(f"    {_money(part.dollars)} {part.text}" for part in parts),
        per_tb,
        "  Not in it: storage operations, and logs of some megabytes a day.",
    )


def alerts_month(instances: int) -> float:
    """What the alerts cost in a month: without instances, only those on storage are on.

    Args:
        instances: how many instances there should be.
    """
    return _LOG_ALERTS_MONTH + 5 * _METRIC_ALERT_MONTH if instances else 2 * _METRIC_ALERT_MONTH


def estimate_for(settings: DistributionPointSettings, *, os_disk_gib: int) -> tuple[str, ...]:
    """The estimate of the distribution point that an entry of a stack describes.

    Args:
        settings: the entry.
        os_disk_gib: size of each instance's disk.
    """
    return estimate(
        service=settings.names.service,
        cloud=settings.cloud,
        region=settings.names.region,
        instances=settings.instances,
        vm_size=settings.vm_size,
        os_disk_gib=os_disk_gib,
        storage_quota_gb=settings.storage_quota_gb,
        transfer_quota_gb=settings.transfer_quota_gb,
        transfer_period_days=settings.transfer_period_days,
        stop_at_critical=settings.stop_at_critical,
    )


def _compute(
    instances: int, vm_size: str, os_disk_gib: int, region: str, found: _Region
) -> tuple[_Part, ...]:
    if not instances:
        return (_Part("instances: the service is stopped", 0),)
    hour = _size_hour(vm_size, found)
    disk = next((_DISK_MONTH[gib] for gib in _DISK_MONTH if gib >= os_disk_gib), None)
    return (
        _Part(f"{instances} x {vm_size} in {region}", hour and instances * hour * HOURS),
        _Part(
            f"{instances} x disk of {os_disk_gib} GiB (price of East US)",
            disk and instances * disk,
        ),
    )


def _size_hour(vm_size: str, region: _Region) -> float | None:
    size = parse_size(vm_size)
    if size is None or size.constrained or size.extra or size.promo:
        return None
    series = (size.family, size.features, size.version)
    if series not in _SERIES:
        return None
    of_two = region.hour_of_two_vcpus[_SERIES.index(series)]
    return None if of_two is None else of_two / 2 * size.number


def _money(dollars: float | None) -> str:
    return "no price:" if dollars is None else f"${dollars:,.0f}"


def _parsed(text: str) -> dict[str, _Region]:
    rows = (line.split() for line in text.strip().splitlines())
    return {
        region: _Region(int(zone), tuple(None if each == "-" else float(each) for each in hours))
        for region, zone, *hours in rows
    }


_TABLE = _parsed(_REGIONS)
