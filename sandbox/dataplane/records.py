"""What Azure Monitor keeps: points of metrics, rows of tables, alerts. One SQLite file.

It is not the control plane's database: what is measured every second is no change of anything that
ought to run.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

MINUTE = 60

_TABLES = """
CREATE TABLE IF NOT EXISTS points (
    resource TEXT NOT NULL, metric TEXT NOT NULL, dimensions TEXT NOT NULL, minute INTEGER NOT NULL,
    total REAL NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (resource, metric, dimensions, minute)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (place TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS rows_at ON rows(place, at);
CREATE TABLE IF NOT EXISTS alerts (
    id TEXT PRIMARY KEY, rule TEXT NOT NULL, name TEXT NOT NULL, severity INTEGER NOT NULL,
    description TEXT NOT NULL, fired REAL NOT NULL, resolved REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (
    alert TEXT NOT NULL, condition TEXT NOT NULL, receiver TEXT NOT NULL, outcome TEXT NOT NULL,
    at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS progress (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_ADD = """
INSERT INTO points VALUES (?, ?, ?, ?, ?, 1)
ON CONFLICT DO UPDATE SET total = total + excluded.total, count = count + 1
"""
_PUT = "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, 1)"
# How to find the owners of what is kept, and how to forget one.
_OWNED = (
    ("SELECT DISTINCT resource FROM points", "DELETE FROM points WHERE resource = ?"),
    ("SELECT DISTINCT place FROM rows", "DELETE FROM rows WHERE place = ?"),
)


@dataclass(frozen=True)
class Point:
    """What a metric had in one minute, for one set of values of its dimensions."""

    dimensions: Mapping[str, str]
    minute: int
    """When the minute begins, in seconds since 1970."""
    total: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One time that a rule fired; times in seconds since 1970."""

    id: str
    rule: str
    """Id of the rule, in lower case."""
    name: str
    severity: int
    description: str
    fired: float
    resolved: float | None = None


class Records:
    """The file, for all threads of a process; several processes may have it open."""

    def __init__(self, path: Path) -> None:
        """Open it; it is made where it is not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_TABLES)

    @contextmanager
    def together(self) -> Generator[None]:
        """All that is written meanwhile is written, or nothing of it."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def add(
        self, resource: str, metric: str, dimensions: Mapping[str, str], at: float, value: float
    ) -> None:
        """Count a value in its minute."""
        self._point(_ADD, resource, metric, dimensions, at, value)

    def put(
        self, resource: str, metric: str, dimensions: Mapping[str, str], at: float, value: float
    ) -> None:
        """Let a value be the only one of its minute."""
        self._point(_PUT, resource, metric, dimensions, at, value)

    def _point(
        self,
        sql: str,
        resource: str,
        metric: str,
        dimensions: Mapping[str, str],
        at: float,
        value: float,
    ) -> None:
        words = json.dumps(dimensions, sort_keys=True)
        minute = int(at) // MINUTE * MINUTE
        with self._lock:
            self._db.execute(sql, (resource.lower(), metric.lower(), words, minute, value))

    def points(self, resource: str, metric: str, start: float, end: float) -> list[Point]:
        """Return what a metric had from `start` on and before `end`, the oldest first."""
        found = self._rows(
            "SELECT dimensions, minute, total, count FROM points WHERE resource = ? AND metric = ?"
            " AND minute >= ? AND minute < ? ORDER BY minute, dimensions",
            resource.lower(),
            metric.lower(),
            start,
            end,
        )
        return [Point(json.loads(words), *rest) for words, *rest in found]

    def write(self, place: str, rows: Collection[tuple[float, Mapping[str, Any]]]) -> None:
        """Append rows to a table, each with its time."""
        with self.together():
            self._db.executemany(
                "INSERT INTO rows VALUES (?, ?, ?)",
                [(place, at, json.dumps(row)) for at, row in rows],
            )

    def rows(self, place: str, start: float, end: float) -> list[dict[str, Any]]:
        """Return a table's rows from `start` on and before `end`, the oldest first."""
        found = self._rows(
            "SELECT body FROM rows WHERE place = ? AND at >= ? AND at < ? ORDER BY at",
            place,
            start,
            end,
        )
        return [json.loads(body) for (body,) in found]

    def keep_only(self, resources: Collection[str], places: Collection[str]) -> None:
        """Forget what belongs to resources and tables that are gone."""
        with self.together():
            for (find, forget), kept in zip(_OWNED, (resources, places), strict=True):
                gone = {each for (each,) in self._rows(find)} - set(kept)
                self._db.executemany(forget, [(each,) for each in gone])

    def progress(self, name: str) -> int:
        """Return how far something has come, 0 at first."""
        found = self._rows("SELECT value FROM progress WHERE name = ?", name)
        return found[0][0] if found else 0

    def advance(self, name: str, value: int) -> None:
        """Remember how far something has come."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (name, value))

    def fire(self, alert: Alert) -> None:
        """Remember that a rule fired."""
        with self._lock:
            self._db.execute("INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(alert))

    def resolve(self, alert: str, at: float) -> None:
        """Remember that an alert is over."""
        with self._lock:
            self._db.execute("UPDATE alerts SET resolved = ? WHERE id = ?", (at, alert))

    def alerts(self) -> list[Alert]:
        """Return all alerts, the newest first."""
        found = self._rows(
            "SELECT id, rule, name, severity, description, fired, resolved FROM alerts"
            " ORDER BY fired DESC"
        )
        names = [field.name for field in fields(Alert)]
        return [Alert(**dict(zip(names, row, strict=True))) for row in found]

    def notice(self, alert: str, condition: str, receiver: str, outcome: str, at: float) -> None:
        """Remember what became of telling a receiver."""
        with self._lock:
            self._db.execute(
                "INSERT INTO notices VALUES (?, ?, ?, ?, ?)",
                (alert, condition, receiver, outcome, at),
            )

    def notices(self) -> list[tuple[str, str, str, str, float]]:
        """Return alert, condition, receiver, outcome and time of each, the oldest first."""
        return self._rows("SELECT alert, condition, receiver, outcome, at FROM notices ORDER BY at")

    def _rows(self, sql: str, *parameters: object) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, parameters).fetchall()
