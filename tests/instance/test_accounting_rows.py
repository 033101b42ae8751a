from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1

from components.quotas.usage_table import COLUMNS, Kind
from instance.agent import messages, traffic
from instance.agent.accounting import STALE_SECONDS
from instance.agent.problem import Problem
from sandbox.dataplane.server import Answer
from tests.instance.azure_monitor import HOUR, AzureMonitor
from tests.instance.counting import Agent, usage
from tests.instance.pki import Authority, Issued

# What JSON has for each kind of column.
JSON_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.STRING: (str,),
    Kind.INT: (int,),
    Kind.LONG: (int,),
    Kind.REAL: (float,),
    Kind.BOOLEAN: (bool,),
    Kind.TIME: (str,),
    Kind.DYNAMIC: (list,),
}


@pytest.fixture
def issued(authority: Authority) -> Issued:
    return authority.issue("content.contoso.example", days=400)


def line(path: str, size: int = 100, *, cache: str = "HIT", status: int = 200) -> str:
    """A line of the access log, of what is counted and of what makes it as long as it is."""
    entry = {
        "time": "2026-03-17T10:30:20+00:00",
        "client": "10.1.2.3",
        "method": "GET",
        "path": path,
        "range": "bytes=0-65535",
        "status": status,
        "bytes": size,
        "cache": cache,
        "agent": "Microsoft BITS/7.8",
    }
    return json.dumps(entry) + "\n"


class Log:
    """The access log of an nginx that is not there."""

    def __init__(self, agent: Agent) -> None:
        self.places = agent.places
        self.path = agent.places.logs / "access.log"

    def write(self, *lines: str, to: Path | None = None) -> None:
        with (to or self.path).open("a") as log:
            log.write("".join(lines))


@pytest.fixture
def log(agent: Agent) -> Log:
    return Log(agent)


def posted(agent: Agent, issued: Issued, **quotas: Any) -> dict[str, Any]:
    """Make a pass, and return the row that it posted, empty for none."""
    before = len(agent.azure.rows)
    agent.accounting.read_traffic()
    agent.accounting.stop_or_go_on(usage(**quotas))
    agent.accounting.post(usage(**quotas), issued.bundle)
    rows = agent.azure.rows[before:]
    assert len(rows) <= 1
    return rows[0] if rows else {}


def counts(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["Requests"], row["CacheHits"], row["BytesServed"]


def test_a_row_has_exactly_the_columns_of_the_table_in_their_types(
    azure: AzureMonitor, agent: Agent, issued: Issued, log: Log
) -> None:
    azure.send(10**9 // 3, azure.now)
    azure.stored = {int(azure.now) // HOUR * HOUR: 123.0}
    agent.count()
    agent.accounting.read_capacity(usage())
    log.write(line("/a"))
    row = posted(agent, issued)
    assert list(row) == [column.name for column in COLUMNS]
    for column in COLUMNS:
        assert type(row[column.name]) in JSON_TYPES[column.kind], column.name


def test_a_row_says_what_is_known(
    azure: AzureMonitor, agent: Agent, issued: Issued, log: Log
) -> None:
    azure.send(5 * 10**9 + 1, azure.now)
    azure.stored = {int(azure.now) // HOUR * HOUR: 10.0**12}
    agent.accounting.read_capacity(usage())
    # A count after it forgets nothing of it.
    agent.count()
    log.write(line("/apps/a.bin", 7), line("/apps/a.bin", 8, cache="MISS"), line("/b"))
    row = posted(agent, issued)
    written = datetime.fromisoformat(row.pop("TimeGenerated")).timestamp()
    assert written == pytest.approx(azure.now, abs=2)
    days = row.pop("CertificateDaysLeft")
    until = issued.certificate.not_valid_after_utc.timestamp() - azure.now
    assert days == until // 86400
    assert row == {
        "Instance": "127.0.0.9",
        "BytesSent": 5 * 10**9 + 1,
        "TransferQuota": 10 * 10**9,
        "TransferPercent": 50.0,
        "BytesStored": 10**12,
        "StorageQuota": 2 * 10**12,
        "StoragePercent": 50.0,
        "WarningPercent": 50,
        "CriticalPercent": 90,
        "CertificateThumbprint": thumbprint(issued),
        "Requests": 3,
        "CacheHits": 2,
        "Refused": 0,
        "BytesServed": 115,
        "Stopped": False,
        "TopContent": [
            {"path": "/b", "requests": 1, "bytes": 100},
            {"path": "/apps/a.bin", "requests": 2, "bytes": 15},
        ],
    }


def thumbprint(issued: Issued) -> str:
    return issued.certificate.fingerprint(SHA1()).hex().upper()  # noqa: S303


def test_what_is_not_known_is_left_open(agent: Agent, issued: Issued) -> None:
    row = posted(agent, issued)
    unknown = [name for name, value in row.items() if value is None]
    assert unknown == ["BytesSent", "TransferPercent", "BytesStored", "StoragePercent"]
    assert not row["Stopped"]


def test_a_count_that_has_gone_blind_shows_though_content_stays_stopped(
    azure: AzureMonitor, agent: Agent, issued: Issued, wait: Callable[[float], None]
) -> None:
    azure.send(9 * 10**9, azure.now)
    agent.count()
    assert posted(agent, issued)["BytesSent"] == 9 * 10**9
    azure.faults = [Answer(403, {"error": {"code": "AuthorizationFailed"}})]
    with pytest.raises(Problem, match="does not admit"):
        agent.count()
    wait(STALE_SECONDS - 10)
    assert posted(agent, issued)["BytesSent"] == 9 * 10**9
    wait(10)
    row = posted(agent, issued)
    assert (row["BytesSent"], row["TransferPercent"], row["Stopped"]) == (None, None, True)
    agent.count()
    assert posted(agent, issued)["BytesSent"] == 9 * 10**9


def test_rows_come_every_five_minutes_and_at_once_when_they_say_something_new(
    azure: AzureMonitor,
    agent: Agent,
    issued: Issued,
    authority: Authority,
    wait: Callable[[float], None],
) -> None:
    azure.send(1, azure.now)
    agent.count()
    assert posted(agent, issued)
    azure.send(1, azure.now)
    agent.count()
    wait(290)
    assert not posted(agent, issued)
    wait(20)
    assert posted(agent, issued)
    azure.send(5 * 10**9, azure.now)
    agent.count()
    assert posted(agent, issued)["TransferPercent"] == 50.0
    assert not posted(agent, issued)
    azure.send(4 * 10**9, azure.now)
    agent.count()
    assert posted(agent, issued)["Stopped"]
    assert not posted(agent, issued)
    raised = posted(agent, issued, transferBytes=20 * 10**9)
    assert (raised["Stopped"], raised["TransferQuota"]) == (False, 20 * 10**9)
    other = authority.issue("content.contoso.example")
    row = posted(agent, other, transferBytes=20 * 10**9)
    assert row["CertificateThumbprint"] == thumbprint(other)


def test_each_request_is_counted_once_over_rows_rotation_and_restarts(
    agent: Agent, issued: Issued, log: Log, monkeypatch: pytest.MonkeyPatch, wait: Any
) -> None:
    monkeypatch.setattr(messages, "ACCESS_LOG_BYTES", 1)
    written = 0
    rows = []
    for turn in range(12):
        for _ in range(turn):
            log.write(line(f"/{turn}", 1))
            written += 1
        if turn % 3 == 0:
            agent.restart()
        if turn % 4 == 0:
            # Counted, and not in a row yet when the agent ends.
            agent.accounting.read_traffic()
            agent.restart()
        wait(301)
        rows.append(posted(agent, issued))
        messages.rotate(agent.places)
        # A worker of nginx that has not heard of it yet.
        log.write(line(f"/late/{turn}", 1), to=log.path.with_name("access.log.1"))
        written += log.path.with_name("access.log.1").exists()
    wait(301)
    rows.append(posted(agent, issued))
    assert sum(row["Requests"] for row in rows) == written
    assert sum(row["BytesServed"] for row in rows) == written
    assert sum(each["requests"] for row in rows for each in row["TopContent"]) == written


def test_what_was_there_before_the_first_count_is_not_counted(
    agent: Agent, issued: Issued, log: Log
) -> None:
    log.write(line("/before"))
    agent.restart()
    log.write(line("/after"))
    assert posted(agent, issued)["Requests"] == 1


def test_a_half_written_line_is_counted_when_it_is_whole(
    agent: Agent, issued: Issued, log: Log, wait: Callable[[float], None]
) -> None:
    text = line("/a")
    log.write(line("/b"), text[:70])
    assert posted(agent, issued)["Requests"] == 1
    log.write(text[70:])
    wait(301)
    assert posted(agent, issued)["TopContent"] == [{"path": "/a", "requests": 1, "bytes": 100}]


def test_a_line_that_was_cut_off_hides_no_other(agent: Agent, issued: Issued, log: Log) -> None:
    log.write(line("/a"), line("/b")[:60] + "\n", '{"bytes": "x"}\n', "[]\n", line("/\ufffd"))
    assert posted(agent, issued)["Requests"] == 2


def test_a_row_that_is_not_taken_is_made_up_for_by_the_next(
    azure: AzureMonitor, agent: Agent, issued: Issued, log: Log, wait: Callable[[float], None]
) -> None:
    log.write(line("/a", 10))
    azure.row_faults = [Answer(503, {"error": {"code": "ServiceUnavailable"}})]
    with pytest.raises(Problem, match="ServiceUnavailable"):
        posted(agent, issued)
    log.write(line("/a", 5, cache="MISS"))
    wait(301)
    assert counts(posted(agent, issued)) == (2, 1, 15)
    log.write(line("/a", 1))
    azure.row_faults = [Answer(429, {}, {"Retry-After": "100"})]
    wait(301)
    with pytest.raises(Problem, match="too many requests"):
        posted(agent, issued)
    agent.restart()
    log.write(line("/a", 2))
    assert counts(posted(agent, issued)) == (2, 2, 3)


def test_a_refused_token_is_asked_for_anew_to_post(
    azure: AzureMonitor, agent: Agent, issued: Issued
) -> None:
    azure.row_faults = [Answer(401, {})]
    assert posted(agent, issued)


def test_refused_requests_count_and_name_no_content(agent: Agent, issued: Issued, log: Log) -> None:
    log.write(line("/a"), line("/guess", 20, status=404, cache=""), line("/a", 30, status=416))
    row = posted(agent, issued)
    assert counts(row) == (3, 1, 150)
    assert row["Refused"] == 2
    assert [each["path"] for each in row["TopContent"]] == ["/a"]


def test_thousands_of_names_take_little_room_and_hide_no_sum(
    agent: Agent, issued: Issued, log: Log
) -> None:
    log.write(line("/image", 10**9), *(line("/popular", 1) for _ in range(50)))
    log.write(*(line(f"/{number}", 1) for number in range(3 * traffic.MOST_PATHS)))
    counted = agent.accounting._traffic.counts
    row = posted(agent, issued)
    assert row["Requests"] == 3 * traffic.MOST_PATHS + 51
    assert len(counted.content) <= traffic.MOST_PATHS
    assert len(row["TopContent"]) == traffic.TOP
    assert row["TopContent"][:2] == [
        {"path": "/image", "requests": 1, "bytes": 10**9},
        {"path": "/popular", "requests": 50, "bytes": 50},
    ]


def test_a_long_log_is_counted_over_several_passes(
    agent: Agent,
    issued: Issued,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
    wait: Callable[[float], None],
) -> None:
    monkeypatch.setattr(traffic, "MOST_SECONDS", 0.005)
    log.write(*(line("/a", 1) for _ in range(20000)))
    seen = []
    while sum(seen) < 20000:
        seen.append(posted(agent, issued)["Requests"])
        wait(301)
    assert sum(seen) == 20000
    assert len(seen) > 1


def test_a_service_that_has_stopped_does_not_go_on_for_want_of_a_figure(
    azure: AzureMonitor, agent: Agent, issued: Issued
) -> None:
    azure.send(10 * 10**9, azure.now)
    agent.count()
    assert posted(agent, issued)["Stopped"]
    (agent.places.state / "usage.json").unlink()
    agent.restart()
    assert posted(agent, issued)["Stopped"]
    assert not posted(agent, issued, stopAtCritical=False)["Stopped"]


def test_state_that_cannot_be_read_is_begun_anew(
    azure: AzureMonitor, agent: Agent, issued: Issued, log: Log
) -> None:
    azure.send(3, azure.now)
    agent.count()
    posted(agent, issued)
    (agent.places.state / "usage.json").write_text('{"sent": 3')
    agent.restart()
    assert agent.sent is None
    log.write(line("/a"))
    assert counts(posted(agent, issued)) == (1, 1, 100)
    assert agent.count() == 3
