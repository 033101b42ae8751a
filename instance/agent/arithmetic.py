"""Arithmetic of quotas and transfer periods: integers only, so that no byte is lost.

Times are seconds since 1970, and hours and minutes are UTC's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
PERCENT = 100


class Level(IntEnum):
    """How much of a quota is used."""

    FINE = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True)
class Span:
    """A time with its begin and without its end."""

    begin: int
    end: int

    def __str__(self) -> str:
        """As Azure Monitor takes it."""
        return "/".join(
            f"{datetime.fromtimestamp(edge, UTC):%Y-%m-%dT%H:%M:%SZ}"
            for edge in (self.begin, self.end)
        )

    def split(self, seconds: int) -> list[Span]:
        """The same time in parts that are no longer than so many seconds."""
        return [
            Span(begin, min(begin + seconds, self.end))
            for begin in range(self.begin, self.end, seconds)
        ]


@dataclass(frozen=True)
class Period:
    """A transfer period: the hour that has begun, and before it so many days of full hours."""

    hours: Span
    """What is counted by the hour."""
    minutes: Span
    """What is counted by the minute: the hour that has begun and the one before, which Azure may
    still add to."""

    @classmethod
    def until(cls, now: float, days: int) -> Period:
        """The period that ends now."""
        hour = int(now) // HOUR * HOUR
        return cls(
            hours=Span(hour - days * DAY, hour - HOUR),
            minutes=Span(hour - HOUR, int(now) // MINUTE * MINUTE + MINUTE),
        )


def totals(
    points: Iterable[tuple[int, Decimal | None]], span: Span, step: int
) -> Mapping[int, int]:
    """Adds up the points of a metric.

    Args:
        points: time and value of each, of any number of series; None where there was none.
        span: the time that was asked for.
        step: seconds of a bucket.

    Returns:
        The sum of each bucket of the span, by its begin; 0 for a gap.
    """
    sums = dict.fromkeys(range(span.begin, span.end, step), 0)
    for time, value in points:
        bucket = span.begin + (time - span.begin) // step * step
        if value is not None and bucket in sums:
            sums[bucket] += int(value)
    return sums


def reached(used: int, quota: int, percent: int) -> bool:
    """Whether so many percent of a quota, or more, are used."""
    return used * PERCENT >= quota * percent


def level(used: int | None, quota: int, warning: int, critical: int) -> Level | None:
    """The highest threshold, in percent, that use has reached; None where use is not known."""
    if used is None:
        return None
    if reached(used, quota, critical):
        return Level.CRITICAL
    return Level.WARNING if reached(used, quota, warning) else Level.FINE


def percent(used: int | None, quota: int) -> float | None:
    """Use in percent with two digits, rounded down, so that it shows a threshold once reached."""
    return None if used is None else used * PERCENT * 100 // quota / 100
