"""The estimate: plain arithmetic on a dated table, which says what it does not know."""

from __future__ import annotations

import re
from typing import Any

import pytest

from components.costs import PRICES_OF, alerts_month, estimate
from components.quotas.alert_rules import LogRule, alert_rules
from components.regions import REGIONS

from .examples import NAMES


def lines(**changed: Any) -> tuple[str, ...]:
    asked: dict[str, Any] = {
        "service": "clouddp1",
        "cloud": "public",
        "region": "westeurope",
        "instances": 2,
        "vm_size": "Standard_D2s_v5",
        "os_disk_gib": 256,
        "storage_quota_gb": 2000,
        "transfer_quota_gb": 10_000,
        "transfer_period_days": 30,
        "stop_at_critical": False,
    }
    return estimate(**{**asked, **changed})


def dollars(line: str) -> float:
    found = re.search(r"\$([\d,]+)", line)
    assert found is not None, line
    return float(found[1].replace(",", ""))


def test_it_says_that_it_is_an_estimate_of_which_day_and_in_which_currency() -> None:
    heading = lines()[0]
    assert heading.startswith("Estimate for clouddp1 in westeurope")
    assert PRICES_OF in heading
    assert "US dollars" in heading
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", PRICES_OF)


def test_the_default_distribution_point_costs_what_the_price_lists_add_up_to() -> None:
    assert lines()[1:] == (
        # 167.90 + 38.40 + 21.90 + 41.60 + 5.00
        "  $275 a month",
        # 2 x 0.115 x 730
        "    $168 2 x Standard_D2s_v5 in westeurope",
        # 2 x 19.20
        "    $38 2 x disk of 256 GiB (price of East US)",
        # (0.025 + 0.005) x 730
        "    $22 load balancer and public address",
        # 2000 x 0.0208
        "    $42 content, when all of the quota of 2,000 GB is used (price of East US)",
        "    $5 alerts",
        # 1000 x (0.087 + 0.005)
        (
            "  $92 for each TB that clients download: $920 a month when all of the quota is used "
            "(10,000 GB), at which nothing stops (stopAtCritical)"
        ),
        "  Not in it: storage operations, and logs of some megabytes a day.",
    )


def test_the_parts_add_up_to_the_whole() -> None:
    whole, *parts = lines(instances=5, storage_quota_gb=40_000)[1:7]
    assert dollars(whole) == pytest.approx(sum(map(dollars, parts)), abs=len(parts))


@pytest.mark.parametrize(
    ("size", "times"),
    [("Standard_D4s_v5", 2), ("standard_d8s_v5", 4), ("Standard_D16s_v5", 8)],
)
def test_a_larger_size_of_a_series_costs_by_its_processors(size: str, times: int) -> None:
    two = dollars(lines(instances=10)[2])
    assert dollars(lines(instances=10, vm_size=size)[2]) == pytest.approx(times * two, abs=times)


@pytest.mark.parametrize(
    "size",
    [
        "Standard_B2s",
        "Standard_D2ds_v5",
        "Standard_D2s_v3",
        "Standard_E4-2s_v5",
        "Standard_D4-2s_v5",
        "Standard_DC2s_v5",
        "nonsense",
    ],
)
def test_a_size_that_is_not_in_the_table_is_said_and_not_guessed(size: str) -> None:
    whole, instances = lines(vm_size=size)[1:3]
    assert instances == f"    no price: 2 x {size} in westeurope"
    assert whole.endswith(" a month, without what has no price below")


def test_a_size_that_the_region_does_not_offer_has_no_price_there() -> None:
    assert "$" in lines(region="westeurope", vm_size="Standard_D2ps_v6")[2]
    assert "no price" in lines(region="francesouth", vm_size="Standard_D2ps_v6")[2]


def test_a_disk_larger_than_the_table_has_no_price() -> None:
    assert lines(os_disk_gib=1024)[3].strip().startswith("no price: 2 x disk of 1024 GiB")
    assert dollars(lines(os_disk_gib=200)[3]) == dollars(lines(os_disk_gib=256)[3])


@pytest.mark.parametrize("region", ["marsnorth", "usgovvirginia"])
def test_a_region_that_is_not_in_the_table_gets_no_estimate(region: str) -> None:
    assert lines(region=region) == (
        f"No estimate for clouddp1: the price table does not know region {region}.",
    )


@pytest.mark.parametrize("cloud", ["usgovernment", "china"])
def test_another_cloud_gets_no_estimate(cloud: str) -> None:
    assert lines(cloud=cloud) == (
        f"No estimate for clouddp1: the price table has no prices of cloud {cloud}.",
    )


@pytest.mark.parametrize("region", sorted(REGIONS["public"]))
def test_the_table_has_every_region_that_the_settings_know(region: str) -> None:
    found = lines(region=region)
    if region == "belgiumcentral":  # younger than the record of prices
        assert found[0].startswith("No estimate")
    else:
        assert "no price" not in "".join(found)


@pytest.mark.parametrize(
    ("region", "per_tb"),
    [("eastus", 92), ("westeurope", 92), ("japaneast", 125), ("brazilsouth", 186)],
)
def test_a_terabyte_costs_by_the_continent_that_it_leaves(region: str, per_tb: int) -> None:
    assert dollars(lines(region=region)[7]) == per_tb


def test_a_quota_over_another_period_is_turned_into_a_month() -> None:
    assert (
        "$1,840 a month when all of the quota is used (20,000 GB)"
        in (lines(transfer_period_days=15)[7])
    )


def test_a_service_that_stops_at_its_quota_is_not_said_to_go_on() -> None:
    assert lines(stop_at_critical=True)[7].endswith("(10,000 GB)")


@pytest.mark.parametrize("instances", [0, 2])
def test_alerts_cost_what_those_that_are_on_add_up_to(instances: int) -> None:
    rules = alert_rules(
        NAMES,
        storage_quota_gb=1,
        transfer_quota_gb=1,
        transfer_period_days=30,
        warning_percent=50,
        critical_percent=90,
        stop_at_critical=False,
        certificate_warning_days=30,
        instances=instances,
    )
    on = [rule for rule in rules if instances or not rule.of_instances]
    dear = {"PT5M": 1.50, "PT15M": 0.50, "PT1H": 0.50}
    prices = [dear[rule.every] if isinstance(rule, LogRule) else 0.10 for rule in on]
    assert alerts_month(instances) == pytest.approx(sum(prices))


def test_a_stopped_service_pays_for_no_instance() -> None:
    stopped = lines(instances=0)
    assert stopped[1] == "  $64 a month"
    assert stopped[2] == "    $0 instances: the service is stopped"
