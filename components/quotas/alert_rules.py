"""Which alerts a distribution point has: what they watch, from when on, and what they say.

Pure: ``quotas.py`` turns these into Azure's resources.

Severities are Azure's: 0 critical, 1 error, 2 warning, 3 informational, 4 verbose.

Sources (MicrosoftDocs/azure-monitor-docs ``articles/azure-monitor/alerts/``): what may be combined
in a log alert, when it resolves, and that stateful ones run every 12 hours or more often,
``alerts-create-log-alert-rule.md`` and ``alerts-overview.md``. The balancer's metrics:
MicrosoftDocs/azure-docs ``articles/load-balancer/load-balancer-standard-diagnostics.md``; that
fewer than 90 % on the data path is critical: Azure Monitor Baseline Alerts
(``azure.github.io/azure-monitor-baseline-alerts``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from ..naming import Names
from .usage_table import (
    BYTES_SENT,
    CERTIFICATE_DAYS_LEFT,
    INSTANCES,
    ROWS,
    instance_count,
    newest,
    row_count,
    table_name,
)

BYTES_PER_GB = 10**9
UNREACHABLE_PERCENT = 10
DATA_PATH_PERCENT = 90


class Severity(IntEnum):
    """Azure's levels, of which these alerts use three."""

    CRITICAL = 0
    ERROR = 1
    WARNING = 2


class Compare(StrEnum):
    """How a measured value stands to the threshold when the alert fires.

    Both kinds of rule spell these alike. The SDK's ``monitor.ConditionOperator`` is another
    service's.
    """

    AT_LEAST = "GreaterThanOrEqual"
    AT_MOST = "LessThanOrEqual"
    BELOW = "LessThan"


class Source(StrEnum):
    """The Azure resource whose platform metric an alert watches, by its metric namespace."""

    BALANCER = "Microsoft.Network/loadBalancers"
    STORAGE = "Microsoft.Storage/storageAccounts"


@dataclass(frozen=True, kw_only=True)
class AlertRule:
    """What all alerts have in common."""

    role: str
    """What the alert is called: ``names.of(role)`` in Azure."""
    severity: Severity
    title: str
    """One line, for people."""
    what_to_do: str
    """What the one who gets the mail is to do, in whole sentences."""
    of_instances: bool = False
    """It is about the instances: off when there are to be none."""
    after_instances: bool = False
    """It fires where there is only silence: made after the instances."""
    compare: Compare
    threshold: int
    every: str
    """How often it is evaluated, ISO 8601."""
    window: str
    """The time that it looks back on, ISO 8601."""


@dataclass(frozen=True, kw_only=True)
class LogRule(AlertRule):
    """An alert on what the agents post."""

    query: str
    column: str
    """The one column that the query answers with, in at most one row."""
    aggregation: str


@dataclass(frozen=True, kw_only=True)
class MetricRule(AlertRule):
    """An alert on a platform metric, which needs no agent. All are averages."""

    source: Source
    metric: str


def threshold_bytes(quota_gb: int, percent: int) -> int:
    """A percentage of a quota in bytes, without rounding: a GB is 10^9 bytes.

    Args:
        quota_gb: the quota in GB.
        percent: 1 to 100.
    """
    return quota_gb * BYTES_PER_GB * percent // 100


def degraded_percent(instances: int) -> int:
    """Share of successful probes, in percent, below which a service of so many is degraded.

    It is half way between all instances healthy and one of them unhealthy for the whole window,
    so that an instance that restarts, or is replaced in a roll, stays below notice. (Probes are
    those of instances that run: MicrosoftDocs/azure-docs ``articles/load-balancer/
    load-balancer-custom-probe-overview.md``.)

    Args:
        instances: how many there should be.
    """
    return 100 - 50 // max(instances, 1)


def alert_rules(
    names: Names,
    *,
    storage_quota_gb: int,
    transfer_quota_gb: int,
    transfer_period_days: int,
    warning_percent: int,
    critical_percent: int,
    stop_at_critical: bool,
    certificate_warning_days: int,
    instances: int,
) -> tuple[AlertRule, ...]:
    """Every alert of one distribution point.

    Those on storage need no instances; all others are about them.

    Args:
        names: names of the distribution point.
        storage_quota_gb: storage quota in GB.
        transfer_quota_gb: transfer quota in GB.
        transfer_period_days: days over which transfer counts.
        warning_percent: percent of a quota from which to warn.
        critical_percent: percent of a quota that is critical.
        stop_at_critical: whether the service then stops to serve content.
        certificate_warning_days: days before its end from which a certificate is to be renewed.
        instances: how many instances there should be.
    """
    levels = (
        ("warning", Severity.WARNING, warning_percent),
        ("critical", Severity.CRITICAL, critical_percent),
    )
    return (
        *(
            _storage(names, level, severity, percent, storage_quota_gb)
            for level, severity, percent in levels
        ),
        *(
            _transfer(
                names,
                level,
                severity,
                percent,
                transfer_quota_gb,
                transfer_period_days,
                stops=stop_at_critical and level == "critical",
            )
            for level, severity, percent in levels
        ),
        _certificate(names, certificate_warning_days),
        _agent(names),
        _missing(names, instances),
        *_reachability(instances),
    )


def description(names: Names, rule: AlertRule) -> str:
    """What the alert's mail says: which distribution point, what is wrong, what to do."""
    return (
        f"Distribution point {names.fqdn} ({names.service}, {names.region}): "
        f"{rule.title}. {rule.what_to_do}"
    )


def custom_properties(names: Names, rule: AlertRule) -> dict[str, str]:
    """The same for machines: it goes into the payload of each alert."""
    return {
        "distributionPoint": names.fqdn,
        "serviceName": names.service,
        "region": names.region,
        "alert": rule.role,
        "title": rule.title,
        "whatToDo": rule.what_to_do,
    }


def _used(quota: str, percent: int, quota_gb: int, period: str = "") -> str:
    used = threshold_bytes(quota_gb, percent) / BYTES_PER_GB
    return (
        f"{percent} % or more of the {quota} quota is used "
        f"(from {used:,.12g} of {quota_gb:,} GB{period} on)"
    )


def _storage(
    names: Names, level: str, severity: Severity, percent: int, quota_gb: int
) -> MetricRule:
    return MetricRule(
        role=f"storage-{level}",
        severity=severity,
        title=_used("storage", percent, quota_gb),
        what_to_do=(
            "Delete content that nobody needs, or raise storageQuotaGB. Azure counts once a day, "
            f"so the figure is up to a day old; deleted content counts on for the days that "
            f"storage account {names.storage_account} keeps it."
        ),
        source=Source.STORAGE,
        metric="UsedCapacity",
        compare=Compare.AT_LEAST,
        threshold=threshold_bytes(quota_gb, percent),
        # One value an hour: a shorter window may be empty, a longer one only adds to the delay.
        every="PT1H",
        window="PT6H",
    )


def _transfer(
    names: Names,
    level: str,
    severity: Severity,
    percent: int,
    quota_gb: int,
    period_days: int,
    *,
    stops: bool,
) -> LogRule:
    stopped = "Content is refused until use falls or the quota is raised. " if stops else ""
    return LogRule(
        role=f"transfer-{level}",
        severity=severity,
        title=_used("transfer", percent, quota_gb, f" in {period_days} days"),
        what_to_do=(
            f"{stopped}Look at the workbook for the content that causes it, move clients to "
            "another distribution point, or raise transferQuotaGB."
        ),
        # Without rows there is nothing to watch, and Azure turns off rules whose queries fail.
        of_instances=True,
        query=newest(table_name(names), BYTES_SENT),
        column=BYTES_SENT.name,
        aggregation="Maximum",
        compare=Compare.AT_LEAST,
        threshold=threshold_bytes(quota_gb, percent),
        # The window is longer than any pause between rows, or a late row would resolve it.
        every="PT5M",
        window="PT1H",
    )


def _certificate(names: Names, warning_days: int) -> LogRule:
    return LogRule(
        role="certificate-expiring",
        severity=Severity.ERROR,
        title=f"the certificate expires in {warning_days} days or less",
        what_to_do=(
            f"Renew it for {names.fqdn}, put the new one into the stack's certificate setting (or "
            "into the vault that it names) and deploy; no machine is touched. When it expires, "
            "all clients are refused."
        ),
        # Without rows there is nothing to watch, and Azure turns off rules whose queries fail.
        of_instances=True,
        query=newest(table_name(names), CERTIFICATE_DAYS_LEFT),
        column=CERTIFICATE_DAYS_LEFT.name,
        # Of no row this is null, which is below nothing; a total would be 0 and fire.
        aggregation="Minimum",
        compare=Compare.AT_MOST,
        threshold=warning_days,
        every="PT1H",
        window="PT6H",
    )


def _agent(names: Names) -> LogRule:
    return LogRule(
        role="agent-silent",
        severity=Severity.ERROR,
        title="no instance has posted for half an hour how much was sent",
        what_to_do=(
            "Until one does, transfer is not watched, and nothing stops at its quota. See whether "
            "the scale set's instances run and are healthy, whether the workspace has reached its "
            "daily cap, and whether the service's identity still holds its roles, Monitoring "
            "Reader on the load balancer among them."
        ),
        of_instances=True,
        after_instances=True,
        query=row_count(table_name(names), BYTES_SENT),
        column=ROWS,
        aggregation="Total",
        compare=Compare.BELOW,
        threshold=1,
        # Rows may take minutes to arrive, so half an hour is as short as it can be told from late.
        every="PT15M",
        window="PT30M",
    )


def _missing(names: Names, instances: int) -> LogRule:
    return LogRule(
        role="instances-missing",
        severity=Severity.WARNING,
        title=f"not all of the {instances} instances have posted for half an hour",
        what_to_do=(
            "Clients are served by the others. One was stopped or deleted, could not be made, or "
            "its agent fails: see the scale set's instances. The balancer's probes know only of "
            "those that run."
        ),
        of_instances=True,
        after_instances=True,
        query=instance_count(table_name(names)),
        column=INSTANCES,
        aggregation="Total",
        compare=Compare.BELOW,
        threshold=instances,
        every="PT15M",
        window="PT30M",
    )


def _reachability(instances: int) -> tuple[MetricRule, ...]:
    return (
        MetricRule(
            role="unreachable",
            severity=Severity.CRITICAL,
            title="no instance answers, so clients cannot download",
            what_to_do=(
                f"Fewer than {UNREACHABLE_PERCENT} % of the balancer's probes of /readyz succeed. "
                "See the health of the scale set's instances, and whether certificate and settings "
                "can be read from the vault."
            ),
            of_instances=True,
            after_instances=True,
            source=Source.BALANCER,
            metric="DipAvailability",
            compare=Compare.BELOW,
            threshold=UNREACHABLE_PERCENT,
            every="PT1M",
            window="PT5M",
        ),
        MetricRule(
            role="data-path",
            severity=Severity.CRITICAL,
            title="Azure cannot reach the instances through the public address",
            what_to_do=(
                f"Fewer than {DATA_PATH_PERCENT} % of Azure's own probes of the data path succeed. "
                "When the instances are healthy, see Service Health for an outage in this region."
            ),
            of_instances=True,
            after_instances=True,
            source=Source.BALANCER,
            metric="VipAvailability",
            compare=Compare.BELOW,
            threshold=DATA_PATH_PERCENT,
            every="PT1M",
            window="PT5M",
        ),
        MetricRule(
            role="degraded",
            severity=Severity.WARNING,
            title=f"not all of the {instances} instances answer",
            what_to_do=(
                "Clients are served by the others. A roll or a repair may still be under way; "
                "otherwise see the health of the scale set's instances."
            ),
            of_instances=True,
            after_instances=True,
            source=Source.BALANCER,
            metric="DipAvailability",
            compare=Compare.BELOW,
            threshold=degraded_percent(instances),
            every="PT5M",
            window="PT30M",
        ),
    )
