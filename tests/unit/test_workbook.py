"""The workbook: valid, the same for the same settings, and about everything that may go wrong."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from components.quotas.usage_table import COLUMNS
from components.quotas.workbook import Picture, serialized

PICTURE = Picture(
    fqdn="clouddp1.contoso.com",
    description="Content for laptops",
    service="clouddp1",
    table="clouddp1abc234_CL",
    transfer_period_days=30,
    certificate_warning_days=45,
    instances=2,
    service_port=8443,
)
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
ACCOUNT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"
BALANCER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/b"

TEXT, QUERY, PARAMETERS, METRICS = 1, 3, 9, 10


def text(**changed: Any) -> str:
    return serialized(
        replace(PICTURE, **changed),
        workspace_id=WORKSPACE,
        storage_account_id=ACCOUNT,
        load_balancer_id=BALANCER,
    )


def items(**changed: Any) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(text(**changed))["items"]}


def queries(**changed: Any) -> dict[str, str]:
    return {
        name: each["content"]["query"]
        for name, each in items(**changed).items()
        if each["type"] == QUERY
    }


def test_it_has_the_form_that_the_portal_reads() -> None:
    workbook = json.loads(text())
    assert workbook.keys() == {"version", "items", "fallbackResourceIds", "$schema"}
    assert workbook["version"] == "Notebook/1.0"
    assert workbook["fallbackResourceIds"] == ["azure monitor"]
    versions = {each["type"]: each["content"].get("version") for each in workbook["items"]}
    assert versions == {
        TEXT: None,
        PARAMETERS: "KqlParameterItem/1.0",
        QUERY: "KqlItem/1.0",
        METRICS: "MetricsItem/2.0",
    }


def test_the_same_settings_give_the_same_text() -> None:
    assert text() == text()
    assert text(instances=3) != text()


def test_every_item_has_a_name_of_its_own() -> None:
    names = [each["name"] for each in json.loads(text())["items"]]
    assert len(set(names)) == len(names)


def test_it_draws_all_that_an_operator_asks_for() -> None:
    assert items().keys() == {
        "heading",
        "parameters",
        "all-is-well",
        "open-alerts",
        "transfer-quota",
        "storage-quota",
        "bytes-by-day",
        "requests-by-day",
        "cache-hit-share",
        "instances-healthy",
        "instances",
        "top-content",
        "bytes-as-azure-counts",
        "storage-as-azure-counts",
    }


def test_ids_of_resources_are_parameters_that_the_reader_does_not_see() -> None:
    parameters = {each["name"]: each for each in items()["parameters"]["content"]["parameters"]}
    assert {name: each["value"] for name, each in parameters.items() if name != "TimeRange"} == {
        "Subscription": "/subscriptions/s",
        "Workspace": WORKSPACE,
        "StorageAccount": ACCOUNT,
        "LoadBalancer": BALANCER,
    }
    hidden = {name for name, each in parameters.items() if each.get("isHiddenWhenLocked")}
    assert hidden == {"Subscription", "Workspace", "StorageAccount", "LoadBalancer"}
    assert len({each["id"] for each in parameters.values()}) == len(parameters)
    for resource in (WORKSPACE, ACCOUNT, BALANCER):
        assert text().count(resource) == 1


def test_every_query_reads_the_workspace_and_names_only_columns_that_exist() -> None:
    columns = {each.name for each in COLUMNS}
    of_rows = {name: query for name, query in queries().items() if name != "open-alerts"}
    for name in of_rows:
        assert items()[name]["content"]["crossComponentResources"] == ["{Workspace}"]
    read = {
        column
        for query in of_rows.values()
        for column in columns | {"NoSuchColumn"}
        if column in query
    }
    assert read == columns
    assert all(query.count(PICTURE.table) >= 1 for query in of_rows.values())


@pytest.mark.parametrize(
    ("chart", "used", "quota"),
    [
        ("transfer-quota", "BytesSent", "TransferQuota"),
        ("storage-quota", "BytesStored", "StorageQuota"),
    ],
)
def test_use_is_drawn_with_the_lines_of_both_thresholds_and_the_quota(
    chart: str, used: str, quota: str
) -> None:
    query = queries()[chart]
    assert f"Used = max({used} / 1000000000.0), Quota = max({quota} / 1000000000.0)" in query
    assert "by bin(TimeGenerated, {TimeRange:grain})" in query
    assert "Warning = Quota * WarningPercent / 100" in query
    assert "Critical = Quota * CriticalPercent / 100" in query
    assert items()[chart]["content"]["visualization"] == "linechart"


def test_a_raised_quota_leaves_the_workbook_as_it_is() -> None:
    about = {each.name for each in fields(Picture)}
    assert not {name for name in about if "quota" in name or "percent" in name}


def test_the_charts_begin_with_the_transfer_period() -> None:
    time_range = items(transfer_period_days=14)["parameters"]["content"]["parameters"][0]
    day = 24 * 60 * 60 * 1000
    assert time_range["value"] == {"durationMs": 14 * day}
    assert {"durationMs": 14 * day} in time_range["typeSettings"]["selectableValues"]


TILES = """\
let Rows = clouddp1abc234_CL;
let Newest = Rows | summarize arg_max(TimeGenerated, *);
let Living = toscalar(Rows | where TimeGenerated >= ago(30m) | summarize dcount(Instance));
union
(Rows
| where isnotnull(TransferPercent)
| summarize arg_max(TimeGenerated, *)
| extend Percent = TransferPercent
| project Order = 1, Tile = 'Transfer used', \
Value = iff(isnull(Percent), 'unknown', strcat(round(Percent, 1), ' %')),
    Detail = iff(isnull(Percent), 'not measured yet',
        strcat(round(BytesSent / 1000000000.0, 1), ' of ', TransferQuota / 1000000000.0, ' GB')),
    Level = case(isnull(Percent) or TimeGenerated < ago(30m), 'unknown', \
Percent >= CriticalPercent, 'critical', Percent >= WarningPercent, 'warning', 'good')),
(Rows
| where isnotnull(StoragePercent)
| summarize arg_max(TimeGenerated, *)
| extend Percent = StoragePercent
| project Order = 2, Tile = 'Storage used', \
Value = iff(isnull(Percent), 'unknown', strcat(round(Percent, 1), ' %')),
    Detail = iff(isnull(Percent), 'not measured yet',
        strcat(round(BytesStored / 1000000000.0, 1), ' of ', StorageQuota / 1000000000.0, ' GB')),
    Level = case(isnull(Percent) or TimeGenerated < ago(30m), 'unknown', \
Percent >= CriticalPercent, 'critical', Percent >= WarningPercent, 'warning', 'good')),
(Newest
| project Order = 3, Tile = 'Certificate',
    Value = iff(isnull(CertificateDaysLeft), 'unknown', strcat(CertificateDaysLeft, ' days left')),
    Detail = CertificateThumbprint,
    Level = case(isnull(CertificateDaysLeft) or TimeGenerated < ago(30m), 'unknown',
        CertificateDaysLeft < 0, 'critical',
        CertificateDaysLeft <= 45, 'warning', 'good')),
(print Order = 4, Tile = 'Instances posting', Value = strcat(Living, ' of 3'),
    Detail = 'in the last half hour',
    Level = case(Living >= 3, 'good', Living == 0, 'critical', 'warning')),
(Newest
| extend Known = isnotnull(TimeGenerated) and TimeGenerated >= ago(30m)
| project Order = 5, Tile = 'Content',
    Value = case(not(Known), 'unknown', Stopped, 'stopped', 'served'),
    Detail = iff(isnull(TimeGenerated), 'no instance has posted yet',
        strcat('as of ', format_datetime(TimeGenerated, 'yyyy-MM-dd HH:mm'), ' UTC')),
    Level = case(not(Known), 'unknown', Stopped, 'critical', 'good'))
| sort by Order asc"""


def test_the_tiles_turn_at_the_thresholds_and_know_nothing_that_is_old() -> None:
    # Whole, since nothing here can run it: whoever changes it reads it here once more.
    assert queries(instances=3)["all-is-well"] == TILES


def test_a_tile_has_the_sign_of_its_level() -> None:
    settings = items()["all-is-well"]["content"]["tileSettings"]["rightContent"]
    signs = settings["formatOptions"]["thresholdsGrid"]
    assert {each.get("thresholdValue"): each["representation"] for each in signs} == {
        "good": "success",
        "warning": "2",
        "critical": "4",
        None: "unknown",
    }


def test_a_stopped_service_is_not_said_to_serve() -> None:
    query = queries(instances=0)["all-is-well"]
    assert "Value = 'not served'" in query
    assert "'served')" not in query


def test_open_alerts_are_those_of_this_distribution_point() -> None:
    alerts = items()["open-alerts"]["content"]
    assert (alerts["queryType"], alerts["crossComponentResources"]) == (1, ["{Subscription}"])
    assert alerts["resourceType"] == "microsoft.resourcegraph/resources"
    assert "timeContextFromParameter" not in alerts
    assert (
        "| where Rule startswith '/subscriptions/s/resourcegroups/g/' and Rule contains "
        "'/clouddp1-'\n| where properties.essentials.monitorCondition =~ 'Fired'"
    ) in alerts["query"]


def test_the_tiles_show_the_newest_row_whatever_the_charts_show() -> None:
    content = items()["all-is-well"]["content"]
    assert "timeContextFromParameter" not in content
    assert content["timeContext"]["durationMs"] > 0


def test_the_shares_of_a_day_without_requests_are_not_a_division_by_zero() -> None:
    assert "iff(sum(Requests - Refused) == 0, real(null)," in queries()["cache-hit-share"]


def test_metrics_are_those_of_the_balancer_and_of_the_account() -> None:
    drawn = {
        name: [each["metric"] for each in item["content"]["metrics"]]
        for name, item in items().items()
        if item["type"] == METRICS
    }
    assert drawn == {
        "instances-healthy": [
            "microsoft.network/loadbalancers--DipAvailability",
            "microsoft.network/loadbalancers--VipAvailability",
        ],
        "bytes-as-azure-counts": ["microsoft.network/loadbalancers--ByteCount"],
        "storage-as-azure-counts": ["microsoft.storage/storageaccounts-Capacity-UsedCapacity"],
    }


def test_bytes_are_added_up_and_shares_are_averaged() -> None:
    total, average = 1, 4
    drawn = {
        each["metric"].rpartition("-")[2]: each["aggregation"]
        for item in items().values()
        if item["type"] == METRICS
        for each in item["content"]["metrics"]
    }
    assert drawn == {
        "DipAvailability": average,
        "VipAvailability": average,
        "ByteCount": total,
        "UsedCapacity": average,
    }


def test_bytes_through_the_balancer_are_those_of_the_service_by_direction() -> None:
    (metric,) = items()["bytes-as-azure-counts"]["content"]["metrics"]
    assert metric["splitBy"] == "Direction"
    assert [(each["key"], each["values"]) for each in metric["filters"]] == [
        ("FrontendPort", ["8443"])
    ]


def test_the_heading_says_what_it_is_about_and_whether_it_is_stopped() -> None:
    running = items()["heading"]["content"]["json"]
    assert "clouddp1.contoso.com" in running
    assert "Content for laptops" in running
    assert "Stopped" not in running
    assert "**Stopped**" in items(instances=0)["heading"]["content"]["json"]


def test_a_description_in_any_script_or_with_quotes_stays_as_it_is() -> None:
    description = 'Für "alle", 日本 {TimeRange} \\'
    assert description in items(description=description)["heading"]["content"]["json"]
