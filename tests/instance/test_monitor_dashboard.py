from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sandbox.dashboard.figures import Figures
from sandbox.dashboard.page import page, write
from sandbox.dashboard.tiles import tiles
from sandbox.dataplane.records import Alert, Point
from sandbox.home import Sandbox
from sandbox.terminal import Problem

NOW = 1_800_000_000.0
GB = 10**9


def row(at: float = NOW - 60, **changes: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": datetime.fromtimestamp(at, UTC).isoformat(),
        "Instance": "clouddp1_0",
        "BytesSent": 300_000_000,
        "TransferQuota": GB,
        "TransferPercent": 30.0,
        "BytesStored": 4 * GB,
        "StorageQuota": 10 * GB,
        "StoragePercent": 40.0,
        "WarningPercent": 50,
        "CriticalPercent": 90,
        "CertificateDaysLeft": 200,
        "CertificateThumbprint": "44730470A9D56FD6A149D78F687E94DD9E99191B",
        "Requests": 10,
        "CacheHits": 8,
        "Refused": 1,
        "BytesServed": 300_000_000,
        "Stopped": False,
        "TopContent": [{"path": "/a<b>.bin", "requests": 10, "bytes": 300_000_000}],
    } | changes


def probe(address: str, good: bool, at: float = NOW - 30) -> Point:
    return Point({"backendipaddress": address}, int(at) // 60 * 60, 100.0 * good, 1)


FINE = Figures(
    fqdn="clouddp1.contoso.example",
    now=NOW,
    period_days=30,
    certificate_warning_days=30,
    instances=1,
    rows=[row(NOW - 600), row()],
    bytes=[Point({"direction": "Out"}, int(NOW) - 60, 300_000_000, 1)],
    probes=[probe("127.0.0.9", good=True)],
    reached=[Point({}, int(NOW) - 60, 100, 1)],
    alerts=[],
)


def levels(figures: Figures) -> dict[str, str]:
    return {each.title: each.level for each in tiles(figures)}


def test_all_tiles_are_green_when_all_is_well() -> None:
    assert set(levels(FINE).values()) == {"good"}


@pytest.mark.parametrize(
    ("tile", "changes", "level"),
    [
        ("Transfer used", {"TransferPercent": 49.9}, "good"),
        ("Transfer used", {"TransferPercent": 50.0}, "warning"),
        ("Transfer used", {"TransferPercent": 90.0}, "critical"),
        ("Storage used", {"StoragePercent": 90.1}, "critical"),
        ("Certificate ends in", {"CertificateDaysLeft": 31}, "good"),
        ("Certificate ends in", {"CertificateDaysLeft": 30}, "warning"),
        ("Certificate ends in", {"CertificateDaysLeft": -1}, "critical"),
        ("Content", {"Stopped": True}, "critical"),
    ],
)
def test_a_tile_has_the_colour_of_the_newest_row(
    tile: str, changes: dict[str, Any], level: str
) -> None:
    figures = replace(FINE, rows=[row(NOW - 600), row(**changes)])
    assert levels(figures) == levels(FINE) | {tile: level}


def test_instances_that_do_not_answer_or_post_are_missed() -> None:
    both = [probe("127.0.0.8", good=False), probe("127.0.0.9", good=True)]
    figures = replace(FINE, instances=2, probes=both)
    values = {each.title: (each.value, each.level) for each in tiles(figures)}
    assert values["Instances healthy"] == ("1 of 2", "warning")
    assert values["Instances posting"] == ("1 of 2", "warning")
    old = replace(FINE, probes=[probe("127.0.0.9", good=True, at=NOW - 900)])
    assert levels(old)["Instances healthy"] == "unknown"


def test_before_the_first_row_most_is_unknown_and_the_page_says_so() -> None:
    figures = replace(FINE, rows=[], probes=[])
    unknown = {title for title, level in levels(figures).items() if level == "unknown"}
    assert {"Transfer used", "Storage used", "Certificate ends in", "Content"} <= unknown
    assert "No instance has posted a row yet." in page([figures])
    # Two quotas, the cache's share, and the probes' line beside that of the data path.
    assert page([figures]).count("Not measured yet.") == 3


def test_what_nobody_has_said_for_half_an_hour_is_not_known_any_more() -> None:
    quiet = replace(FINE, rows=[row(NOW - 31 * 60)])
    unknown = {title for title, level in levels(quiet).items() if level == "unknown"}
    assert unknown == {"Transfer used", "Storage used", "Certificate ends in", "Content"}
    values = {each.title: (each.value, each.detail) for each in tiles(quiet)}
    assert values["Content"][0] == "unknown"
    assert values["Transfer used"][0] == "30.0 %"
    assert ", as of 2027-01-15" in values["Transfer used"][1]


def test_a_figure_that_one_instance_does_not_know_is_taken_from_another() -> None:
    blind = row(BytesSent=None, TransferPercent=None)
    assert levels(replace(FINE, rows=[row(NOW - 120), blind])) == levels(FINE)
    assert levels(replace(FINE, rows=[blind])) == levels(FINE) | {"Transfer used": "unknown"}


def test_a_service_without_instances_serves_nothing_and_is_not_called_well() -> None:
    stopped = replace(FINE, instances=0)
    (content,) = (each for each in tiles(stopped) if each.title == "Content")
    assert (content.value, content.level) == ("not served", "unknown")


def test_an_open_alert_shows_by_its_severity_and_stays_listed_when_resolved() -> None:
    alert = Alert(
        id="1",
        rule="rule",
        name="clouddp1-transfer-critical",
        severity=0,
        description="90 % or more is used",
        fired=NOW - 300,
    )
    assert levels(replace(FINE, alerts=[alert]))["Alerts open"] == "critical"
    over = replace(FINE, alerts=[replace(alert, resolved=NOW - 60)])
    assert levels(over)["Alerts open"] == "good"
    assert "90 % or more is used" in page([over])


def test_the_page_has_figures_with_units_and_needs_nothing_beside_it() -> None:
    text = page([FINE])
    for words in ("300 MB of 1 GB", "30.0 %", "4 GB of 10 GB", "/a&lt;b&gt;.bin", "600 MB"):
        assert words in text
    assert "in GB" in re.sub(r"<small>(.*?)</small>", r"in \1", text)
    assert not re.search(r"(src|href|@import|url\()", text)
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(svg)  # noqa: S314 - our own
    assert text.count("<svg") == 7


def test_bars_stay_inside_their_chart() -> None:
    for x, width in re.findall(r'<rect [^>]*x="([\d.]+)"[^>]*width="([\d.]+)"', page([FINE])):
        assert 52 <= float(x) <= float(x) + float(width) <= 560


def test_a_sandbox_where_nothing_ran_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="make up"):
        write(Sandbox(root=tmp_path, engine=tmp_path, python=tmp_path), NOW)
