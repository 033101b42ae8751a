"""Waiting: the rhythm, what is said meanwhile, and how it ends."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pulumi
import pytest

from components.dns.lookups import Resolver
from components.proxy import Proxy
from components.readiness import waiting as readiness
from components.readiness.stages import (
    Seen,
    Stage,
    Subject,
    stages,
    token,
)
from components.readiness.status_log import StatusLog
from components.readiness.waiting import (
    STOPPED_ON_PURPOSE,
    Journal,
    NotReady,
    Progress,
    Report,
    Rhythm,
    Step,
    duration,
    insist,
    wait,
    wait_for,
)
from tests.unit.mocks import run

RHYTHM = Rhythm(timeout=1800, interval=10)
SUBJECT = Subject(
    service="dp1", fqdn="dp.contoso.test", site_fqdn="dp1.cloudapp.test", virtual_ip="203.0.113.1"
)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def stage(name: str, looks: Iterable[Seen]) -> Stage:
    return Stage(name, f"{name} is right", functools.partial(next, iter(looks)))


def no(seen: str = "nothing", keeps: int = 0) -> Seen:
    return Seen(False, seen, "something", keeps)


YES = Seen(True, "something", "something")


def waited(found: list[Stage], rhythm: Rhythm = RHYTHM) -> tuple[float, list[Step]]:
    time, steps = Time(), []
    wait(found, rhythm, steps.append, clock=time.clock, sleep=time.sleep)
    return time.now, steps


def test_nothing_is_waited_for_when_all_is_right() -> None:
    seconds, steps = waited([stage("one", [YES]), stage("two", [YES])])
    assert seconds == 0
    assert [step.stage.name for step in steps] == ["one", "two"]


def test_a_stage_is_looked_at_at_each_interval_until_it_is_right() -> None:
    looks = [no(), no(), YES]
    seconds, steps = waited([stage("one", looks), stage("two", [YES])])
    assert seconds == 20
    assert [(step.stage.name, step.seen.ok) for step in steps if step.seen.ok] == [
        ("one", True),
        ("two", True),
    ]


def test_the_time_is_one_for_all_stages() -> None:
    with pytest.raises(NotReady) as late:
        waited([stage("one", [no(), YES]), stage("two", itertools.repeat(no()))], Rhythm(60, 10))
    assert str(late.value) == (
        "waited 1 min in vain to see whether two is right. Expected: something. Seen: nothing."
    )


def test_the_end_is_not_overslept() -> None:
    time = Time()
    with pytest.raises(NotReady):
        wait(
            [stage("one", itertools.repeat(no()))],
            Rhythm(25, 10),
            lambda _: None,
            clock=time.clock,
            sleep=time.sleep,
        )
    assert time.now == 25


def test_a_cache_is_not_asked_before_it_forgets_but_for_a_minute_at_most() -> None:
    looks: list[float] = []
    time = Time()

    def look() -> Seen:
        looks.append(time.now)
        return YES if len(looks) == 4 else no(keeps=35 if len(looks) == 1 else 4000)

    wait(
        [Stage("one", "one is right", look)],
        RHYTHM,
        lambda _: None,
        clock=time.clock,
        sleep=time.sleep,
    )
    assert looks == [0, 40, 100, 160]


STOP = Seen(False, "503", "404", stopped=True)


def test_a_service_that_its_quota_stopped_is_not_waited_for_longer_than_a_raise_takes() -> None:
    seconds, steps = waited([stage("one", itertools.repeat(STOP)), stage("two", [YES])])
    assert seconds == STOPPED_ON_PURPOSE
    assert [step.stage.name for step in steps][-1] == "two"


def test_a_service_that_comes_back_after_a_raise_is_ready() -> None:
    time = Time()
    looks = [stage("one", [no(), STOP, STOP, YES])]
    assert wait(looks, RHYTHM, lambda _: None, clock=time.clock, sleep=time.sleep) == "Ready"
    assert time.now == 30


def test_a_service_that_its_quota_stopped_is_no_failure_when_the_time_is_over() -> None:
    time = Time()
    looks = [stage("one", itertools.repeat(STOP))]
    status = wait(looks, Rhythm(25, 10), lambda _: None, clock=time.clock, sleep=time.sleep)
    assert (status, time.now) == ("Stopped by the transfer quota", 25)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59.6, "1 min"), (130, "2 min 10 s"), (1800, "30 min")]
)
def test_durations_are_said_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def shown(*, one_line: bool, minutes: int) -> list[tuple[str, bool]]:
    said: list[tuple[str, bool]] = []
    progress = Progress(
        "dp1", RHYTHM, lambda text, passing: said.append((text, passing)), one_line=one_line
    )
    time = Time()
    looks = [no()] * (minutes * 6) + [YES]
    wait([stage("one", looks)], RHYTHM, progress, clock=time.clock, sleep=time.sleep)
    return said


def test_on_a_terminal_one_line_changes_until_the_stage_is_right() -> None:
    *waiting, last = shown(one_line=True, minutes=2)
    assert waiting[1] == (
        "dp1: waiting to see whether one is right, for 10 s of 30 min; seen: nothing",
        True,
    )
    assert all(passing for _, passing in waiting)
    assert last == ("dp1: OK, one is right (something)", False)


def test_in_a_pipeline_lines_stay_and_come_ever_less_often() -> None:
    said = shown(one_line=False, minutes=12)
    times = [re.findall(r"for (.+?) of", text) for text, _ in said[:-1]]
    assert times == [["0 s"], ["1 min"], ["2 min"], ["5 min"], ["10 min"]]
    assert not any(passing for _, passing in said)


WAITING = "Waiting for check if container is right. Seen: two lines. Will check again in 10 seconds"


def test_the_status_log_is_one_that_cmtrace_reads(tmp_path: Path) -> None:
    file = tmp_path / "status.log"
    journal = Journal(StatusLog(file, "dp1"), RHYTHM, pytest.fail)
    for seen in (no("two\nlines"), YES):
        journal(Step(stage("container", []), seen, 3))
    journal.ready()
    first, second, third = file.read_text().splitlines()
    form = re.compile(
        r'<!\[LOG\[(.+)\]LOG\]!><time="\d\d:\d\d:\d\d\.\d{3}\+000" date="\d\d-\d\d-\d{4}" '
        r'component="CloudDP-dp1" context="(\w+)" type="([123])" thread="\d+" file="">'
    )
    assert form.fullmatch(first)
    assert form.findall(first) == [
        (
            WAITING,
            "container",
            "2",
        )
    ]
    assert form.findall(second) == [
        ("Checked that container is right: something.", "container", "1")
    ]
    assert form.findall(third) == [
        ("STATMSG: ID=9409 The cloud distribution point is ready.", "ready", "1")
    ]


def test_a_status_log_that_cannot_be_written_is_said_once_and_stops_nothing(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    log = StatusLog(tmp_path / "missing" / "status.log", "dp1")
    journal = Journal(log, RHYTHM, lambda text, passing: said.append(text))
    journal.ready()
    journal.ready()
    assert len(said) == 1
    assert "status.log" in said[0]


def test_a_token_is_short_lived_and_for_one_path() -> None:
    key = "0123456789abcdef0123456789abcdef"
    claims = jwt.decode(token(key, "/apps/a b.bin"), key, algorithms=["HS256"])
    assert claims["path"] == "/apps/a b.bin"
    assert claims["exp"] - claims["iat"] == 120
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token(key, "/"), key + "x", algorithms=["HS256"])


def test_a_subject_never_shows_its_token_key() -> None:
    assert "sesame" not in repr(replace(SUBJECT, token_key="sesame"))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["alias", "address", "connection", "certificate", "service"]),
        (
            {"fqdn": "dp1.cloudapp.test"},
            ["address", "connection", "certificate", "service"],
        ),
        (
            {"container_exists": lambda: True, "instances": 2, "anonymous": True},
            [
                "container",
                "alias",
                "address",
                "connection",
                "certificate",
                "service",
                "download",
                "instances",
            ],
        ),
    ],
)
def test_only_what_is_known_is_looked_at(changes: dict[str, Any], names: list[str]) -> None:
    subject = replace(SUBJECT, **changes)
    found = stages(subject, resolver=Resolver(), proxy=Proxy())
    assert [stage.name for stage in found] == names
    assert {need for stage in found for need in stage.needs} <= set(names)


def program(subject: Any = SUBJECT, **changes: Any) -> Callable[[], Any]:
    """A program that waits, and returns the report once it is known."""

    def body() -> pulumi.Output[Report]:
        component = pulumi.ComponentResource("clouddp:test:Point", "dp1")
        settings: dict[str, Any] = {
            "instances": 2,
            "rhythm": Rhythm(0.3, 0.05),
            "resolver": Resolver(),
            "proxy": Proxy(),
            "status_log": None,
            "resource": component,
        }
        report = wait_for(pulumi.Output.from_input(subject), **{**settings, **changes})
        insist([report])
        component.register_outputs({"status": report.apply(lambda report: report.status)})
        return report

    return body


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Subject]:
    """Makes the stages right at the second look. Returns whom they were for."""
    asked: list[Subject] = []

    def right(subject: Subject, **_: Any) -> list[Stage]:
        asked.append(subject)
        return [stage("one", [no(), YES])]

    monkeypatch.setattr(readiness, "stages", right)
    return asked


def test_a_program_waits_until_it_is_ready(looks: list[Subject], tmp_path: Path) -> None:
    log = tmp_path / "status.log"
    recorder = run(program(status_log=log, rhythm=Rhythm(30, 0.05)))
    assert recorder.component_outputs["dp1"] == {"status": "Ready"}
    assert looks == [SUBJECT]
    assert "dp1: OK, one is right (something)" in recorder.messages
    assert "9409" in log.read_text()


def test_a_program_says_that_the_quota_keeps_content_back_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        readiness, "stages", lambda *_, **__: [stage("one", itertools.repeat(STOP))]
    )
    log = tmp_path / "status.log"
    recorder = run(program(status_log=log))
    assert recorder.component_outputs["dp1"] == {"status": "Stopped by the transfer quota"}
    assert any("raise transferQuotaGB or criticalPercent" in said for said in recorder.messages)
    assert "9409" not in log.read_text()


def test_a_fault_that_nobody_foresaw_is_one_sentence_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> list[Stage]:
        raise ImportError("no socksio")

    monkeypatch.setattr(readiness, "stages", broken)
    with pytest.raises(pulumi.RunError) as failed:
        run(program())
    assert "dp1: whether it is ready could not be checked (ImportError: no socksio)." in str(
        failed.value
    )


def test_a_preview_looks_at_nothing(looks: list[Subject]) -> None:
    recorder = run(program(), preview=True)
    assert looks == []
    assert recorder.component_outputs["dp1"].get("status") != "Ready"


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"instances": 0}, "Stopped"), ({"rhythm": Rhythm(0, 10)}, "Not checked")],
)
@pytest.mark.parametrize("preview", [True, False])
def test_without_instances_or_time_nothing_is_waited_for(
    looks: list[Subject], changes: dict[str, Any], status: str, preview: bool
) -> None:
    recorder = run(program(**changes), preview=preview)
    assert recorder.component_outputs["dp1"] == {"status": status}
    assert looks == []


def test_a_program_that_is_not_ready_in_time_fails_with_what_was_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        readiness, "stages", lambda *_, **__: [stage("one", itertools.repeat(no()))]
    )
    log = tmp_path / "status.log"
    with pytest.raises(pulumi.RunError) as failed:
        run(program(status_log=log))
    said, advice = str(failed.value).splitlines()
    assert said == (
        "dp1: waited 0 s in vain to see whether one is right. Expected: something. Seen: nothing."
    )
    assert "run `pulumi up` again" in advice
    assert 'type="3"' in log.read_text()
