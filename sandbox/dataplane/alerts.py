"""Alert rules at work: when they fire, when they resolve, and what receivers are told.

Sources (MicrosoftDocs/azure-monitor-docs ``articles/azure-monitor/alerts/``):
``alerts-overview.md`` (stateful alerts), ``alerts-troubleshoot-metric.md`` (three good evaluations
resolve), ``alerts-common-schema.md`` (the payloads).
"""

from __future__ import annotations

import operator
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sandbox.dataplane.records import Alert, Records
from sandbox.dataplane.watch import AlertRule, Condition
from sandbox.provider.cloud import arm_type

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "Equal": operator.eq,
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
}
GOOD_LOOKS = 3
NEWEST, DIFFERENT = "last row", "different"
SERVICES = {"Metric": "Platform", "Log": "Log Alerts V2"}
CRITERIA = {"Metric": "SingleResourceMultipleMetricCriteria", "Log": "LogQueryCriteria"}


@dataclass(frozen=True)
class Change:
    """An alert that fired or resolved, and what is told of it."""

    rule: AlertRule
    alert: Alert
    payload: Mapping[str, Any]

    @property
    def condition(self) -> str:
        """`Fired` or `Resolved`."""
        return "Fired" if self.alert.resolved is None else "Resolved"


class Watcher:
    """Looks at all rules, again and again.

    A look stands for one of Azure's evaluations, which are minutes apart. Whatever fires and
    resolves is remembered over restarts, so that nobody is told twice.
    """

    def __init__(self, records: Records) -> None:
        """Name where points, rows and alerts are.

        Args:
            records: All of them.
        """
        self._records = records
        self._since: dict[str, float] = {}
        self._good: dict[str, int] = {}

    def look(self, rules: Sequence[AlertRule], known: Collection[str], now: float) -> list[Change]:
        """Return what has changed since the last look.

        Args:
            rules: The rules that are on.
            known: Ids of all rules in lower case, those that are off too.
            now: The time, in seconds since 1970.
        """
        open_alerts = {
            alert.rule: alert for alert in self._records.alerts() if alert.resolved is None
        }
        for rule, alert in open_alerts.items():
            if rule not in known:
                # Nobody is told when a rule is deleted.
                self._records.resolve(alert.id, now)
        self._since = {each: since for each, since in self._since.items() if each in known}
        changes = [self._changed(rule, open_alerts.get(rule.id.lower()), now) for rule in rules]
        return [change for change in changes if change]

    def _changed(self, rule: AlertRule, alert: Alert | None, now: float) -> Change | None:
        key = rule.id.lower()
        since = self._since.setdefault(key, now)
        seen = [
            measured(self._records, rule, condition, now, now - since)
            for condition in rule.conditions
        ]
        if rule.signal == "Metric" and None in seen:
            # A metric that says nothing changes nothing. A query that finds nothing is good.
            return None
        met = all(
            value is not None and OPERATORS[condition.operator](value, condition.threshold)
            for value, condition in zip(seen, rule.conditions, strict=True)
        )
        self._good[key] = 0 if met else self._good.get(key, 0) + 1
        if met and alert is None:
            alert = Alert(
                id=str(uuid.uuid4()),
                rule=key,
                name=rule.name,
                severity=rule.severity,
                description=rule.description,
                fired=now,
            )
            self._records.fire(alert)
        elif alert and self._good[key] >= GOOD_LOOKS:
            alert = replace(alert, resolved=now)
            self._records.resolve(alert.id, now)
        else:
            return None
        return Change(rule, alert, payload(rule, alert, seen, now))


def measured(
    records: Records, rule: AlertRule, condition: Condition, now: float, age: float
) -> float | None:
    """Return what a condition's value is now, None where there is nothing to judge by.

    What is missing or too little can be told only when the rule has been there for its whole
    window: else each new rule that waits for silence would fire at once.

    Args:
        records: Points and rows.
        rule: The rule.
        condition: One of its conditions.
        now: The time, in seconds since 1970.
        age: For how many seconds the rule has been watched.
    """
    start = now - rule.seconds
    query = condition.query
    newest = query is not None and query.form == NEWEST
    if condition.operator.startswith("Less") and not newest and age < rule.seconds:
        return None
    if query is None:
        points = [
            point
            for scope in rule.scopes
            for point in records.points(scope, condition.metric, start, now)
        ]
        total = sum(point.total for point in points)
        if not points:
            return None
        if condition.aggregation == "Total":
            return total
        return total / sum(point.count for point in points)
    every = records.rows(query.table, start, now)
    rows = [row for row in every if row.get(query.known) is not None]
    if newest:
        value = rows[-1].get(query.column) if rows else None
        return None if value is None else float(value)
    return float(len({row[query.known] for row in rows} if query.form == DIFFERENT else rows))


def payload(
    rule: AlertRule, alert: Alert, seen: Sequence[float | None], now: float
) -> dict[str, Any]:
    """Return the common alert schema's text on an alert.

    Args:
        rule: The rule.
        alert: What fired or resolved.
        seen: The value of each condition.
        now: The time, in seconds since 1970.
    """
    subscription = "/".join(rule.id.split("/")[:3])
    essentials = {
        "alertId": f"{subscription}/providers/Microsoft.AlertsManagement/alerts/{alert.id}",
        "alertRule": rule.name,
        "alertRuleID": rule.id,
        "severity": f"Sev{rule.severity}",
        "signalType": rule.signal,
        "monitorCondition": "Fired" if alert.resolved is None else "Resolved",
        "monitoringService": SERVICES[rule.signal],
        "alertTargetIDs": [scope.lower() for scope in rule.scopes],
        "configurationItems": [scope.rpartition("/")[2].lower() for scope in rule.scopes],
        "originAlertId": f"{alert.id}_{rule.name}",
        "firedDateTime": _iso(alert.fired),
        "description": rule.description,
        "targetResourceType": arm_type(rule.scopes[0]).lower(),
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0",
    }
    if alert.resolved is not None and rule.signal == "Metric":
        essentials["resolvedDateTime"] = _iso(alert.resolved)
    return {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": essentials,
            "alertContext": {
                "properties": dict(rule.properties),
                "conditionType": CRITERIA[rule.signal],
                "condition": {
                    "windowSize": rule.window,
                    "allOf": [
                        _condition(condition, value)
                        for condition, value in zip(rule.conditions, seen, strict=True)
                    ],
                    "windowStartTime": _iso(now - rule.seconds),
                    "windowEndTime": _iso(now),
                },
            },
            "customProperties": dict(rule.properties),
        },
    }


def _condition(condition: Condition, seen: float | None) -> dict[str, Any]:
    watched: dict[str, Any] = (
        {
            "searchQuery": condition.query.text,
            "metricMeasureColumn": condition.query.column,
            "failingPeriods": {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1},
        }
        if condition.query
        else {"metricName": condition.metric, "metricNamespace": condition.namespace}
    )
    return watched | {
        "operator": condition.operator,
        "threshold": f"{condition.threshold:.15g}",
        "timeAggregation": condition.aggregation,
        "dimensions": [],
        "metricValue": seen,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
