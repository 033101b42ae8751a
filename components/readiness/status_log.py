"""A log file as operators of Configuration Manager know it, for CMTrace and its like.

The form of a line and the words of a wait are those of the site server's own logs; 9409 is the
status message with which it reports an installed cloud distribution point (Microsoft Learn,
"Install cloud-based distribution points in Microsoft Azure").
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path

READY_ID = 9409


class Severity(IntEnum):
    """Kinds of lines, which CMTrace colours."""

    INFORMATION = 1
    WARNING = 2
    ERROR = 3


class StatusLog:
    """Appends to a log file; several distribution points may share one."""

    def __init__(self, path: Path, service: str) -> None:
        """Names the file, and the service whose lines these are."""
        self._path = path
        self._component = f"CloudDP-{service}"

    def write(self, stage: str, message: str, severity: Severity = Severity.INFORMATION) -> None:
        """Appends one line.

        Args:
            stage: what was looked at.
            message: one line of text.
            severity: its kind.

        Raises:
            OSError: the file cannot be written.
        """
        now = datetime.now(UTC)
        text = message.replace("\r", " ").replace("\n", " ").replace("]LOG]", "] LOG]")
        line = (
            f"<![LOG[{text}]LOG]!>"
            f'<time="{now:%H:%M:%S}.{now.microsecond // 1000:03}+000" date="{now:%m-%d-%Y}" '
            f'component="{self._component}" context="{stage}" type="{severity:d}" '
            f'thread="{threading.get_native_id()}" file="">\n'
        )
        # One write to a file that is open for appending: lines of several threads stay whole.
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
