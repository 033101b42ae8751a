"""Bytes that the storage account holds, from its metric `UsedCapacity`.

Azure counts once a day and has a value for each hour (Microsoft Learn, "Supported metrics for
Microsoft.Storage/storageAccounts"), so it is asked once an hour for the newest of some days.
"""

from __future__ import annotations

import time

from .arithmetic import DAY, HOUR, MINUTE, Span
from .monitor import Monitor

METRIC = "UsedCapacity"
LOOK_BACK_SECONDS = 3 * DAY
# A new account has no figure for up to a day.
FIRST_SECONDS = 10 * MINUTE


class Capacity:
    """Asks for it."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._account = ""
        self._due = 0.0

    def read(self, account: str) -> int | None:
        """The newest figure, None where there is none that is newer than the last.

        Args:
            account: id of the storage account.

        Raises:
            Problem: Azure does not say.
        """
        if account == self._account and time.monotonic() < self._due:
            return None
        end = int(self._monitor.now()) // HOUR * HOUR + HOUR
        span = Span(end - LOOK_BACK_SECONDS, end)
        points = self._monitor.values(account, METRIC, "Average", span, HOUR)
        known = {when: value for when, value in points if value is not None}
        self._account = account
        self._due = time.monotonic() + (HOUR if known else FIRST_SECONDS)
        return int(known[max(known)]) if known else None
