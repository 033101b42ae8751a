"""The workbook: one picture that tells an operator whether all is well.

Pure: it gives the text that Azure keeps. Its form follows ``schema/workbook.json`` and the
workbooks of microsoft/Application-Insights-Workbooks: ``Notebook/1.0`` with text (type 1), queries
(3), parameters (9) and metric charts (10).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from .alert_rules import BYTES_PER_GB

VERSION = "Notebook/1.0"
_SCHEMA = (
    "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json"
)
_MILLISECONDS_PER_DAY = 24 * 60 * 60 * 1000
_SPACE = uuid.UUID("1f9d5a0e-0d5c-5d0a-9d5f-6f1b7c1c2d11")
"""For the ids of parameters: any fixed GUID does, so that the text never changes by itself."""

# What the numbers of a workbook mean (there is no page that lists them all; each is in use so in
# the workbooks named above).
_TEXT, _QUERY, _PARAMETERS, _METRICS = 1, 3, 9, 10
_OF_TIME, _OF_RESOURCE, _OF_SUBSCRIPTION = 4, 5, 6
_LOGS, _RESOURCE_GRAPH = 0, 1
_LINES = 2
_TOTAL, _AVERAGE = 1, 4
_BY_THRESHOLD, _AS_TEXT, _BIG = 18, 1, 12
_MEDIUM, _FITTING = 0, 3

_HIDDEN = {"isHiddenWhenLocked": True}
_RECENT = "ago(30m)"
"""What a tile says of the present is not older than this."""

_WORKSPACE = "microsoft.operationalinsights/workspaces"
_STORAGE = "microsoft.storage/storageaccounts"
_BALANCER = "microsoft.network/loadbalancers"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What the workbook is about, all but the ids of resources.

    Quotas and thresholds are not in it: rows carry them, so that a raised quota leaves the workbook
    as it is, and its charts show since when it holds.
    """

    fqdn: str
    description: str
    service: str
    """What the names of all alerts begin with."""
    table: str
    transfer_period_days: int
    certificate_warning_days: int
    instances: int
    service_port: int


def serialized(
    picture: Picture, *, workspace_id: str, storage_account_id: str, load_balancer_id: str
) -> str:
    """The workbook as JSON. The same arguments always give the same text.

    Args:
        picture: what it is about, and the table with the agents' rows.
        workspace_id: id of the Log Analytics workspace with that table.
        storage_account_id: id of the storage account.
        load_balancer_id: id of the load balancer.
    """
    content = {
        "version": VERSION,
        "items": [
            _text("heading", _heading(picture)),
            _parameters(
                _time_range(picture.transfer_period_days),
                _resource("Workspace", _WORKSPACE, workspace_id),
                _resource("StorageAccount", _STORAGE, storage_account_id),
                _resource("LoadBalancer", _BALANCER, load_balancer_id),
                _subscription(load_balancer_id),
            ),
            _tiles(picture),
            _open_alerts(picture, load_balancer_id.partition("/providers/")[0]),
            _against_quota(
                picture,
                "transfer-quota",
                f"Sent in {picture.transfer_period_days} days, against the quota (GB)",
                "BytesSent",
                "TransferQuota",
            ),
            _against_quota(
                picture,
                "storage-quota",
                "Stored, against the quota (GB)",
                "BytesStored",
                "StorageQuota",
            ),
            _by_day(
                picture,
                "bytes-by-day",
                "Sent by day (GB)",
                f"Sent = sum({_gb('BytesServed')})",
                "barchart",
            ),
            _by_day(
                picture,
                "requests-by-day",
                "Requests by day",
                "FromCache = sum(CacheHits), FromStorage = sum(Requests - CacheHits - Refused), "
                "Refused = sum(Refused)",
                "barchart",
            ),
            _by_day(
                picture,
                "cache-hit-share",
                "Answered from the cache (%)",
                "CacheHits = iff(sum(Requests - Refused) == 0, real(null), "
                "100.0 * sum(CacheHits) / sum(Requests - Refused))",
                "linechart",
            ),
            _metrics(
                "instances-healthy",
                "Healthy instances and data path (%)",
                _BALANCER,
                "LoadBalancer",
                ("DipAvailability", "", _AVERAGE),
                ("VipAvailability", "", _AVERAGE),
            ),
            _instances(picture),
            _top_content(picture),
            _metrics(
                "bytes-as-azure-counts",
                f"Through the balancer on port {picture.service_port}, by direction (bytes)",
                _BALANCER,
                "LoadBalancer",
                ("ByteCount", "", _TOTAL),
                splitBy="Direction",
                filters=[
                    {
                        "id": "1",
                        "key": "FrontendPort",
                        "operator": 0,
                        "values": [str(picture.service_port)],
                    }
                ],
            ),
            _metrics(
                "storage-as-azure-counts",
                "Stored, as Azure counts it once a day (bytes)",
                _STORAGE,
                "StorageAccount",
                ("UsedCapacity", "Capacity", _AVERAGE),
            ),
        ],
        "fallbackResourceIds": ["azure monitor"],
        "$schema": _SCHEMA,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _heading(picture: Picture) -> str:
    about = f"\n\n{picture.description}" if picture.description else ""
    stopped = "" if picture.instances else "\n\n**Stopped**: the stack asks for no instance."
    return (
        f"## {picture.fqdn}{about}{stopped}\n\n"
        "All is well when every tile is green and no alert is open."
    )


def _quota_tile(order: int, quota: str, used: str) -> str:
    """The part of the tiles' query that holds the newest known figure against one quota."""
    level = (
        f"case(isnull(Percent) or TimeGenerated < {_RECENT}, 'unknown', "
        "Percent >= CriticalPercent, 'critical', Percent >= WarningPercent, 'warning', 'good')"
    )
    return f"""
(Rows
| where isnotnull({quota}Percent)
| summarize arg_max(TimeGenerated, *)
| extend Percent = {quota}Percent
| project Order = {order}, Tile = '{quota} used', \
Value = iff(isnull(Percent), 'unknown', strcat(round(Percent, 1), ' %')),
    Detail = iff(isnull(Percent), 'not measured yet',
        strcat(round({_gb(used)}, 1), ' of ', {_gb(quota + "Quota")}, ' GB')),
    Level = {level})
""".strip()


def _content_tile(picture: Picture) -> str:
    if not picture.instances:
        return (
            "(print Order = 5, Tile = 'Content', Value = 'not served', "
            "Detail = 'the stack asks for no instance', Level = 'unknown')"
        )
    return f"""
(Newest
| extend Known = isnotnull(TimeGenerated) and TimeGenerated >= {_RECENT}
| project Order = 5, Tile = 'Content',
    Value = case(not(Known), 'unknown', Stopped, 'stopped', 'served'),
    Detail = iff(isnull(TimeGenerated), 'no instance has posted yet',
        strcat('as of ', format_datetime(TimeGenerated, 'yyyy-MM-dd HH:mm'), ' UTC')),
    Level = case(not(Known), 'unknown', Stopped, 'critical', 'good'))
""".strip()


def _tiles(picture: Picture) -> dict[str, Any]:
    """One tile for each thing that may go wrong, with a colour that says whether it did."""
    query = f"""
let Rows = {picture.table};
let Newest = Rows | summarize arg_max(TimeGenerated, *);
let Living = toscalar(Rows | where TimeGenerated >= {_RECENT} | summarize dcount(Instance));
union
{_quota_tile(1, "Transfer", "BytesSent")},
{_quota_tile(2, "Storage", "BytesStored")},
(Newest
| project Order = 3, Tile = 'Certificate',
    Value = iff(isnull(CertificateDaysLeft), 'unknown', strcat(CertificateDaysLeft, ' days left')),
    Detail = CertificateThumbprint,
    Level = case(isnull(CertificateDaysLeft) or TimeGenerated < {_RECENT}, 'unknown',
        CertificateDaysLeft < 0, 'critical',
        CertificateDaysLeft <= {picture.certificate_warning_days}, 'warning', 'good')),
(print Order = 4, Tile = 'Instances posting', Value = strcat(Living, ' of {picture.instances}'),
    Detail = 'in the last half hour',
    Level = case(Living >= {picture.instances}, 'good', Living == 0, 'critical', 'warning')),
{_content_tile(picture)}
| sort by Order asc
""".strip()
    item = _query(
        "all-is-well",
        "Is all well?",
        query,
        "tiles",
        size=_FITTING,
        tileSettings={
            "titleContent": {"columnMatch": "Tile", "formatter": _AS_TEXT},
            "subtitleContent": {"columnMatch": "Detail", "formatter": _AS_TEXT},
            "leftContent": {
                "columnMatch": "Value",
                "formatter": _BIG,
                "formatOptions": {"palette": "none"},
            },
            "rightContent": {
                "columnMatch": "Level",
                "formatter": _BY_THRESHOLD,
                "formatOptions": {
                    "thresholdsOptions": "icons",
                    "thresholdsGrid": [
                        _look("good", "success"),
                        _look("warning", "2"),
                        _look("critical", "4"),
                        {"operator": "Default", "representation": "unknown", "text": ""},
                    ],
                },
            },
            "showBorder": True,
            "sortCriteriaField": "Order",
            "sortOrderField": 1,
            "size": "auto",
        },
    )
    # The newest row, whatever time range the charts are set to.
    del item["content"]["timeContextFromParameter"]
    item["content"]["timeContext"] = {"durationMs": 2 * _MILLISECONDS_PER_DAY}
    return item


def _open_alerts(picture: Picture, group_id: str) -> dict[str, Any]:
    """What has fired and is not over, of metrics and of logs.

    Source: microsoft/Application-Insights-Workbooks ``Workbooks/Azure Resources/Alerts``.
    """
    query = f"""
AlertsManagementResources
| where type =~ 'microsoft.alertsmanagement/alerts'
| extend Rule = tolower(tostring(properties.essentials.alertRule))
| where Rule startswith '{group_id.lower()}/' and Rule contains '/{picture.service}-'
| where properties.essentials.monitorCondition =~ 'Fired'
| project Since = todatetime(properties.essentials.startDateTime),
    Severity = tostring(properties.essentials.severity), Alert = name,
    Text = tostring(properties.essentials.description)
| sort by Severity asc, Since asc
""".strip()
    item = _query(
        "open-alerts",
        "Open alerts",
        query,
        "table",
        size=_FITTING,
        noDataMessage="No alert is open.",
        queryType=_RESOURCE_GRAPH,
        resourceType="microsoft.resourcegraph/resources",
        crossComponentResources=["{Subscription}"],
    )
    del item["content"]["timeContextFromParameter"]
    return item


def _against_quota(
    picture: Picture, name: str, title: str, used: str, quota: str
) -> dict[str, Any]:
    query = (
        f"{picture.table}\n"
        f"| summarize Used = max({_gb(used)}), Quota = max({_gb(quota)}), "
        "WarningPercent = max(WarningPercent), CriticalPercent = max(CriticalPercent) "
        "by bin(TimeGenerated, {TimeRange:grain})\n"
        "| project TimeGenerated, Used, Warning = Quota * WarningPercent / 100, "
        "Critical = Quota * CriticalPercent / 100, Quota\n"
        "| sort by TimeGenerated asc"
    )
    return _query(
        name,
        title,
        query,
        "linechart",
        width="50",
        chartSettings={
            "showLegend": True,
            "ySettings": {"min": 0},
            "seriesLabelSettings": [
                {"seriesName": "Used", "color": "blue"},
                {"seriesName": "Warning", "color": "yellow"},
                {"seriesName": "Critical", "color": "redBright"},
                {"seriesName": "Quota", "color": "gray"},
            ],
        },
    )


def _by_day(
    picture: Picture, name: str, title: str, figures: str, visualization: str
) -> dict[str, Any]:
    query = (
        f"{picture.table}\n"
        f"| summarize {figures} by bin(TimeGenerated, 1d)\n"
        "| sort by TimeGenerated asc"
    )
    return _query(
        name,
        title,
        query,
        visualization,
        width="33",
        chartSettings={"showLegend": True, "ySettings": {"min": 0}},
    )


def _instances(picture: Picture) -> dict[str, Any]:
    query = (
        f"{picture.table}\n"
        "| summarize arg_max(TimeGenerated, *) by Instance\n"
        "| project Instance, Posted = TimeGenerated, CertificateDaysLeft, CertificateThumbprint, "
        "Stopped\n"
        "| sort by Posted desc"
    )
    return _query("instances", "What each instance posted last", query, "table", width="50")


def _top_content(picture: Picture) -> dict[str, Any]:
    query = (
        f"{picture.table}\n"
        "| mv-expand Content = TopContent\n"
        f"| summarize GB = round(sum({_gb('tolong(Content.bytes)')}), 2), "
        "Requests = sum(tolong(Content.requests)) by Path = tostring(Content.path)\n"
        "| where isnotempty(Path)\n"
        "| top 10 by GB desc"
    )
    return _query("top-content", "Top content", query, "table", width="50")


def _gb(column: str) -> str:
    """Bytes as GB, in the query language."""
    return f"{column} / {BYTES_PER_GB}.0"


def _look(level: str, icon: str) -> dict[str, str]:
    return {"operator": "==", "thresholdValue": level, "representation": icon, "text": ""}


def _text(name: str, markdown: str) -> dict[str, Any]:
    return {"type": _TEXT, "content": {"json": markdown}, "name": name}


def _parameters(*parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": _PARAMETERS,
        "content": {
            "version": "KqlParameterItem/1.0",
            "parameters": list(parameters),
            "style": "pills",
            "queryType": _LOGS,
            "resourceType": _WORKSPACE,
        },
        "name": "parameters",
    }


def _parameter(name: str, kind: int, value: object, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(_SPACE, name)),
        "version": "KqlParameterItem/1.0",
        "name": name,
        "type": kind,
        "isRequired": True,
        "value": value,
        "typeSettings": settings,
    }


def _time_range(period_days: int) -> dict[str, Any]:
    days = sorted({1, 7, 30, 90, period_days})
    parameter = _parameter(
        "TimeRange",
        _OF_TIME,
        {"durationMs": period_days * _MILLISECONDS_PER_DAY},
        {
            "selectableValues": [{"durationMs": each * _MILLISECONDS_PER_DAY} for each in days],
            "allowCustom": True,
        },
    )
    return {**parameter, "label": "Time range"}


def _resource(name: str, kind: str, resource_id: str) -> dict[str, Any]:
    parameter = _parameter(
        name,
        _OF_RESOURCE,
        resource_id,
        {"resourceTypeFilter": {kind: True}, "additionalResourceOptions": []},
    )
    return {**parameter, **_HIDDEN}


def _subscription(resource_id: str) -> dict[str, Any]:
    value = "/".join(resource_id.split("/")[:3])
    settings = {"additionalResourceOptions": [], "includeAll": False}
    return {**_parameter("Subscription", _OF_SUBSCRIPTION, value, settings), **_HIDDEN}


def _query(
    name: str,
    title: str,
    query: str,
    visualization: str,
    *,
    size: int = _MEDIUM,
    width: str | None = None,
    **settings: object,
) -> dict[str, Any]:
    return {
        "type": _QUERY,
        "content": {
            "version": "KqlItem/1.0",
            "query": query,
            "size": size,
            "title": title,
            "noDataMessage": "No instance has posted a row yet.",
            "timeContextFromParameter": "TimeRange",
            "queryType": _LOGS,
            "resourceType": _WORKSPACE,
            "crossComponentResources": ["{Workspace}"],
            "visualization": visualization,
            **settings,
        },
        "name": name,
        **({"customWidth": width} if width else {}),
    }


def _metrics(
    name: str,
    title: str,
    kind: str,
    parameter: str,
    *metrics: tuple[str, str, int],
    **of_each: object,
) -> dict[str, Any]:
    """A chart of platform metrics, each given by name, category and aggregation.

    Args:
        name: the item's name.
        title: what stands above the chart.
        kind: type of the resource.
        parameter: the parameter that holds its id.
        metrics: what is drawn.
        of_each: further properties of each metric.
    """
    return {
        "type": _METRICS,
        "content": {
            "version": "MetricsItem/2.0",
            "chartId": f"workbook{uuid.uuid5(_SPACE, name)}",
            "size": _MEDIUM,
            "title": title,
            "chartType": _LINES,
            "resourceType": kind,
            "metricScope": 0,
            "resourceParameter": parameter,
            "resourceIds": [f"{{{parameter}}}"],
            "timeContextFromParameter": "TimeRange",
            "timeContext": {"durationMs": 0},
            "metrics": [
                {
                    "namespace": kind,
                    "metric": f"{kind}-{category}-{metric}",
                    "aggregation": aggregation,
                    **of_each,
                }
                for metric, category, aggregation in metrics
            ],
        },
        "name": name,
        "customWidth": "50",
    }
