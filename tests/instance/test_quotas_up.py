from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
import yaml

from sandbox import pulumi_cli
from sandbox.dataplane import control
from sandbox.dataplane.instance import Instance
from sandbox.dataplane.metrics import BYTE_COUNT, OUT
from sandbox.dataplane.records import Records
from sandbox.home import STACK
from tests.instance.pki import Authority
from tests.instance.receiver import Receiver
from tests.instance.sandboxed import Checkout, changed
from tests.instance.world import until

MB, GB = 10**6, 10**9
FILE, FILE_BYTES = "package.bin", 60 * MB
CHUNK = 1024 * 1024
# Connections to try so that each instance has been met.
ENOUGH = 12
# A pass of the agent takes a second, but one that was refused tries again after a minute.
SECONDS = 90


@dataclass(frozen=True)
class Running:
    checkout: Checkout
    receiver: Receiver

    def ask(self, method: str) -> int:
        """Ask for the package over a connection of its own; return the status."""
        point = self.checkout.point()
        now = int(time.time())
        token = jwt.encode({"iat": now, "exp": now + 600}, point.token_keys[0], algorithm="HS256")
        with (
            self.checkout.session() as session,
            session.request(
                method,
                f"https://{point.fqdn}:{point.port}/{FILE}",
                headers={"Authorization": f"Bearer {token}"},
                stream=True,
                timeout=60,
            ) as reply,
        ):
            size = sum(map(len, reply.iter_content(CHUNK)))
            if reply.status_code == 503:
                assert int(reply.headers["Retry-After"]) > 0
                assert "transfer quota" in reply.headers["X-CloudDP-Reason"]
            elif method == "GET":
                assert size == FILE_BYTES
            return reply.status_code

    def everybody(self, status: int) -> bool:
        """Whether all instances answer so."""
        return {self.ask("HEAD") for _ in range(ENOUGH)} == {status}

    def sent(self) -> float:
        """What the balancer has counted."""
        records = Records(self.checkout.room.records)
        (rule,) = self.checkout.desired().rules
        points = records.points(rule.balancer, BYTE_COUNT.name, 0, time.time() + 60)
        records.close()
        return sum(each.total for each in points if each.dimensions["direction"] == OUT)

    def use(self, size: float) -> None:
        """Download until so many bytes were sent, and have the agents look."""
        times = math.ceil((size - self.sent()) / FILE_BYTES)
        assert {self.ask("GET") for _ in range(times)} == {200}
        until("it is counted", lambda: self.sent() >= size, SECONDS)
        self.wake_agents()

    def wake_agents(self) -> None:
        """Begin a pass of each agent at once, which else begins within a minute or so."""
        (wanted,) = self.checkout.desired().sets.values()
        folder = self.checkout.room.instances() / wanted.name
        for number in range(wanted.capacity):
            assert Instance(folder / str(number)).systemctl("reload", "clouddp-agent") == 0

    def up(self) -> str:
        """Deploy, with agents that look all the time; return what the engine said."""
        done = threading.Event()

        def wake() -> None:
            while not done.wait(1):
                self.wake_agents()

        waking = threading.Thread(target=wake)
        waking.start()
        try:
            return self.checkout.sandbox.pulumi("up", "--yes", "--skip-preview", "--stack", STACK)
        finally:
            done.set()
            waking.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Generator[Running]:
    engine = pulumi_cli.ensure(Path(sys.executable))
    checkout = Checkout.copy(tmp_path_factory.mktemp("checkout"), engine)
    folder = tmp_path_factory.mktemp("receiver")
    (folder / "authority.pem").write_text(authority.pem)
    receiver = Receiver(folder, authority)
    stack = checkout.sandbox.root / f"Pulumi.{STACK}.yaml"
    settings = yaml.safe_load(stack.read_text())
    settings["config"] |= {
        "clouddp:transferQuotaGB": 1,
        "clouddp:stopAtCritical": True,
        "clouddp:alertWebhooks": [receiver.url],
    }
    stack.write_text(yaml.safe_dump(settings))
    with receiver, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
        try:
            checkout.make("up")
            (checkout.content / FILE).write_bytes(os.urandom(FILE_BYTES))
            checkout.publish(checkout.point())
            yield Running(checkout, receiver)
        finally:
            control.stop(checkout.sandbox)


def test_use_warns_then_stops_and_a_raised_quota_serves_again(running: Running) -> None:
    receiver, sandbox = running.receiver, running.checkout.sandbox

    running.use(0.6 * GB)
    until("the warning is told", lambda: receiver.of("transfer-warning", "Fired"), SECONDS)
    (warning,) = receiver.of("transfer-warning", "Fired")
    (seen,) = warning["alertContext"]["condition"]["allOf"]
    assert warning["essentials"]["severity"] == "Sev2"
    assert float(seen["threshold"]) == 0.5 * GB
    assert 0.5 * GB <= seen["metricValue"] <= running.sent()
    assert warning["customProperties"]["distributionPoint"] == running.checkout.point().fqdn
    assert receiver.of("transfer-critical", "Fired") == []
    assert running.everybody(200)

    running.use(0.9 * GB)
    until("the critical alert is told", lambda: receiver.of("transfer-critical", "Fired"), SECONDS)
    until("content is refused", lambda: running.everybody(503), SECONDS)

    sandbox.pulumi("config", "set", "transferQuotaGB", "10", "--stack", STACK)
    steps = json.loads(sandbox.pulumi("preview", "--json", "--stack", STACK))["steps"]
    wanted = {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] != "same"}
    assert wanted == {
        "clouddp1-quotas-transfer-warning": "update",
        "clouddp1-quotas-transfer-critical": "update",
        "clouddp1-certificate-settings": "update",
    }
    assert changed(running.up()) == wanted.keys()
    until("content is served again", lambda: running.everybody(200), SECONDS)
    for name in ("transfer-warning", "transfer-critical"):
        until("the alert is over", lambda: receiver.of(name, "Resolved"), SECONDS)  # noqa: B023
        assert len(receiver.of(name, "Fired")) == len(receiver.of(name, "Resolved")) == 1


def test_the_dashboard_shows_what_was_used_and_which_alerts_fired(running: Running) -> None:
    page = Path(running.checkout.make("dashboard").strip().splitlines()[-1]).read_text()
    assert running.checkout.point().fqdn in page
    assert "clouddp1-transfer-warning" in page
    assert f"/{FILE}" in page
