"""One tile for each thing that may go wrong, with the colour that says whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.dashboard.charts import MINUTE
from sandbox.dashboard.figures import GB, Figures, Row, amount, clock, time_of
from sandbox.dataplane.records import Alert, Point

# What a tile says about the present is not older than this.
RECENT_SECONDS = 30 * MINUTE
PROBED_SECONDS = 2 * MINUTE
NOT_POSTED = "no instance has posted yet"


@dataclass(frozen=True)
class Tile:
    """One thing that may go wrong."""

    title: str
    value: str
    detail: str
    level: str
    """`good`, `warning`, `critical` or `unknown`."""


def tiles(figures: Figures) -> list[Tile]:
    """Return one tile for each thing that may go wrong."""
    answering, probed = _answering(figures)
    posting = {row.get("Instance") for row in figures.rows if _is_recent(figures, row)}
    open_alerts = [each for each in figures.alerts if each.resolved is None]
    return [
        _quota(figures, "Transfer used", "BytesSent", "TransferQuota", "TransferPercent"),
        _quota(figures, "Storage used", "BytesStored", "StorageQuota", "StoragePercent"),
        _certificate(figures),
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
        _content(figures),
        Tile(
            "Alerts open",
            str(len(open_alerts)),
            ", ".join(each.name for each in open_alerts[:3]) or "none",
            _worst(open_alerts),
        ),
    ]


def _newest(figures: Figures, column: str) -> Row:
    """The newest row in which a figure is known, empty where there is none."""
    return next((row for row in reversed(figures.rows) if row.get(column) is not None), {})


def _is_recent(figures: Figures, row: Row) -> bool:
    return time_of(row) >= figures.now - RECENT_SECONDS


def _quota(figures: Figures, title: str, used: str, quota: str, percent: str) -> Tile:
    row = _newest(figures, percent)
    if not row:
        detail = "not measured yet" if figures.rows else NOT_POSTED
        return Tile(title, "unknown", detail, "unknown")
    share, level = row[percent], "good"
    for name in ("warning", "critical"):
        if share >= row[f"{name.capitalize()}Percent"]:
            level = name
    detail = f"{amount(row[used])} of {row[quota] / GB:,.6g} GB"
    if not _is_recent(figures, row):
        detail, level = f"{detail}, as of {clock(time_of(row))}", "unknown"
    return Tile(title, f"{share:.1f} %", detail, level)


def _certificate(figures: Figures) -> Tile:
    title, row = "Certificate ends in", _newest(figures, "CertificateDaysLeft")
    if not row:
        return Tile(title, "unknown", NOT_POSTED, "unknown")
    days, warning_days = row["CertificateDaysLeft"], figures.certificate_warning_days
    level = "critical" if days < 0 else "warning" if days <= warning_days else "good"
    thumbprint = f"SHA-1 {str(row['CertificateThumbprint'])[:12]}…"
    return Tile(title, f"{days} days", thumbprint, level if _is_recent(figures, row) else "unknown")


def _content(figures: Figures) -> Tile:
    title, row = "Content", _newest(figures, "Stopped")
    if not figures.instances:
        return Tile(title, "not served", "the stack asks for no instance", "unknown")
    if not row:
        return Tile(title, "unknown", NOT_POSTED, "unknown")
    detail = f"as of {clock(time_of(row))}"
    if not _is_recent(figures, row):
        return Tile(title, "unknown", detail, "unknown")
    if row["Stopped"]:
        return Tile(title, "stopped", detail, "critical")
    return Tile(title, "served", detail, "good")


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
