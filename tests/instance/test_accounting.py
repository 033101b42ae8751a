from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from instance.agent.arithmetic import Level, level, percent, reached
from instance.agent.problem import Problem
from instance.agent.service import UsageSettings
from sandbox.dataplane.server import Answer
from tests.instance.azure_monitor import (
    DAY,
    HOUR,
    INGESTION,
    MINUTE,
    AzureMonitor,
    Dimensions,
)
from tests.instance.counting import SETTINGS, Agent, usage

IN: Dimensions = (("Direction", "In"), ("FrontendPort", "443"))
OTHER_PORT: Dimensions = (("Direction", "Out"), ("FrontendPort", "0"))


def begin(azure: AzureMonitor, days: int = 30) -> int:
    """When the transfer period begins: so many days before the hour that has begun."""
    return int(azure.now) // HOUR * HOUR - days * DAY


def test_bytes_are_added_up_exactly_over_the_whole_period(
    azure: AzureMonitor, agent: Agent
) -> None:
    chance = random.Random(8)  # noqa: S311
    first = begin(azure)
    expected = 0
    for _ in range(3000):
        when = chance.randrange(first, int(azure.now))
        size = chance.randrange(1, 10**12)
        azure.send(size, when)
        expected += size
        azure.send(chance.randrange(10**6), when, IN)
        azure.send(chance.randrange(10**6), when, OTHER_PORT)
    assert agent.count() == expected
    assert expected > 10**15


def test_the_period_begins_with_a_full_hour_and_ends_now(azure: AzureMonitor, agent: Agent) -> None:
    first = begin(azure)
    azure.send(1, first - 1)
    azure.send(10, first)
    azure.send(100, azure.now)
    assert agent.count() == 110
    azure.now += HOUR
    assert agent.count() == 100


def test_a_byte_leaves_the_period_when_it_is_as_old_as_the_period(
    azure: AzureMonitor, agent: Agent
) -> None:
    agent.days = 1
    azure.send(7, azure.now)
    for _ in range(24):
        azure.now += HOUR
        assert agent.count() == 7
    azure.now += HOUR
    assert agent.count() == 0


def test_ninety_days_are_asked_for_in_parts_that_azure_answers(
    azure: AzureMonitor, agent: Agent
) -> None:
    agent.days = 90
    for day in range(91):
        azure.send(10**day if day < 15 else 3, begin(azure, 90) + day * DAY)
    expected = sum(10**day for day in range(15)) + 3 * 76
    assert agent.count() == expected
    hours = [each for each in azure.values if each.step == HOUR]
    assert [each.end - each.begin for each in hours] == [30 * DAY, 30 * DAY, 30 * DAY - HOUR]
    assert [each.end for each in hours[:-1]] == [each.begin for each in hours[1:]]


@pytest.mark.parametrize("gaps", [True, False])
def test_months_without_data_count_as_nothing(
    azure: AzureMonitor, agent: Agent, gaps: bool
) -> None:
    agent.days = 90
    azure.gaps = gaps
    assert agent.count() == 0
    azure.send(5, begin(azure, 90) + 3 * DAY)
    assert agent.count() == 5


def test_traffic_that_was_only_long_ago_is_found(azure: AzureMonitor, agent: Agent) -> None:
    agent.days = 90
    azure.send(5, azure.now - 80 * DAY)
    azure.send(5, azure.now - 95 * DAY)
    azure.send(7, azure.now, IN)
    assert agent.count() == 5


def test_points_that_come_late_are_counted_in_the_next_pass_hour_or_day(
    azure: AzureMonitor, agent: Agent
) -> None:
    azure.send(1, azure.now)
    assert agent.count() == 1
    azure.send(10, azure.now - 50 * MINUTE)
    assert agent.count() == 11
    azure.send(100, azure.now - 20 * HOUR)
    azure.now += HOUR
    assert agent.count() == 111
    azure.send(1000, azure.now - 20 * DAY)
    azure.now += DAY
    assert agent.count() == 1111


def test_a_pass_asks_for_little(azure: AzureMonitor, agent: Agent) -> None:
    azure.send(1, azure.now)
    agent.count()
    azure.values.clear()
    azure.metadata = 0
    azure.now += MINUTE
    agent.count()
    (asked,) = azure.values
    assert (asked.step, asked.end - asked.begin <= 2 * HOUR) == (MINUTE, True)
    assert azure.metadata == 0


def test_pages_are_read_to_the_last(azure: AzureMonitor, agent: Agent) -> None:
    azure.page = 100
    for hour in range(700):
        azure.send(hour, azure.now - hour * HOUR)
    assert agent.count() == sum(range(700))


def test_a_token_goes_to_no_other_host_that_a_page_names(azure: AzureMonitor, agent: Agent) -> None:
    azure.page = 100
    azure.next_host = INGESTION
    azure.send(1, azure.now)
    with pytest.raises(Problem, match="cannot be read"):
        agent.count()


@pytest.mark.parametrize("status", [429, 529])
def test_throttling_is_waited_out_as_long_as_azure_asks(
    azure: AzureMonitor, agent: Agent, wait: Callable[[float], None], status: int
) -> None:
    azure.send(1, azure.now)
    assert agent.count() == 1
    azure.send(1, azure.now)
    azure.faults = [Answer(status, {"error": {"code": "TooManyRequests"}}, {"Retry-After": "170"})]
    asked = azure.asked
    for _ in range(3):
        with pytest.raises(Problem, match=r"too many requests \(TooManyRequests\)") as caught:
            agent.count()
        assert caught.value.retry_after == 0, "the whole agent would wait"
    assert azure.asked == asked + 1
    assert agent.sent == 1
    wait(171)
    assert agent.count() == 2


def test_after_each_failure_the_wait_is_longer(
    azure: AzureMonitor, agent: Agent, wait: Callable[[float], None]
) -> None:
    azure.send(1, azure.now)
    waits = []
    for _ in range(6):
        azure.fault = Answer(529, {})
        asked = azure.asked
        seconds = 0
        while azure.asked == asked:
            with pytest.raises(Problem):
                agent.count()
            wait(10)
            seconds += 10
        waits.append(seconds)
    azure.fault = None
    wait(300)
    assert agent.count() == 1
    assert waits == sorted(waits)
    assert len(set(waits)) > 3
    assert max(waits) <= 310


def test_a_refused_token_is_forgotten_and_asked_for_anew(azure: AzureMonitor, agent: Agent) -> None:
    azure.send(3, azure.now)
    assert agent.count() == 3
    tokens = agent.metadata.asked
    azure.send(4, azure.now)
    azure.faults = [Answer(401, {"error": {"code": "ExpiredAuthenticationToken"}})]
    assert agent.count() == 7
    assert agent.metadata.asked == tokens + 1
    azure.faults = [Answer(401, {})] * 2
    with pytest.raises(Problem, match="refuses the identity's token"):
        agent.count()
    assert agent.sent == 7


@pytest.mark.parametrize("ahead", [-3 * HOUR, 40 * MINUTE, 5 * HOUR])
def test_azures_clock_counts_and_not_the_instances(
    azure: AzureMonitor, agent: Agent, ahead: float
) -> None:
    agent.clock_ahead = ahead
    azure.send(10, azure.now)
    azure.send(100, azure.now - 30 * DAY + HOUR)
    azure.send(1000, azure.now - 31 * DAY)
    azure.send(1, azure.now - DAY)
    assert agent.count() == 111


@pytest.mark.parametrize("damage", ["", "{", '{"hours": 3}', "[]", "null"])
def test_a_restart_loses_nothing_whatever_became_of_the_file(
    azure: AzureMonitor, agent: Agent, damage: str
) -> None:
    for hour in range(720):
        azure.send(10**9 + hour, azure.now - hour * HOUR)
    before = agent.count()
    if damage:
        (agent.places.state / "usage-hours.json").write_text(damage)
    azure.values.clear()
    agent.restart()
    assert agent.count() == before
    asked = sum((each.end - each.begin) // each.step for each in azure.values)
    assert asked > 700 if damage else asked <= 120


def test_the_last_figure_outlives_a_restart_while_azure_does_not_answer(
    azure: AzureMonitor, agent: Agent
) -> None:
    azure.send(123, azure.now)
    agent.count()
    agent.restart()
    azure.fault = Answer(503, {})
    with pytest.raises(Problem):
        agent.count()
    assert agent.sent == 123


def test_another_balancer_is_counted_from_its_own_figures(
    azure: AzureMonitor, agent: Agent
) -> None:
    azure.send(123, azure.now - 2 * DAY)
    agent.count()
    kept = agent.places.state / "usage-hours.json"
    kept.write_text(kept.read_text().replace("loadBalancers/balancer", "loadBalancers/before"))
    azure.sent.clear()
    azure.send(5, azure.now - 3 * DAY)
    agent.restart()
    assert agent.count() == 5


def test_an_error_of_the_metric_is_not_taken_for_nothing(azure: AzureMonitor, agent: Agent) -> None:
    azure.send(9, azure.now)
    assert agent.count() == 9
    azure.error_code = "InternalServerError"
    with pytest.raises(Problem, match="no ByteCount now"):
        agent.count()
    assert agent.sent == 9


@pytest.mark.parametrize("body", [{}, {"value": []}, {"value": [{"timeseries": [{}]}]}])
def test_an_answer_that_cannot_be_read_is_not_taken_for_nothing(
    azure: AzureMonitor, agent: Agent, body: dict[str, Any]
) -> None:
    azure.send(9, azure.now)
    assert agent.count() == 9
    azure.faults = [Answer(200, body)]
    with pytest.raises(Problem, match="cannot be read"):
        agent.count()
    assert agent.sent == 9


@pytest.mark.parametrize("spelling", ["Out", "OUT", "outbound"])
def test_directions_are_spelt_as_azure_spells_them(
    azure: AzureMonitor, agent: Agent, spelling: str
) -> None:
    azure.send(9, azure.now, (("Direction", spelling), ("FrontendPort", "443")))
    azure.send(1, azure.now, IN)
    assert agent.count() == 9


def test_several_series_are_added_up(azure: AzureMonitor, agent: Agent) -> None:
    for spelling in ("Out", "Outbound"):
        azure.send(4, azure.now, (("Direction", spelling), ("FrontendPort", "443")))
        azure.send(5, azure.now - DAY, (("Direction", spelling), ("FrontendPort", "443")))
    assert agent.count() == 18


def test_directions_of_which_none_is_outbound_are_named(azure: AzureMonitor, agent: Agent) -> None:
    azure.send(9, azure.now, (("Direction", "Egress"), ("FrontendPort", "443")))
    with pytest.raises(Problem, match="outbound: Egress"):
        agent.count()
    assert agent.sent is None


def test_the_newest_figure_of_storage_counts(
    azure: AzureMonitor, agent: Agent, wait: Callable[[float], None]
) -> None:
    def stored() -> int | None:
        agent.accounting.read_capacity(usage())
        return agent.accounting._figures.stored

    assert stored() is None
    hour = int(azure.now) // HOUR * HOUR
    azure.stored = {hour - 30 * HOUR: 3.0, hour - 5 * HOUR: 10.0**12 + 1, hour: None}
    wait(10 * MINUTE)
    assert stored() == 10**12 + 1
    azure.stored[hour] = 4.0
    wait(50 * MINUTE)
    assert stored() == 10**12 + 1, "once an hour is enough"
    wait(10 * MINUTE)
    assert stored() == 4


@pytest.mark.parametrize(
    ("used", "quota", "percents", "expected"),
    [
        (5 * 10**8 - 1, 10**9, (50, 90), Level.FINE),
        (5 * 10**8, 10**9, (50, 90), Level.WARNING),
        (9 * 10**8 - 1, 10**9, (50, 90), Level.WARNING),
        (9 * 10**8, 10**9, (50, 90), Level.CRITICAL),
        (10**27, 10**9, (50, 100), Level.CRITICAL),
        (2**60 * 9 - 1, 2**60 * 10, (50, 90), Level.WARNING),
        (2**60 * 9, 2**60 * 10, (50, 90), Level.CRITICAL),
        (0, 1, (1, 2), Level.FINE),
        (None, 1, (1, 2), None),
    ],
)
def test_thresholds_are_exact_to_the_byte(
    used: int | None, quota: int, percents: tuple[int, int], expected: Level | None
) -> None:
    assert level(used, quota, *percents) is expected


@pytest.mark.parametrize("critical", [1, 33, 67, 99, 100])
@pytest.mark.parametrize("quota", [1, 7, 10**9, 3 * 10**12 + 1])
def test_the_percentage_shows_a_threshold_from_the_byte_that_reaches_it(
    critical: int, quota: int
) -> None:
    least = -(-quota * critical // 100)
    for used in (least - 1, least, least + 1):
        shown = percent(used, quota)
        assert shown is not None
        assert (shown >= critical) == reached(used, quota, critical)


@pytest.mark.parametrize("part", ["quotas", "metrics", "logs", "storage"])
def test_settings_that_lack_a_part_are_a_problem_of_the_count_alone(part: str) -> None:
    with pytest.raises(Problem, match="service settings"):
        UsageSettings.parse(json.dumps(SETTINGS | {part: {}}))
    with pytest.raises(Problem, match="not above 0"):
        usage(transferBytes=0)
    with pytest.raises(Problem, match="above 90"):
        usage(periodDays=91)
