"""The picture of the workbook (`components/workbook.py`) from the sandbox's own figures: one page.

Rows are the ones that the agents posted, metrics the ones that the data plane measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from sandbox import charts
from sandbox.charts import DAY, HOUR, MINUTE, Series
from sandbox.dataplane import desired as model
from sandbox.dataplane.desired import Desired
from sandbox.dataplane.metrics import BYTE_COUNT, DIP, OUT, VIP
from sandbox.dataplane.network import claim
from sandbox.dataplane.records import Alert, Point, Records
from sandbox.dataplane.room import Room
from sandbox.home import Sandbox
from sandbox.provider.cloud import Cloud
from sandbox.terminal import Problem

FILE = "dashboard.html"
GB = 10**9
HALF, THIRD = 560, 368
# What a tile says about the present is not older than this.
RECENT_SECONDS = 30 * MINUTE
PROBED_SECONDS = 2 * MINUTE
MOST_TOP, MOST_ALERTS = 10, 12
# The longest time that is shown with bars of so many seconds.
GRAINS = ((3 * HOUR, 5 * MINUTE, "five minutes"), (4 * DAY, HOUR, "hour"), (math.inf, DAY, "day"))
UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "bytes"))
MARKS = {"good": "✓", "warning": "!", "critical": "✕", "unknown": "?"}
SEVERITIES = ("critical", "error", "warning", "informational", "verbose")

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


@dataclass(frozen=True)
class Tile:
    """One thing that may go wrong."""

    title: str
    value: str
    detail: str
    level: str
    """`good`, `warning`, `critical` or `unknown`."""


def write(sandbox: Sandbox, now: float) -> Path:
    """Write the page, and return where it is.

    Args:
        sandbox: The sandbox.
        now: The time, in seconds since 1970.

    Raises:
        Problem: Nothing has run in the sandbox.
    """
    room = Room(sandbox.state)
    if not room.records.exists():
        raise Problem("There is nothing to show yet: run `make up` first.")
    desired = model.read(Cloud(room.database), claim(room.state))
    records = Records(room.records)
    try:
        figures = [
            read(desired, records, json.loads(secret.value), now)
            for _, secret in sorted(desired.secrets.items())
            if secret.content_type == "application/json"
        ]
    finally:
        records.close()
    if not figures:
        raise Problem("No distribution point is up: run `make up` first.")
    path = sandbox.state / FILE
    path.write_text(page(figures))
    return path


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


def page(figures: Sequence[Figures]) -> str:
    """Return the page, which needs nothing beside it."""
    title = ", ".join(each.fqdn for each in figures)
    parts = "".join(_section(each) for each in figures)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{parts}</main></body></html>\n"
    )


def tiles(figures: Figures) -> list[Tile]:
    """Return one tile for each thing that may go wrong."""
    newest = figures.rows[-1] if figures.rows else {}
    answering, probed = _answering(figures)
    posting = {
        row.get("Instance") for row in figures.rows if _time(row) >= figures.now - RECENT_SECONDS
    }
    open_alerts = [each for each in figures.alerts if each.resolved is None]
    return [
        _quota("Transfer used", newest, "BytesSent", "TransferQuota", "TransferPercent"),
        _quota("Storage used", newest, "BytesStored", "StorageQuota", "StoragePercent"),
        _certificate(newest, figures.certificate_warning_days),
        Tile(
            "Instances healthy",
            f"{answering} of {figures.instances}" if probed else "unknown",
            "by the balancer's probes",
            _of(answering, figures.instances) if probed else "unknown",
        ),
        Tile(
            "Instances posting",
            f"{len(posting)} of {figures.instances}",
            "in the last half hour",
            _of(len(posting), figures.instances),
        ),
        Tile(
            "Content",
            ("stopped" if newest.get("Stopped") else "served") if newest else "unknown",
            f"as of {_clock(_time(newest))}" if newest else "no instance has posted yet",
            ("critical" if newest.get("Stopped") else "good") if newest else "unknown",
        ),
        Tile(
            "Alerts open",
            str(len(open_alerts)),
            ", ".join(each.name for each in open_alerts[:3]) or "none",
            _worst(open_alerts),
        ),
    ]


def _quota(title: str, newest: Row, used: str, quota: str, percent: str) -> Tile:
    share = newest.get(percent)
    if share is None:
        return Tile(title, "unknown", "no instance has posted yet", "unknown")
    level = "good"
    for name in ("warning", "critical"):
        if share >= newest[f"{name.capitalize()}Percent"]:
            level = name
    detail = f"{_amount(newest[used])} of {newest[quota] / GB:,.6g} GB"
    return Tile(title, f"{share:.1f} %", detail, level)


def _certificate(newest: Row, warning_days: float) -> Tile:
    days = newest.get("CertificateDaysLeft")
    if days is None:
        return Tile("Certificate ends in", "unknown", "no instance has posted yet", "unknown")
    level = "critical" if days < 0 else "warning" if days <= warning_days else "good"
    thumbprint = f"SHA-1 {str(newest['CertificateThumbprint'])[:12]}…"
    return Tile("Certificate ends in", f"{days} days", thumbprint, level)


def _of(there: int, wanted: int) -> str:
    return "good" if there >= wanted else "warning" if there else "critical"


def _worst(alerts: Sequence[Alert]) -> str:
    if not alerts:
        return "good"
    return "critical" if min(each.severity for each in alerts) <= 1 else "warning"


def _answering(figures: Figures) -> tuple[int, int]:
    """How many instances answer, and of how many that is known."""
    newest: dict[str, Point] = {}
    for point in figures.probes:
        if point.minute >= figures.now - PROBED_SECONDS:
            newest[point.dimensions["backendipaddress"]] = point
    good = [each for each in newest.values() if each.total / each.count >= 50]
    return len(good), len(newest)


def _certificate_days(desired: Desired, table: str) -> float:
    """Days before its end from which a certificate is to be renewed, as the alert has it."""
    return next(
        (
            condition.threshold
            for rule in desired.alert_rules
            for condition in rule.conditions
            if condition.query
            and condition.query.table == table
            and condition.query.column == "CertificateDaysLeft"
        ),
        0.0,
    )


def _section(figures: Figures) -> str:
    rows, now = figures.rows, figures.now
    times = [_time(row) for row in rows] + [point.minute for point in figures.probes]
    start = min([now - HOUR, *times])
    step, grain = next((size, word) for longest, size, word in GRAINS if now - start <= longest)
    start, end = start // step * step, (now // step + 1) * step

    def over(chart: Callable[..., str], series: Sequence[Series], width: int, **more: Any) -> str:
        return chart(series, width=width, start=start, end=end, **more)

    def binned(things: Iterable[Any], at: Callable[[Any], float]) -> dict[float, list[Any]]:
        bins: dict[float, list[Any]] = {}
        for thing in things:
            bins.setdefault(at(thing) // step * step, []).append(thing)
        return dict(sorted(bins.items()))

    by_bin = binned(rows, _time)
    requests = {at: sum(row.get("Requests") or 0 for row in some) for at, some in by_bin.items()}
    hits = {at: sum(row.get("CacheHits") or 0 for row in some) for at, some in by_bin.items()}
    served = {at: sum(row.get("BytesServed") or 0 for row in some) for at, some in by_bin.items()}
    size, unit = _unit(max(served.values(), default=0))
    moved = {
        direction: {
            at: sum(point.total for point in some)
            for at, some in binned(
                [each for each in figures.bytes if each.dimensions["direction"] == direction],
                lambda point: point.minute,
            ).items()
        }
        for direction in sorted({each.dimensions["direction"] for each in figures.bytes})
    }
    moved_size, moved_unit = _unit(
        max((v for each in moved.values() for v in each.values()), default=0)
    )
    cards = [
        _card(
            "half",
            f"Sent in {figures.period_days} days, against the quota",
            "GB",
            over(charts.lines, _against(rows, "BytesSent", "TransferQuota", end), HALF),
        ),
        _card(
            "half",
            "Stored, against the quota",
            "GB",
            over(charts.lines, _against(rows, "BytesStored", "StorageQuota", end), HALF),
        ),
        _card(
            "third",
            f"Served per {grain}",
            unit,
            over(charts.bars, [Series("Served", "blue", _scaled(served, size))], THIRD, step=step),
        ),
        _card(
            "third",
            f"Requests per {grain}",
            "",
            over(
                charts.bars,
                [
                    Series("From the cache", "teal", _scaled(hits, 1)),
                    Series(
                        "From storage", "amber", [(at, requests[at] - hits[at]) for at in requests]
                    ),
                ],
                THIRD,
                step=step,
            ),
        ),
        _card(
            "third",
            "Answered from the cache",
            "%",
            over(
                charts.lines,
                [
                    Series(
                        "Cache hits",
                        "teal",
                        [
                            (at + step / 2, 100 * hits[at] / requests[at])
                            for at in requests
                            if requests[at]
                        ],
                    )
                ],
                THIRD,
                top=100,
            ),
        ),
        _card(
            "half",
            "Healthy instances and data path",
            "%",
            over(
                charts.lines,
                [
                    Series("Data path", "amber", _means(figures.reached)),
                    Series("Health probes", "blue", _means(figures.probes)),
                ],
                HALF,
                top=100,
            ),
        ),
        _card(
            "half",
            f"Through the balancer per {grain}, by direction",
            moved_unit,
            over(
                charts.bars,
                [
                    Series(
                        direction,
                        "blue" if direction == OUT else "grey",
                        _scaled(values, moved_size),
                    )
                    for direction, values in moved.items()
                ],
                HALF,
                step=step,
            ),
        ),
        _card("half", "What each instance posted last", "", _instances(rows)),
        _card("half", "Top content", "", _top(rows)),
        _card("whole", "Alerts", "", _alerts(figures.alerts)),
    ]
    shown = "".join(
        f'<div class="tile {each.level}"><h3>{escape(each.title)}</h3>'
        f'<strong><i class="mark" title="{each.level}">{MARKS[each.level]}</i>'
        f"{escape(each.value)}</strong><p>{escape(each.detail)}</p></div>"
        for each in tiles(figures)
    )
    return (
        f"<header><h1>{escape(figures.fqdn)}</h1><p>{_clock(now)} UTC, on the sandbox. All is well"
        f' when every tile is green.</p></header><div class="tiles">{shown}</div>'
        f'<div class="cards">{"".join(cards)}</div>'
    )


def _card(width: str, title: str, unit: str, content: str) -> str:
    said = f" <small>{escape(unit)}</small>" if unit else ""
    return f'<section class="{width}"><h2>{escape(title)}{said}</h2>{content}</section>'


def _against(rows: Sequence[Row], used: str, quota: str, end: float) -> list[Series]:
    """Use, and the lines that it should stay below, each as the rows of that time say."""
    known = [row for row in rows if row.get(used) is not None and row.get(quota) is not None]
    limits: dict[str, list[tuple[float, float]]] = {"Quota": [], "Critical": [], "Warning": []}
    for row in known:
        for name, points in limits.items():
            percent = 100 if name == "Quota" else row[f"{name}Percent"]
            value = row[quota] * percent / 100 / GB
            if points and points[-1][1] != value:
                points.append((_time(row), points[-1][1]))
            points.append((_time(row), value))
    for points in limits.values():
        points.extend([(end, points[-1][1])] if points else [])
    return [
        *(Series(name, f"limit {name.lower()}", points) for name, points in limits.items()),
        Series("Used", "blue", [(_time(row), row[used] / GB) for row in known]),
    ]


def _means(points: Sequence[Point]) -> list[tuple[float, float]]:
    """The mean of each minute over all series."""
    sums: dict[int, tuple[float, int]] = {}
    for each in points:
        total, count = sums.get(each.minute, (0.0, 0))
        sums[each.minute] = total + each.total, count + each.count
    return [(minute + MINUTE / 2, total / count) for minute, (total, count) in sorted(sums.items())]


def _scaled(values: Mapping[float, float], size: float) -> list[tuple[float, float]]:
    return [(at, value / size) for at, value in values.items()]


def _instances(rows: Sequence[Row]) -> str:
    newest = {str(row.get("Instance")): row for row in rows}
    return _table(
        ("Instance", "Posted (UTC)", "Days left", "Certificate", "Content"),
        [
            (
                name,
                _clock(_time(row)),
                _or_unknown(row.get("CertificateDaysLeft")),
                f"{str(row.get('CertificateThumbprint') or 'unknown')[:12]}…",
                "stopped" if row.get("Stopped") else "served",
            )
            for name, row in sorted(newest.items())
        ],
        "No instance has posted a row yet.",
    )


def _top(rows: Sequence[Row]) -> str:
    sums: dict[str, tuple[int, int]] = {}
    for row in rows:
        for each in row.get("TopContent") or ():
            size, requests = sums.get(each["path"], (0, 0))
            sums[each["path"]] = size + each["bytes"], requests + each["requests"]
    most = sorted(sums.items(), key=lambda each: each[1], reverse=True)[:MOST_TOP]
    return _table(
        ("Sent", "Requests", "Path"),
        [(_amount(size), f"{requests:,}", path) for path, (size, requests) in most],
        "Nothing was requested yet.",
    )


def _alerts(alerts: Sequence[Alert]) -> str:
    return _table(
        ("Fired (UTC)", "Resolved (UTC)", "Severity", "Rule", "What it says"),
        [
            (
                _clock(each.fired),
                _clock(each.resolved) if each.resolved else "open",
                f"{each.severity} {SEVERITIES[each.severity]}",
                each.name,
                each.description,
            )
            for each in alerts[:MOST_ALERTS]
        ],
        "No alert has fired.",
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    if not rows:
        return f'<p class="empty">{escape(empty)}</p>'
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(each)}</td>' for each in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _or_unknown(value: object) -> str:
    return "unknown" if value is None else str(value)


def _unit(most: float) -> tuple[int, str]:
    """The unit in which a number of bytes is easy to read."""
    return next(((size, name) for size, name in UNITS if most >= size), UNITS[-1])


def _amount(size: float) -> str:
    unit, name = _unit(size)
    return f"{size / unit:,.4g} {name}"


def _time(row: Row) -> float:
    return datetime.fromisoformat(row["TimeGenerated"]).timestamp()


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


STYLE = (Path(__file__).parent / "dashboard.css").read_text()
