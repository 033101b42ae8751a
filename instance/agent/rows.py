"""The rows in which an instance says what it knows, posted through the Logs Ingestion API.

Source: MicrosoftDocs/azure-monitor-docs ``articles/azure-monitor/logs/
logs-ingestion-api-overview.md``. The columns are those of the table
(``components/quotas/usage_table.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from .arithmetic import percent
from .azure import Api
from .service import UsageSettings
from .traffic import Counts

API_VERSION = "2023-01-01"
Row = Mapping[str, object]


@dataclass(frozen=True)
class Figures:
    """What is known of the distribution point; None for what is not."""

    sent: int | None = None
    """Bytes sent to clients in the transfer period."""
    stored: int | None = None
    """Bytes that the storage account holds."""


@dataclass(frozen=True)
class Certificate:
    """What is served with."""

    thumbprint: str
    expires: datetime


def row(
    *,
    now: float,
    instance: str,
    usage: UsageSettings,
    figures: Figures,
    certificate: Certificate,
    counts: Counts,
    stopped: bool,
) -> Row:
    """Makes one row.

    Args:
        now: the time, in seconds since 1970.
        instance: what the instance is called.
        usage: quotas and thresholds.
        figures: what is known of the distribution point.
        certificate: the certificate that is served.
        counts: what this instance served since its row before.
        stopped: whether content is refused.
    """
    moment = datetime.fromtimestamp(now, UTC)
    return {
        "TimeGenerated": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z",
        "Instance": instance,
        "BytesSent": figures.sent,
        "TransferQuota": usage.transfer_quota,
        "TransferPercent": percent(figures.sent, usage.transfer_quota),
        "BytesStored": figures.stored,
        "StorageQuota": usage.storage_quota,
        "StoragePercent": percent(figures.stored, usage.storage_quota),
        "WarningPercent": usage.warning_percent,
        "CriticalPercent": usage.critical_percent,
        "CertificateDaysLeft": (certificate.expires - moment).days,
        "CertificateThumbprint": certificate.thumbprint,
        "Requests": counts.requests,
        "CacheHits": counts.hits,
        "Refused": counts.refused,
        "BytesServed": counts.bytes,
        "Stopped": stopped,
        "TopContent": [asdict(content) for content in counts.top()],
    }


def post(api: Api, usage: UsageSettings, posted: Row) -> None:
    """Posts a row.

    Args:
        api: the Logs Ingestion API.
        usage: says where to.
        posted: the row.

    Raises:
        Problem: it was not taken.
    """
    api.request(
        f"{usage.logs_url}?api-version={API_VERSION}",
        method="POST",
        headers={"Content-Type": "application/json"},
        body=json.dumps([posted]).encode(),
    )
