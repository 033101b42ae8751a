"""Charts as inline SVG: lines and bars over time, in the colours of the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

HEIGHT = 230
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 26
MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS = [*(n * MINUTE for n in (5, 10, 15, 30)), *(n * HOUR for n in (1, 2, 3, 6, 12))]
STEPS += [n * DAY for n in (1, 2, 5, 7, 14, 30)]
MOST_TICKS = 6
MOST_DOTS = 60
ROUND = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
BAR_SHARE = 0.7
WIDEST_BAR = 26.0


NOTHING = '<p class="empty">Not measured yet.</p>'


@dataclass(frozen=True)
class Series:
    """Values over time."""

    name: str
    look: str
    """Class of the style sheet."""
    points: Sequence[tuple[float, float]]
    """Time in seconds since 1970, and value."""


@dataclass(frozen=True)
class Frame:
    """The plane of a chart."""

    width: int
    start: float
    end: float
    top: float
    """The value at the upper edge."""

    def x(self, at: float) -> float:
        """Where a time is."""
        share = (at - self.start) / (self.end - self.start)
        return LEFT + share * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value is."""
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)


def lines(
    series: Sequence[Series], *, width: int, start: float, end: float, top: float | None = None
) -> str:
    """Return a chart of lines; each holds its last value's place, dots show single ones.

    Args:
        series: What is drawn, the later over the earlier.
        width: Of the chart.
        start: Time at the left edge.
        end: Time at the right edge.
        top: Value at the upper edge; None for a round one over all values.
    """
    if not any(each.points for each in series):
        return NOTHING
    highest = max((value for each in series for _, value in each.points), default=0)
    frame = Frame(width, start, end, top or _round_up(highest))
    drawn = []
    for each in series:
        places = [f"{frame.x(at):.1f},{frame.y(value):.1f}" for at, value in each.points]
        drawn.append(f'<polyline class="line {each.look}" points="{" ".join(places)}"/>')
        if len(places) <= MOST_DOTS and not each.look.startswith("limit"):
            drawn += [
                f'<circle class="dot {each.look}" cx="{frame.x(at):.1f}" cy="{frame.y(value):.1f}"'
                f' r="2.4"><title>{_clock(at)}: {value:,.4g}</title></circle>'
                for at, value in each.points
            ]
    return _svg(frame, drawn, [(each.name, each.look) for each in series])


def bars(series: Sequence[Series], *, width: int, start: float, end: float, step: float) -> str:
    """Return a chart of bars, those of one time on top of one another.

    Args:
        series: What is drawn, from below; times are where an interval begins.
        width: Of the chart.
        start: Time at the left edge.
        end: Time at the right edge.
        step: Seconds of an interval.
    """
    heights: dict[float, float] = {}
    for each in series:
        for at, value in each.points:
            heights[at] = heights.get(at, 0) + value
    frame = Frame(width, start, end, _round_up(max(heights.values(), default=0)))
    room = frame.x(start + step) - frame.x(start)
    broad = min(room * BAR_SHARE, WIDEST_BAR)
    below: dict[float, float] = {}
    drawn = []
    for each in series:
        for at, value in each.points:
            low = below.get(at, 0)
            below[at] = low + value
            high = frame.y(low + value)
            drawn.append(
                f'<rect class="bar {each.look}" x="{frame.x(at) + (room - broad) / 2:.1f}"'
                f' y="{high:.1f}" width="{broad:.1f}" height="{frame.y(low) - high:.1f}">'
                f"<title>{_clock(at)}: {value:,.4g}</title></rect>"
            )
    return _svg(frame, drawn, [(each.name, each.look) for each in series])


def _svg(frame: Frame, drawn: Iterable[str], legend: Sequence[tuple[str, str]]) -> str:
    grid = []
    for value in _ticks(frame.top):
        y = f"{frame.y(value):.1f}"
        grid.append(
            f'<line class="grid" x1="{LEFT}" x2="{frame.width - RIGHT}" y1="{y}" y2="{y}"/>'
        )
        grid.append(f'<text class="tick" x="{LEFT - 7}" y="{y}" dy=".32em">{value:,.6g}</text>')
    for at, words in _times(frame.start, frame.end):
        grid.append(
            f'<text class="time" x="{frame.x(at):.1f}" y="{HEIGHT - BOTTOM + 17}">{words}</text>'
        )
    keys = "".join(
        f'<span class="key"><i class="{look}"></i>{escape(name)}</span>' for name, look in legend
    )
    return (
        f'<svg viewBox="0 0 {frame.width} {HEIGHT}" role="img">{"".join([*grid, *drawn])}</svg>'
        f'<p class="legend">{keys}</p>'
    )


def _round_up(value: float) -> float:
    """The next value whose quarters are easy to read."""
    if value <= 0:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return next(power * each for each in ROUND if power * each >= value)


def _ticks(top: float) -> list[float]:
    return [top * part / 4 for part in range(5)]


def _times(start: float, end: float) -> list[tuple[float, str]]:
    """Where the time is written, at round hours and days."""
    step = next((each for each in STEPS if (end - start) / each <= MOST_TICKS), STEPS[-1])
    first = math.ceil(start / step) * step
    pattern = "%H:%M" if step < DAY else "%-d %b"
    return [
        (at, f"{datetime.fromtimestamp(at, UTC):{pattern}}")
        for at in (first + number * step for number in range(MOST_TICKS + 1))
        if at <= end
    ]


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
