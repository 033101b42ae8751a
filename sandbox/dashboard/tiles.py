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
    newest = figures.rows[-1] if figures.rows else {}
    answering, probed = _answering(figures)
    posting = {
        row.get("Instance") for row in figures.rows if time_of(row) >= figures.now - RECENT_SECONDS
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
            f"as of {clock(time_of(newest))}" if newest else "no instance has posted yet",
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
        detail = "not measured yet" if newest else "no instance has posted yet"
        return Tile(title, "unknown", detail, "unknown")
    level = "good"
    for name in ("warning", "critical"):
        if share >= newest[f"{name.capitalize()}Percent"]:
            level = name
    detail = f"{amount(newest[used])} of {newest[quota] / GB:,.6g} GB"
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
