"""What this instance served, counted from nginx's access log.

The log is the memory: all that is kept over a restart is how far it was counted. Each of its files
is told apart by its inode and its beginning, so that rotation neither hides lines nor shows them
twice, and what nginx's workers still write to a file after it was renamed counts as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import messages
from .places import Places

# Every line is longer.
BEGINNING_BYTES = 128
MOST_SECONDS = 5.0
MOST_PATHS = 2000
TOP = 20
REFUSED = 400


@dataclass
class Content:
    """What was served of one blob."""

    path: str
    requests: int = 0
    bytes: int = 0


@dataclass
class Counts:
    """What was served since the row before."""

    requests: int = 0
    hits: int = 0
    refused: int = 0
    bytes: int = 0
    content: dict[str, Content] = field(default_factory=dict)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Counts one line of the log."""
        size, path = int(entry["bytes"]), str(entry["path"])
        status, hit = int(entry["status"]), entry["cache"] == "HIT"
        self.requests += 1
        self.bytes += size
        if status >= REFUSED:
            self.refused += 1
            # Whatever names strangers may think of.
            return
        self.hits += hit
        content = self.content.setdefault(path, Content(path))
        content.requests += 1
        content.bytes += size
        if len(self.content) > MOST_PATHS:
            self.content = {each.path: each for each in self.top(MOST_PATHS // 2)}

    def top(self, number: int = TOP) -> list[Content]:
        """The blobs with the most bytes, which are what a quota counts."""
        order = sorted(self.content.values(), key=lambda each: (-each.bytes, each.path))
        return order[:number]


class Traffic:
    """Counts the access log, from where it was counted last."""

    def __init__(self, places: Places, counted: Mapping[str, int] | None) -> None:
        """Begins.

        Args:
            places: where everything lies.
            counted: how far each file of the log is in a row already; None where that is not
                known, so that only what comes from now on is counted.
        """
        self._log = places.logs / "access.log"
        self.counts = Counts()
        if counted is None:
            counted = {name: path.stat().st_size for name, path in self._files().items()}
        self._read = dict(counted)

    def read(self) -> None:
        """Counts the lines that are new, as far as that takes no long time."""
        end = time.monotonic() + MOST_SECONDS
        files = self._files()
        self._read = {name: self._read.get(name, 0) for name in files}
        for name, path in files.items():
            with path.open("rb") as log:
                log.seek(self._read[name])
                for line in log:
                    if not line.endswith(b"\n") or time.monotonic() > end:
                        break
                    self._read[name] += len(line)
                    self._count(line)

    def begin_anew(self) -> dict[str, int]:
        """Forgets the counts, which are in a row now, and says how far each file was counted."""
        self.counts = Counts()
        return dict(self._read)

    def _count(self, line: bytes) -> None:
        try:
            self.counts.add(json.loads(line.decode(errors="replace")))
        except (ValueError, KeyError, TypeError):
            # Cut off where the machine was.
            return

    def _files(self) -> dict[str, Path]:
        """The files of the log by what they are known as, the oldest first."""
        named: dict[str, Path] = {}
        for path in [*reversed(messages.rotated(self._log)), self._log]:
            try:
                with path.open("rb") as log:
                    beginning = log.read(BEGINNING_BYTES)
                    inode = os.fstat(log.fileno()).st_ino
            except FileNotFoundError:
                continue
            if len(beginning) == BEGINNING_BYTES:
                digest = hashlib.sha256(b"%d %b" % (inode, beginning)).hexdigest()
                named[digest[:16]] = path
        return named
