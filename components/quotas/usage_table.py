"""The table that the agents post their figures to, and the queries that read it.

One row holds what an instance knew at one moment. What concerns the whole distribution point
(bytes sent, bytes stored, quotas, days left) is the same on every instance, so that the newest row
is the truth whoever wrote it. What concerns one instance (requests, cache hits, bytes served, top
content) counts from that instance's row before, so that sums over rows are exact.

Column names: at most 45 letters, digits and underscores, a letter first, none of the reserved
ones (MicrosoftDocs/azure-monitor-docs ``articles/azure-monitor/logs/
logs-ingestion-api-overview.md``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..naming import Names


class Kind(StrEnum):
    """What a column holds, with the spelling that a data collection rule wants."""

    STRING = "string"
    INT = "int"
    LONG = "long"
    REAL = "real"
    BOOLEAN = "boolean"
    TIME = "datetime"
    DYNAMIC = "dynamic"

    @property
    def in_table(self) -> str:
        """The spelling that a Log Analytics table wants."""
        return "dateTime" if self is Kind.TIME else self.value


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    name: str
    kind: Kind
    description: str


BYTES_SENT = Column("BytesSent", Kind.LONG, "Bytes sent to clients in the transfer period")
CERTIFICATE_DAYS_LEFT = Column(
    "CertificateDaysLeft", Kind.INT, "Whole days until the certificate expires"
)
INSTANCE = Column("Instance", Kind.STRING, "The instance that wrote the row")
COLUMNS = (
    Column("TimeGenerated", Kind.TIME, "When the figures were true"),
    INSTANCE,
    BYTES_SENT,
    Column("TransferQuota", Kind.LONG, "Transfer quota in bytes, as the instance knows it"),
    Column("TransferPercent", Kind.REAL, "Bytes sent in percent of the transfer quota"),
    Column("BytesStored", Kind.LONG, "Bytes that the storage account holds"),
    Column("StorageQuota", Kind.LONG, "Storage quota in bytes, as the instance knows it"),
    Column("StoragePercent", Kind.REAL, "Bytes stored in percent of the storage quota"),
    Column("WarningPercent", Kind.INT, "Percent of a quota from which to warn"),
    Column("CriticalPercent", Kind.INT, "Percent of a quota that is critical"),
    CERTIFICATE_DAYS_LEFT,
    Column("CertificateThumbprint", Kind.STRING, "Certificate that this instance serves"),
    Column("Requests", Kind.LONG, "Requests for content since this instance's row before"),
    Column("CacheHits", Kind.LONG, "Of these, the ones with content from the cache"),
    Column("Refused", Kind.LONG, "Of these, the ones that got an error (status 400 and above)"),
    Column("BytesServed", Kind.LONG, "Bytes this instance served since its row before"),
    Column("Stopped", Kind.BOOLEAN, "Content is refused, since the transfer quota is used up"),
    Column("TopContent", Kind.DYNAMIC, "What most of these bytes were: [{path, requests, bytes}]"),
)


def table_name(names: Names) -> str:
    """Name of the table: the workspace may be shared, so the name is unique as a workspace's is.

    Source: custom tables end in ``_CL`` (same page as above).
    """
    return f"{names.log_workspace}_CL"


def stream_name(names: Names) -> str:
    """Name of the rule's stream, which agents post to; custom ones begin with ``Custom-``."""
    return f"Custom-{table_name(names)}"


def newest(table: str, column: Column) -> str:
    """Query for the newest known figure; with none at all it is null.

    An instance that cannot read a figure leaves it open: that hides nothing that others know.
    """
    return (
        f"{table} | where isnotnull({column.name}) | summarize arg_max(TimeGenerated, *) "
        f"| project {column.name}"
    )


ROWS = "Rows"
INSTANCES = "Instances"


def row_count(table: str, column: Column) -> str:
    """Query for the number of rows with a figure: one answer, 0 where there is none."""
    return f"{table} | where isnotnull({column.name}) | summarize {ROWS} = count()"


def instance_count(table: str) -> str:
    """Query for the number of instances that posted: one answer, 0 where none did."""
    return f"{table} | distinct {INSTANCE.name} | summarize {INSTANCES} = count()"
