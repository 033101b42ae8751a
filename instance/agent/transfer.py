"""Bytes that the load balancer sent to clients in the transfer period.

The metric is `ByteCount` of the load balancer (Microsoft Learn, "Supported metrics for
Microsoft.Network/loadBalancers"): a total with the dimensions FrontendPort and Direction. No page
says how Azure spells the directions, so it is asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .arithmetic import DAY, HOUR, MINUTE, Period, Span, totals
from .monitor import LONGEST_SECONDS, Monitor
from .places import Places
from .problem import Problem

METRIC = "ByteCount"
OUTBOUND = "out"
# What Azure may still add to is asked again, each hour.
RECENT_SECONDS = DAY


@dataclass(frozen=True)
class Source:
    """Whose bytes are counted."""

    balancer: str
    """Id of the load balancer."""
    port: int
    """Port that clients come in on."""


class Transfer:
    """Adds up the bytes; hours that are over are kept, so that little is asked for."""

    def __init__(self, monitor: Monitor, places: Places) -> None:
        self._monitor = monitor
        self._places = places
        self._file: Path = places.state / "usage-hours.json"
        self._directions: tuple[str, ...] = ()
        self._source: Source | None = None
        self._hours: dict[int, int] = {}
        self._counted_day = 0
        self._restore()

    def read(self, source: Source, days: int) -> int:
        """Counts the bytes of the period that ends now.

        Args:
            source: whose bytes.
            days: days of the period, besides the hour that has begun.

        Raises:
            Problem: Azure does not say all of it.
        """
        if source != self._source:
            self._source, self._hours, self._counted_day = source, {}, 0
            self._directions = ()
        if not self._directions:
            self._directions = self._find_directions(source, days)
        if not self._directions:
            return 0
        period = Period.until(self._monitor.now(), days)
        self._count_hours(source, period.hours)
        newest = self._ask(source, period.minutes, MINUTE)
        return sum(self._hours.values()) + sum(newest.values())

    def _find_directions(self, source: Source, days: int) -> tuple[str, ...]:
        """How Azure spells the way to the clients; nothing where nothing went through yet."""
        period = Period.until(self._monitor.now(), days)
        whole = Span(period.hours.begin, period.minutes.end)
        known: set[str] = set()
        for span in reversed(whole.split(LONGEST_SECONDS)):
            known.update(self._monitor.dimension_values(source.balancer, METRIC, "Direction", span))
            if outbound := [each for each in known if each.lower().startswith(OUTBOUND)]:
                return tuple(sorted(outbound))
        if known:
            names = ", ".join(sorted(known))
            raise Problem(f"None of the balancer's directions is outbound: {names}.")
        return ()

    def _count_hours(self, source: Source, span: Span) -> None:
        """Asks for the hours that are missing, the recent ones with them, and daily for all."""
        hours = range(span.begin, span.end, HOUR)
        self._hours = {begin: self._hours[begin] for begin in hours if begin in self._hours}
        missing = next((begin for begin in hours if begin not in self._hours), None)
        if missing is None:
            return
        day = span.end // DAY
        begin = span.begin
        if day == self._counted_day:
            begin = max(begin, min(missing, span.end - RECENT_SECONDS))
        for part in Span(begin, span.end).split(LONGEST_SECONDS):
            self._hours |= self._ask(source, part, HOUR)
        self._counted_day = day
        self._keep()

    def _ask(self, source: Source, span: Span, step: int) -> dict[int, int]:
        directions = " or ".join(f"Direction eq '{each}'" for each in self._directions)
        chosen = f"FrontendPort eq '{source.port}' and {directions}"
        points = self._monitor.values(source.balancer, METRIC, "Total", span, step, chosen)
        return dict(totals(points, span, step))

    def _keep(self) -> None:
        assert self._source
        values = {
            "balancer": self._source.balancer,
            "port": self._source.port,
            "day": self._counted_day,
            "first": min(self._hours),
            "sent": [self._hours[begin] for begin in sorted(self._hours)],
        }
        self._places.write(self._file, json.dumps(values))

    def _restore(self) -> None:
        """Reads what was kept; anything else than that is counted anew."""
        try:
            values: dict[str, Any] = json.loads(self._file.read_text())
            source = Source(str(values["balancer"]), int(values["port"]))
            hours = {
                int(values["first"]) + HOUR * number: int(sent)
                for number, sent in enumerate(values["sent"])
            }
            day = int(values["day"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        self._source, self._hours, self._counted_day = source, hours, day
