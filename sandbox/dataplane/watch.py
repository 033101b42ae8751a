"""What Azure Monitor is to do, read from the control plane's database: rows in, plain values out.

Data collection rules say which rows may come in and where they go; alert rules and action groups
say what is watched and who is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sandbox.provider.checks import minutes, value, values
from sandbox.provider.cloud import Cloud
from sandbox.provider.rules import QUERIES

CUSTOM = "Custom-"
SECONDS_PER_MINUTE = 60.0


@dataclass(frozen=True)
class Stream:
    """Rows of one form."""

    table: str
    """Id of the table that they go to, in lower case."""
    columns: Mapping[str, str]
    """Types by name."""


@dataclass(frozen=True)
class Intake:
    """A data collection rule with its end point."""

    rule: str
    """Id in lower case."""
    host: str
    streams: Mapping[str, Stream]


@dataclass(frozen=True)
class Query:
    """A log query, of one of the forms that can be evaluated."""

    text: str
    form: str
    """The name that `QUERIES` has for it."""
    table: str
    """Id of the table, in lower case."""
    known: str
    """The column without which a row does not count."""
    column: str


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a rule compares with what."""

    query: Query | None
    """None where a metric is watched."""
    metric: str
    namespace: str
    aggregation: str
    operator: str
    threshold: float


@dataclass(frozen=True, kw_only=True)
class AlertRule:
    """An alert rule, of metrics or of logs."""

    id: str
    signal: str
    """`Metric` or `Log`."""
    severity: int
    description: str
    scopes: tuple[str, ...]
    window: str
    """ISO 8601."""
    conditions: tuple[Condition, ...]
    groups: tuple[str, ...]
    """Ids of action groups, in lower case."""
    properties: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its own name."""
        return self.id.rpartition("/")[2]

    @property
    def seconds(self) -> float:
        """The window."""
        return minutes(self.window) * SECONDS_PER_MINUTE


@dataclass(frozen=True)
class Receivers:
    """Who an action group tells."""

    mails: tuple[str, ...]
    webhooks: tuple[tuple[str, str], ...]
    """Name and URL; a URL may be secret."""


def intakes(cloud: Cloud) -> dict[str, Intake]:
    """Return the data collection rules that rows may come through, by immutable id."""
    found = {}
    for each, body in cloud.all("monitor:DataCollectionRule"):
        endpoint = cloud.get(body.get("dataCollectionEndpointId") or "")
        if endpoint:
            host = urlsplit(value(endpoint[2], "logsIngestion.endpoint", "")).hostname or ""
            found[body["immutableId"].lower()] = Intake(each.lower(), host, _streams(body))
    return found


def alert_rules(cloud: Cloud) -> tuple[AlertRule, ...]:
    """Return the alert rules that are on."""
    return tuple(
        read(each, body)
        for token, read in _READ.items()
        for each, body in cloud.all(token)
        if body.get("enabled", True)
    )


def known_rules(cloud: Cloud) -> frozenset[str]:
    """Return the ids of all alert rules, in lower case, those that are off too."""
    return frozenset(each.lower() for token in _READ for each, _ in cloud.all(token))


def receivers(cloud: Cloud) -> dict[str, Receivers]:
    """Return the action groups that are on, by id in lower case."""
    return {
        each.lower(): Receivers(
            tuple(values(body, "emailReceivers[].emailAddress")),
            tuple(
                (hook["name"], hook["serviceUri"]) for hook in values(body, "webhookReceivers[]")
            ),
        )
        for each, body in cloud.all("monitor:ActionGroup")
        if body.get("enabled", True)
    }


def tables(cloud: Cloud) -> frozenset[str]:
    """Return the ids of all tables, in lower case."""
    return frozenset(each.lower() for each, _ in cloud.all("operationalinsights:Table"))


def _streams(body: Mapping[str, Any]) -> dict[str, Stream]:
    workspaces = {
        each["name"]: each["workspaceResourceId"]
        for each in values(body, "destinations.logAnalytics[]")
    }
    return {
        name: Stream(
            _table(workspaces[flow["destinations"][0]], flow["outputStream"].removeprefix(CUSTOM)),
            {
                column["name"]: column["type"]
                for column in values(body["streamDeclarations"][name], "columns[]")
            },
        )
        for flow in values(body, "dataFlows[]")
        for name in flow["streams"]
        if name in (body.get("streamDeclarations") or {})
    }


def _table(workspace: str, name: str) -> str:
    return f"{workspace}/tables/{name}".lower()


def _metric_rule(rule: str, body: Mapping[str, Any]) -> AlertRule:
    actions = list(values(body, "actions[]"))
    return AlertRule(
        id=rule,
        signal="Metric",
        severity=int(body.get("severity", 3)),
        description=body.get("description", ""),
        scopes=tuple(body["scopes"]),
        window=body["windowSize"],
        conditions=tuple(
            Condition(
                query=None,
                metric=each["metricName"],
                namespace=each.get("metricNamespace", ""),
                aggregation=each["timeAggregation"],
                operator=each["operator"],
                threshold=float(each["threshold"]),
            )
            for each in values(body, "criteria.allOf[]")
        ),
        groups=tuple(each["actionGroupId"].lower() for each in actions),
        properties={
            name: text
            for each in actions
            for name, text in (each.get("webHookProperties") or {}).items()
        },
    )


def _log_rule(rule: str, body: Mapping[str, Any]) -> AlertRule:
    return AlertRule(
        id=rule,
        signal="Log",
        severity=int(body.get("severity", 3)),
        description=body.get("description", ""),
        scopes=tuple(body["scopes"]),
        window=body.get("windowSize", "PT5M"),
        conditions=tuple(_log_conditions(body)),
        groups=tuple(each.lower() for each in values(body, "actions.actionGroups[]")),
        properties=value(body, "actions.customProperties", {}),
    )


def _log_conditions(body: Mapping[str, Any]) -> Iterator[Condition]:
    for each in values(body, "criteria.allOf[]"):
        text = each["query"].strip()
        # The control plane takes no other form, so that one of them fits.
        form, match = next(
            (name, found)
            for name, pattern in QUERIES.items()
            if (found := re.fullmatch(pattern, text, re.S))
        )
        yield Condition(
            query=Query(
                text,
                form,
                _table(body["scopes"][0], match["table"]),
                match["known"],
                each["metricMeasureColumn"],
            ),
            metric="",
            namespace="",
            aggregation=each["timeAggregation"],
            operator=each["operator"],
            threshold=float(each["threshold"]),
        )


_READ = {"monitor:MetricAlert": _metric_rule, "monitor:ScheduledQueryRule": _log_rule}
