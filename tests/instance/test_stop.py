from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Generator

import httpx
import pytest

from components.dns.lookups import Resolver
from components.proxy import Proxy
from components.readiness.stages import Subject, stages
from sandbox.dataplane.server import Answer
from sandbox.dataplane.tokens import TokenIssuer
from tests.instance.azure_monitor import INGESTION, MANAGER, AzureMonitor
from tests.instance.counting import SETTINGS
from tests.instance.world import FQDN, PRINCIPAL, TOKEN_KEY, World, until

CONTENT = b"c" * 300_000
QUOTA = 10**9
CRITICAL = QUOTA * 90 // 100
GARBAGE = Answer(200, {"value": "garbage"})
PROBLEMS = {
    "silence": "transfer: management.azure.com cannot be reached",
    "garbage": "transfer: Azure Monitor's answer for ByteCount cannot be read",
    "settings": "quotas: The service settings lack periodDays",
    "address": "quotas: It failed",
}
UNITS = ("clouddp-agent", "clouddp-nginx")


class Counted:
    """A ready instance that counts, and the Azure Monitor that it asks."""

    def __init__(self, world: World, azure: AzureMonitor) -> None:
        self.world = world
        self.azure = azure

    def change(self, **quotas: object) -> None:
        """Change the quotas as the program does, and have the agent see it."""
        self.world.quotas |= quotas
        self.world.put_settings()
        self.world.wake_agent()

    def status(self) -> int:
        return self.world.get("/a.bin").status_code

    def until_status(self, status: int) -> httpx.Response:
        self.world.agent_does(lambda: self.status() == status, f"content gets {status}")
        return self.world.get("/a.bin")

    def pages(self) -> set[int]:
        return {self.world.page(path).status_code for path in ("/healthz", "/readyz")}

    def rows(self) -> int:
        return len(self.azure.rows)


@pytest.fixture
def counted(world: World, azure_tls: ssl.SSLContext, issuer: TokenIssuer) -> Generator[Counted]:
    azure = AzureMonitor(azure_tls, issuer, PRINCIPAL)
    world.connect = dict.fromkeys((MANAGER, INGESTION), azure.address)
    world.storage_account = SETTINGS["storage"]["accountId"]
    world.quotas = SETTINGS["quotas"] | {"transferBytes": QUOTA}
    world.metrics, world.logs = SETTINGS["metrics"], SETTINGS["logs"]
    with azure:
        world.get_ready()
        world.publish("a.bin", CONTENT)
        yield Counted(world, azure)


def test_content_stops_at_the_critical_threshold_and_comes_back_with_a_higher_quota(
    counted: Counted,
) -> None:
    world, azure = counted.world, counted.azure
    azure.send(CRITICAL - 1, time.time())
    world.agent_does(lambda: azure.rows and azure.rows[-1]["BytesSent"], "a row is posted")
    assert counted.status() == 200
    azure.send(1, time.time())
    reply = counted.until_status(503)
    assert reply.headers["Retry-After"] == "300"
    assert "transfer quota" in reply.headers["X-CloudDP-Reason"]
    assert "transfer quota" in reply.text
    assert "X-Cache" not in reply.headers
    assert counted.pages() == {200}
    until("a row says so", lambda: azure.rows[-1]["Stopped"])
    assert azure.rows[-1]["TransferPercent"] == 90.0
    with world.client() as stranger:
        assert stranger.get("/a.bin").status_code == 401
    world.wait_for_message("Content is refused: 900000000 bytes")
    counted.change(transferBytes=2 * QUOTA)
    assert counted.until_status(200).content == CONTENT
    until("a row says so", lambda: not azure.rows[-1]["Stopped"])
    world.wait_for_message("Content is served again")


@pytest.mark.parametrize("sample", ["", "a.bin"])
def test_up_and_the_connection_check_see_that_the_quota_keeps_content_back(
    counted: Counted, sample: str
) -> None:
    subject = Subject(
        service="dp",
        fqdn=FQDN,
        site_fqdn=FQDN,
        virtual_ip="127.0.0.1",
        port=counted.world.port,
        token_key=TOKEN_KEY,
        sample=sample,
    )
    looks = {each.name: each.look for each in stages(subject, resolver=Resolver(), proxy=Proxy())}
    open_way = looks["download"]()
    assert (open_way.ok, open_way.stopped) == (True, False)
    counted.azure.send(CRITICAL, time.time())
    counted.until_status(503)
    # What an instance has just allowed holds for some seconds.
    closed = until("it is closed", lambda: (seen := looks["download"]()).stopped and seen)
    assert not closed.ok
    assert closed.seen == '503 ("the transfer quota of this service is used up")'
    assert looks["service"]().ok


def test_content_comes_back_when_use_falls(counted: Counted) -> None:
    counted.azure.send(CRITICAL, time.time() - 3 * 86400)
    counted.until_status(503)
    counted.change(periodDays=2)
    assert counted.until_status(200).content == CONTENT


def test_nothing_stops_where_that_is_not_asked_for(counted: Counted) -> None:
    counted.azure.send(CRITICAL, time.time())
    counted.until_status(503)
    counted.change(stopAtCritical=False)
    counted.until_status(200)
    counted.azure.send(CRITICAL, time.time())
    counted.change(warningPercent=51)
    until("it is posted", lambda: counted.azure.rows[-1]["TransferPercent"] == 180.0)
    assert counted.status() == 200


def test_a_service_that_has_stopped_stays_so_while_nobody_knows_better(
    counted: Counted,
) -> None:
    world = counted.world
    counted.azure.send(CRITICAL, time.time())
    counted.until_status(503)
    counted.azure.fault = Answer(529, {}, {"Retry-After": "1"})
    world.agent_does(lambda: "transfer: Azure has too many" in world.messages(), "it is said")
    assert world.messages().count("transfer: Azure has too many") == 1
    # The machine restarts: what lies in memory is gone, and Azure takes its time.
    counted.azure.delay = 4
    assert world.instance.systemctl("stop", *UNITS) == 0
    shutil.rmtree(world.instance.folder / "run/clouddp")
    (world.instance.folder / "run/clouddp").mkdir()
    for unit in reversed(UNITS):
        assert world.instance.systemctl("start", unit) == 0
    world.wait_until_ready()
    assert counted.status() == 503
    counted.azure.delay = 0
    counted.azure.fault = None
    counted.azure.sent.clear()
    assert counted.until_status(200).content == CONTENT


@pytest.mark.parametrize("wrong", ["silence", "garbage", "settings", "address"])
def test_whatever_is_wrong_with_the_count_content_is_served(counted: Counted, wrong: str) -> None:
    world = counted.world
    if wrong == "silence":
        counted.azure.delay = 60
    if wrong == "garbage":
        counted.azure.fault = GARBAGE
    if wrong == "settings":
        world.quotas = {"transferBytes": "many"}
    if wrong == "address":
        world.logs = {**world.logs, "endpoint": "https://["}
    world.put_settings()
    world.agent_does(lambda: PROBLEMS[wrong] in world.messages(), "the journal says so", 120)
    assert world.messages().count("The agent runs.") == 1
    assert counted.status() == 200
    assert counted.pages() == {200}
