"""What there is to show of a distribution point, and how figures are put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from components.quotas.usage_table import CERTIFICATE_DAYS_LEFT
from sandbox.dashboard.charts import DAY, MINUTE
from sandbox.dataplane.desired import Desired
from sandbox.dataplane.metrics import BYTE_COUNT, DIP, VIP
from sandbox.dataplane.records import Alert, Point, Records

GB = 10**9
UNITS = ((GB, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "bytes"))

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """All that is shown of one distribution point; times in seconds since 1970."""

    fqdn: str
    now: float
    period_days: int
    certificate_warning_days: float
    instances: int
    rows: Sequence[Row]
    """Of the transfer period, the oldest first."""
    bytes: Sequence[Point]
    """What went through the balancer."""
    probes: Sequence[Point]
    reached: Sequence[Point]
    """Whether clients reached the balancer."""
    alerts: Sequence[Alert]
    """The newest first."""


def read(desired: Desired, records: Records, settings: Mapping[str, Any], now: float) -> Figures:
    """Read what there is to show of one distribution point.

    Args:
        desired: What the control plane has.
        records: What Azure Monitor has.
        settings: The distribution point's service settings.
        now: The time, in seconds since 1970.
    """
    logs, balancer = settings["logs"], settings["metrics"]["loadBalancerId"].lower()
    intake = desired.intakes.get(logs["ruleId"].lower())
    stream = intake.streams.get(logs["stream"]) if intake else None
    table = stream.table if stream else ""
    period = settings["quotas"]["periodDays"]
    start, end = now - period * DAY, now + MINUTE
    port = str(settings["metrics"]["port"])

    def points(resource: str, metric: str) -> list[Point]:
        found = records.points(resource, metric, start, end)
        return [each for each in found if each.dimensions.get("frontendport", port) == port]

    pools = {rule.pool for rule in desired.rules if rule.balancer == balancer}
    group = balancer.partition("/providers/")[0]
    return Figures(
        fqdn=settings["fqdn"],
        now=now,
        period_days=period,
        certificate_warning_days=_certificate_days(desired, table),
        instances=sum(each.capacity for each in desired.sets.values() if each.pools & pools),
        rows=records.rows(table, start, end),
        bytes=points(balancer, BYTE_COUNT.name),
        probes=points(balancer, DIP.name),
        reached=points(balancer, VIP.name),
        alerts=[each for each in records.alerts() if each.rule.startswith(f"{group}/")],
    )


def unit(most: float) -> tuple[int, str]:
    """The unit in which a number of bytes is easy to read."""
    return next(((size, name) for size, name in UNITS if most >= size), UNITS[-1])


def amount(size: float) -> str:
    """Bytes with their unit."""
    part, name = unit(size)
    return f"{size / part:,.4g} {name}"


def time_of(row: Row) -> float:
    """When the figures of a row were true, in seconds since 1970."""
    return datetime.fromisoformat(row["TimeGenerated"]).timestamp()


def clock(at: float) -> str:
    """A time in UTC for people."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _certificate_days(desired: Desired, table: str) -> float:
    """Days before its end from which a certificate is to be renewed, as the alert has it."""
    return next(
        (
            condition.threshold
            for rule in desired.alert_rules
            for condition in rule.conditions
            if condition.query
            and condition.query.table == table
            and condition.query.column == CERTIFICATE_DAYS_LEFT.name
        ),
        0.0,
    )
