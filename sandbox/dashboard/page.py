"""The page: HTML with charts as inline SVG, which needs nothing beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from sandbox.dashboard.cards import cards
from sandbox.dashboard.figures import Figures, clock, read
from sandbox.dashboard.tiles import tiles
from sandbox.dataplane import desired as model
from sandbox.dataplane.network import claim
from sandbox.dataplane.records import Records
from sandbox.dataplane.room import Room
from sandbox.home import Sandbox
from sandbox.provider.cloud import Cloud
from sandbox.terminal import Problem

FILE = "dashboard.html"
STYLE = (Path(__file__).parent / "style.css").read_text()
MARKS = {"good": "✓", "warning": "!", "critical": "✕", "unknown": "?"}


def write(sandbox: Sandbox, now: float) -> Path:
    """Write the page, and return where it is.

    Args:
        sandbox: The sandbox.
        now: The time, in seconds since 1970.

    Raises:
        Problem: Nothing has run in the sandbox.
    """
    room = Room(sandbox.state)
    if not room.records.exists():
        raise Problem("There is nothing to show yet: run `make up` first.")
    desired = model.read(Cloud(room.database), claim(room.state))
    records = Records(room.records)
    try:
        figures = [
            read(desired, records, json.loads(secret.value), now)
            for _, secret in sorted(desired.secrets.items())
            if secret.content_type == "application/json"
        ]
    finally:
        records.close()
    if not figures:
        raise Problem("No distribution point is up: run `make up` first.")
    path = sandbox.state / FILE
    path.write_text(page(figures))
    return path


def page(figures: Sequence[Figures]) -> str:
    """Return the page, which needs nothing beside it."""
    title = ", ".join(each.fqdn for each in figures)
    parts = "".join(_section(each) for each in figures)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{parts}</main></body></html>\n"
    )


def _section(figures: Figures) -> str:
    shown = "".join(
        f'<div class="tile {each.level}"><h3>{escape(each.title)}</h3>'
        f'<strong><i class="mark" title="{each.level}">{MARKS[each.level]}</i>'
        f"{escape(each.value)}</strong><p>{escape(each.detail)}</p></div>"
        for each in tiles(figures)
    )
    return (
        f"<header><h1>{escape(figures.fqdn)}</h1><p>{clock(figures.now)} UTC, on the sandbox. All"
        f' is well when every tile is green.</p></header><div class="tiles">{shown}</div>'
        f'<div class="cards">{cards(figures)}</div>'
    )
