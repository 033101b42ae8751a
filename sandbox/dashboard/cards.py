"""The charts and tables below the tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from sandbox.dashboard import charts
from sandbox.dashboard.charts import DAY, HOUR, MINUTE, Series
from sandbox.dashboard.figures import GB, Figures, Row, amount, clock, time_of, unit
from sandbox.dataplane.metrics import OUT
from sandbox.dataplane.records import Alert, Point

HALF, THIRD = 560, 368
MOST_TOP, MOST_ALERTS = 10, 12
# The longest time that is shown with bars of so many seconds.
GRAINS = ((3 * HOUR, 5 * MINUTE, "five minutes"), (4 * DAY, HOUR, "hour"), (math.inf, DAY, "day"))
SEVERITIES = ("critical", "error", "warning", "informational", "verbose")


@dataclass(frozen=True)
class Range:
    """The time that charts show, in intervals."""

    start: float
    end: float
    step: float
    grain: str
    """What an interval is called."""

    @classmethod
    def of(cls, figures: Figures) -> Range:
        """All that there is, and an hour at least."""
        times = [time_of(row) for row in figures.rows] + [each.minute for each in figures.probes]
        start = min([figures.now - HOUR, *times])
        step, grain = next(
            (size, word) for longest, size, word in GRAINS if figures.now - start <= longest
        )
        return cls(start // step * step, (figures.now // step + 1) * step, step, grain)

    def sums(
        self, things: Iterable[Any], at: Callable[[Any], float], size: Callable[[Any], float]
    ) -> dict[float, float]:
        """Adds up things by the interval that they are in."""
        sums: dict[float, float] = {}
        for thing in things:
            begin = at(thing) // self.step * self.step
            sums[begin] = sums.get(begin, 0) + size(thing)
        return dict(sorted(sums.items()))

    def lines(self, series: Sequence[Series], width: int, top: float | None = None) -> str:
        """A chart of lines over this time."""
        return charts.lines(series, width=width, start=self.start, end=self.end, top=top)

    def bars(self, series: Sequence[Series], width: int) -> str:
        """A chart of bars over this time."""
        return charts.bars(series, width=width, start=self.start, end=self.end, step=self.step)


def cards(figures: Figures) -> str:
    """Return all of them, in their order."""
    shown, rows = Range.of(figures), figures.rows
    return "".join(
        (
            _card(
                "half",
                f"Sent in {figures.period_days} days, against the quota",
                "GB",
                shown.lines(_against(rows, "BytesSent", "TransferQuota", shown.end), HALF),
            ),
            _card(
                "half",
                "Stored, against the quota",
                "GB",
                shown.lines(_against(rows, "BytesStored", "StorageQuota", shown.end), HALF),
            ),
            _served(shown, rows),
            *_requests(shown, rows),
            _health(shown, figures),
            _moved(shown, figures.bytes),
            _card("half", "What each instance posted last", "", _instances(rows)),
            _card("half", "Top content", "", _top(rows)),
            _card("whole", "Alerts", "", _alerts(figures.alerts)),
        )
    )


def _card(width: str, title: str, of: str, content: str) -> str:
    said = f" <small>{escape(of)}</small>" if of else ""
    return f'<section class="{width}"><h2>{escape(title)}{said}</h2>{content}</section>'


def _served(shown: Range, rows: Sequence[Row]) -> str:
    served = shown.sums(rows, time_of, lambda row: row.get("BytesServed") or 0)
    size, name = unit(max(served.values(), default=0))
    bars = [Series("Served", "blue", _scaled(served, size))]
    return _card("third", f"Served per {shown.grain}", name, shown.bars(bars, THIRD))


def _requests(shown: Range, rows: Sequence[Row]) -> tuple[str, str]:
    """How many there were, and the share of the cache."""
    requests = shown.sums(rows, time_of, lambda row: row.get("Requests") or 0)
    hits = shown.sums(rows, time_of, lambda row: row.get("CacheHits") or 0)
    refused = shown.sums(rows, time_of, lambda row: row.get("Refused") or 0)
    answered = {at: count - refused[at] for at, count in requests.items()}
    misses = {at: count - hits[at] for at, count in answered.items()}
    share = [
        (at + shown.step / 2, 100 * hits[at] / count) for at, count in answered.items() if count
    ]
    bars = [
        Series("From the cache", "teal", _scaled(hits, 1)),
        Series("From storage", "amber", _scaled(misses, 1)),
        Series("Refused", "grey", _scaled(refused, 1)),
    ]
    line = [Series("Cache hits", "teal", share)]
    return (
        _card("third", f"Requests per {shown.grain}", "", shown.bars(bars, THIRD)),
        _card("third", "Answered from the cache", "%", shown.lines(line, THIRD, top=100)),
    )


def _health(shown: Range, figures: Figures) -> str:
    lines = [
        Series("Data path", "amber", _means(figures.reached)),
        Series("Health probes", "blue", _means(figures.probes)),
    ]
    return _card("half", "Healthy instances and data path", "%", shown.lines(lines, HALF, top=100))


def _moved(shown: Range, points: Sequence[Point]) -> str:
    moved = {
        direction: shown.sums(
            [each for each in points if each.dimensions["direction"] == direction],
            lambda point: point.minute,
            lambda point: point.total,
        )
        for direction in sorted({each.dimensions["direction"] for each in points})
    }
    size, name = unit(max((v for sums in moved.values() for v in sums.values()), default=0))
    bars = [
        Series(direction, "blue" if direction == OUT else "grey", _scaled(sums, size))
        for direction, sums in moved.items()
    ]
    title = f"Through the balancer per {shown.grain}, by direction"
    return _card("half", title, name, shown.bars(bars, HALF))


def _against(rows: Sequence[Row], used: str, quota: str, end: float) -> list[Series]:
    """Use, and the lines that it should stay below, each as the rows of that time say."""
    known = [row for row in rows if row.get(used) is not None and row.get(quota) is not None]
    limits: dict[str, list[tuple[float, float]]] = {"Quota": [], "Critical": [], "Warning": []}
    for row in known:
        for name, points in limits.items():
            percent = 100 if name == "Quota" else row[f"{name}Percent"]
            value = row[quota] * percent / 100 / GB
            if points and points[-1][1] != value:
                points.append((time_of(row), points[-1][1]))
            points.append((time_of(row), value))
    for points in limits.values():
        points.extend([(end, points[-1][1])] if points else [])
    return [
        *(Series(name, f"limit {name.lower()}", points) for name, points in limits.items()),
        Series("Used", "blue", [(time_of(row), row[used] / GB) for row in known]),
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
                clock(time_of(row)),
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
        [(amount(size), f"{requests:,}", path) for path, (size, requests) in most],
        "Nothing was requested yet.",
    )


def _alerts(alerts: Sequence[Alert]) -> str:
    return _table(
        ("Fired (UTC)", "Resolved (UTC)", "Severity", "Rule", "What it says"),
        [
            (
                clock(each.fired),
                clock(each.resolved) if each.resolved else "open",
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
