from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from components.quotas.usage_table import (
    BYTES_SENT,
    INSTANCE,
    INSTANCES,
    ROWS,
    instance_count,
    newest,
    row_count,
)
from sandbox.dataplane.alerts import GOOD_LOOKS, Change, Watcher
from sandbox.dataplane.desired import Desired, Rule
from sandbox.dataplane.monitor import Monitor
from sandbox.dataplane.notices import Notices
from sandbox.dataplane.records import Records
from sandbox.dataplane.server import Answer
from sandbox.dataplane.watch import AlertRule, Condition, Query, Receivers
from tests.instance.monitoring import ACCOUNT, BALANCER, DESIRED, GROUP, TABLE, WORKSPACE
from tests.instance.pki import Authority
from tests.instance.receiver import Receiver
from tests.instance.world import until

NOW = 1_800_000_000.0
HOUR = 3600
ALERTS = f"{GROUP}/providers/Microsoft.Insights"
GROUP_ID = f"{ALERTS}/actionGroups/clouddp1-receivers".lower()
BALANCING = Rule(
    balancer=BALANCER.lower(),
    address="127.1.1.10",
    port=8443,
    pool="pool",
    backend_port=8443,
    probe_port=8443,
    probe_path="/readyz",
    probe_threshold=1,
    idle_minutes=4,
)


def condition(query: Query | None, operator: str, threshold: float) -> Condition:
    return Condition(
        query=query,
        metric="" if query else "DipAvailability",
        namespace="" if query else "Microsoft.Network/loadBalancers",
        aggregation="Maximum" if query else "Average",
        operator=operator,
        threshold=threshold,
    )


def rule(name: str, what: Condition, *, window: str = "PT1H") -> AlertRule:
    kind, signal, scope = (
        ("scheduledQueryRules", "Log", WORKSPACE)
        if what.query
        else ("metricAlerts", "Metric", BALANCER)
    )
    return AlertRule(
        id=f"{ALERTS}/{kind}/clouddp1-{name}",
        signal=signal,
        severity=2,
        description="Distribution point dp.contoso.example: use is high.",
        scopes=(scope,),
        window=window,
        conditions=(what,),
        groups=(GROUP_ID,),
        properties={"distributionPoint": "dp.contoso.example"},
    )


NEWEST = Query(
    newest("clouddp1abc_CL", BYTES_SENT), "last row", TABLE, BYTES_SENT.name, BYTES_SENT.name
)
COUNT = Query(row_count("clouddp1abc_CL", BYTES_SENT), "rows", TABLE, BYTES_SENT.name, ROWS)
BY_INSTANCE = Query(instance_count("clouddp1abc_CL"), "different", TABLE, INSTANCE.name, INSTANCES)
TRANSFER = rule("transfer-warning", condition(NEWEST, "GreaterThanOrEqual", 500))
SILENT = rule("agent-silent", condition(COUNT, "LessThan", 1), window="PT30M")
MISSING = rule("instances-missing", condition(BY_INSTANCE, "LessThan", 2), window="PT30M")
UNREACHABLE = rule("unreachable", condition(None, "LessThan", 10), window="PT5M")


class Watch:
    """A watcher, with its clock in the test's hand."""

    def __init__(self, folder: Path, *rules: AlertRule) -> None:
        self.records = Records(folder / "monitor.db")
        self.watcher = Watcher(self.records)
        self.rules = rules
        self.now = NOW

    def sent(self, size: int | None) -> None:
        self.records.write(TABLE, [(self.now, {BYTES_SENT.name: size})])

    def posted(self, *instances: str) -> None:
        self.records.write(TABLE, [(self.now, {INSTANCE.name: each}) for each in instances])

    def probed(self, good: float) -> None:
        self.records.add(BALANCER, "DipAvailability", {}, self.now, good)

    def look(self, after: float = 1) -> list[str]:
        return [each.condition for each in self.changes(after)]

    def changes(self, after: float = 1) -> list[Change]:
        self.now += after
        known = [each.id.lower() for each in self.rules]
        return self.watcher.look(self.rules, known, self.now)


def test_an_alert_fires_once_at_its_threshold_and_resolves_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path, TRANSFER)
    watch.sent(499)
    assert watch.look() == []
    watch.sent(500)
    assert [watch.look() for _ in range(4)] == [["Fired"], [], [], []]
    watch.sent(499)
    looks = [watch.look() for _ in range(GOOD_LOOKS + 2)]
    assert looks == [[]] * (GOOD_LOOKS - 1) + [["Resolved"], [], []]
    (alert,) = watch.records.alerts()
    assert (alert.name, alert.fired < (alert.resolved or 0)) == ("clouddp1-transfer-warning", True)


def test_one_good_look_between_bad_ones_resolves_nothing(tmp_path: Path) -> None:
    watch = Watch(tmp_path, TRANSFER)
    watch.sent(500)
    assert watch.look() == ["Fired"]
    for _ in range(3):
        watch.sent(1)
        assert watch.look() == []
        watch.sent(500)
        assert watch.look() == []


def test_nobody_is_told_again_after_a_restart(tmp_path: Path) -> None:
    watch = Watch(tmp_path, TRANSFER)
    watch.sent(500)
    assert watch.look() == ["Fired"]
    watch.watcher = Watcher(watch.records)
    assert watch.look() == []


def test_the_newest_known_figure_of_the_window_is_the_one_that_counts(tmp_path: Path) -> None:
    watch = Watch(tmp_path, TRANSFER)
    watch.sent(None)
    assert watch.look() == []
    watch.sent(500)
    watch.now += 10
    watch.sent(499)
    assert watch.look() == []
    watch.sent(501)
    watch.now += 10
    # An instance that cannot read it hides nothing that another one knows.
    watch.sent(None)
    assert watch.look() == ["Fired"]
    assert watch.look(HOUR + 1) == []
    assert watch.look() == []
    assert watch.look() == ["Resolved"]


def test_a_raised_threshold_resolves_what_has_fired(tmp_path: Path) -> None:
    watch = Watch(tmp_path, TRANSFER)
    watch.sent(500)
    assert watch.look() == ["Fired"]
    raised = replace(TRANSFER.conditions[0], threshold=501)
    watch.rules = (replace(TRANSFER, conditions=(raised,)),)
    assert [watch.look() for _ in range(3)][-1] == ["Resolved"]


def test_a_rule_that_is_gone_or_off_tells_nobody(tmp_path: Path) -> None:
    watch = Watch(tmp_path, TRANSFER)
    watch.sent(500)
    assert watch.look() == ["Fired"]
    assert watch.watcher.look((), [TRANSFER.id.lower()], NOW + 9) == []
    assert watch.records.alerts()[0].resolved is None
    assert watch.watcher.look((), [], NOW + 10) == []
    assert watch.records.alerts()[0].resolved == NOW + 10


def test_rows_without_the_figure_are_silence(tmp_path: Path) -> None:
    watch = Watch(tmp_path, SILENT)
    assert watch.look() == []
    watch.now += 30 * 60
    watch.sent(None)
    assert watch.look() == ["Fired"]


def test_silence_is_told_after_a_whole_window_of_it_and_ends_with_a_row(tmp_path: Path) -> None:
    watch = Watch(tmp_path, SILENT)
    assert watch.look() == []
    assert watch.look(29 * 60) == []
    assert watch.look(61) == ["Fired"]
    watch.sent(1)
    assert [watch.look() for _ in range(3)][-1] == ["Resolved"]


def test_an_instance_that_posts_nothing_is_told_after_a_whole_window_of_it(tmp_path: Path) -> None:
    watch = Watch(tmp_path, MISSING)
    for minute in range(30):
        watch.posted("one", *(["two"] if minute == 0 else []))
        assert watch.look(60) == []
    assert watch.look(60) == ["Fired"]
    watch.posted("two")
    assert [watch.look() for _ in range(3)][-1] == ["Resolved"]


def test_probes_that_fail_for_the_window_fire_and_no_data_changes_nothing(tmp_path: Path) -> None:
    watch = Watch(tmp_path, UNREACHABLE)
    watch.probed(0)
    assert watch.look() == []
    for _ in range(5):
        watch.now += 60
        watch.probed(0)
    assert watch.look() == ["Fired"]
    assert [watch.look(HOUR) for _ in range(4)] == [[]] * 4
    watch.now += HOUR
    watch.probed(100)
    assert [watch.look() for _ in range(3)][-1] == ["Resolved"]


def test_mails_and_webhooks_get_the_common_alert_schema(tmp_path: Path) -> None:
    watch = Watch(tmp_path, TRANSFER)
    watch.sent(600)
    (fired,) = watch.changes()
    data = fired.payload["data"]
    assert fired.payload["schemaId"] == "azureMonitorCommonAlertSchema"
    assert {
        "alertRule": "clouddp1-transfer-warning",
        "severity": "Sev2",
        "signalType": "Log",
        "monitorCondition": "Fired",
        "monitoringService": "Log Alerts V2",
        "alertTargetIDs": [WORKSPACE.lower()],
        "firedDateTime": "2027-01-15T08:00:01.000Z",
        "description": TRANSFER.description,
    }.items() <= data["essentials"].items()
    (seen,) = data["alertContext"]["condition"]["allOf"]
    assert {
        "searchQuery": NEWEST.text,
        "metricMeasureColumn": "BytesSent",
        "operator": "GreaterThanOrEqual",
        "threshold": "500",
        "metricValue": 600.0,
    }.items() <= seen.items()
    assert data["customProperties"] == {"distributionPoint": "dp.contoso.example"}


def test_a_metric_alert_says_when_it_resolved(tmp_path: Path) -> None:
    watch = Watch(tmp_path, replace(UNREACHABLE, conditions=(condition(None, "GreaterThan", 9),)))
    watch.probed(10)
    assert watch.look() == ["Fired"]
    watch.now += HOUR
    watch.probed(0)
    (resolved,) = [each for _ in range(3) for each in watch.changes()]
    essentials = resolved.payload["data"]["essentials"]
    assert essentials["resolvedDateTime"] > essentials["firedDateTime"]
    (seen,) = resolved.payload["data"]["alertContext"]["condition"]["allOf"]
    assert (seen["metricName"], seen["metricValue"]) == ("DipAvailability", 0)


@pytest.fixture
def receiver(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Generator[Receiver]:
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    receiver = Receiver(tmp_path, authority)
    with receiver:
        yield receiver


class Monitored:
    """The whole monitor, with figures of the test's own."""

    def __init__(self, folder: Path, receivers: Receivers) -> None:
        self.records = Records(folder / "monitor.db")
        self.log = folder / "alerts.log"
        self.traffic = folder / "traffic.log"
        self.notices = Notices(self.records, self.log)
        self.health: Mapping[Rule, Mapping[str, bool]] = {}
        self.used: dict[str, int] = {}
        self.desired: Desired = DESIRED(
            rules=(BALANCING,),
            accounts={"account": ACCOUNT.lower()},
            alert_rules=(TRANSFER,),
            known_rules=frozenset({TRANSFER.id.lower()}),
            receivers={GROUP_ID: receivers},
        )
        self.monitor = Monitor(
            self.records,
            self.notices,
            self.traffic,
            desired=lambda: self.desired,
            health=lambda: self.health,
            used=lambda: self.used,
        )

    def total(self, resource: str, metric: str, **dimensions: str) -> float:
        return sum(
            each.total
            for each in self.records.points(resource, metric, 0, time.time() + 60)
            if dimensions.items() <= each.dimensions.items()
        )


def test_a_webhook_is_told_and_a_mail_is_written_down(tmp_path: Path, receiver: Receiver) -> None:
    monitored = Monitored(tmp_path, Receivers(("ops@contoso.example",), (("hook", receiver.url),)))
    now = time.time()
    monitored.records.write(TABLE, [(now - 1, {BYTES_SENT.name: 700})])
    monitored.monitor.look(now, count_storage=False)
    until("the webhook is told", lambda: receiver.of("transfer-warning", "Fired"), 10)
    until("it is remembered", lambda: len(monitored.records.notices()) == 2, 10)
    outcomes = {each[2]: each[3] for each in monitored.records.notices()}
    assert outcomes["hook"] == "status 200"
    assert "no mail" in outcomes["mail ops@contoso.example"]
    log = monitored.log.read_text()
    assert "Fired Sev2 clouddp1-transfer-warning -> hook: status 200" in log
    assert "very-secret" not in log
    monitored.notices.stop()


def test_a_webhook_that_is_too_busy_is_asked_again(tmp_path: Path, receiver: Receiver) -> None:
    receiver.fault = Answer(503, {})
    monitored = Monitored(tmp_path, Receivers((), (("hook", receiver.url),)))
    now = time.time()
    monitored.records.write(TABLE, [(now - 1, {BYTES_SENT.name: 700})])
    monitored.monitor.look(now, count_storage=False)
    until("it was asked", lambda: receiver.asked >= 1, 10)
    receiver.fault = None
    until("the webhook is told", lambda: receiver.of("transfer-warning", "Fired"), 10)
    monitored.notices.stop()


def test_a_webhook_with_a_certificate_that_nobody_trusts_is_not_told(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setattr("sandbox.dataplane.notices.PAUSES_SECONDS", (0.0,))
    monitored = Monitored(tmp_path, Receivers((), (("hook", receiver.url),)))
    now = time.time()
    monitored.records.write(TABLE, [(now - 1, {BYTES_SENT.name: 700})])
    monitored.monitor.look(now, count_storage=False)
    until("it is remembered", monitored.records.notices, 10)
    assert "not delivered" in monitored.log.read_text()
    assert "very-secret" not in monitored.log.read_text()
    assert receiver.got == []
    monitored.notices.stop()


def test_what_the_balancer_logs_counts_once_whole_lines_only(tmp_path: Path) -> None:
    monitored = Monitored(tmp_path, Receivers((), ()))
    now = time.time()
    line = f"{now:.3f} 127.1.1.10 8443 %d 7\n"
    strange = f"{now:.3f} 127.1.1.10 9999 5 5\nnonsense\n"
    monitored.traffic.write_text(line % 100 + strange + (line % 20)[:-3])
    for _ in range(2):
        monitored.monitor.look(now, count_storage=False)
        assert monitored.total(BALANCER, "ByteCount", direction="Out") == 100
    with monitored.traffic.open("a") as log:
        log.write((line % 20)[-3:])
    again = Monitored(tmp_path, Receivers((), ()))
    again.monitor.stop()
    assert again.total(BALANCER, "ByteCount", direction="Out") == 120
    assert again.total(BALANCER, "ByteCount", direction="In") == 14
    for each in (monitored, again):
        each.notices.stop()


def test_health_and_storage_become_metrics(tmp_path: Path) -> None:
    monitored = Monitored(tmp_path, Receivers((), ()))
    monitored.health = {BALANCING: {"127.1.1.200": True, "127.1.1.201": False}}
    monitored.used = {ACCOUNT.lower(): 12345}
    monitored.monitor.look(time.time(), count_storage=True)
    assert monitored.total(BALANCER, "DipAvailability", backendipaddress="127.1.1.200") == 100
    assert monitored.total(BALANCER, "DipAvailability", backendipaddress="127.1.1.201") == 0
    # Nobody listens at the front here.
    assert monitored.total(BALANCER, "VipAvailability") == 0
    assert monitored.total(ACCOUNT, "UsedCapacity") == 12345
    monitored.used = {ACCOUNT.lower(): 0, "new": 0}
    monitored.monitor.look(time.time(), count_storage=True)
    assert monitored.total(ACCOUNT, "UsedCapacity") == 0
    assert monitored.records.points("new", "UsedCapacity", 0, time.time()) == []
    monitored.notices.stop()
