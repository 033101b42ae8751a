"""Measures what runs, and has the alert rules looked at: Azure Monitor's own part, in a thread.

It looks every second. Azure measures every minute, counts storage once a day, and evaluates a rule
every few minutes: what is known there after minutes is known here after seconds, of the same
figures. Bytes through a balancer count when their connection ends, as its nginx logs them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.dataplane.alerts import Watcher
from sandbox.dataplane.desired import Desired, Rule
from sandbox.dataplane.metrics import BYTE_COUNT, DIP, IN, OUT, USED, VIP
from sandbox.dataplane.notices import Notices
from sandbox.dataplane.records import Records
from sandbox.terminal import Problem, say

LOOK_SECONDS = 1.0
CONNECT_SECONDS = 1.0
# Looks between two counts of what is stored, which asks storage for all its names.
LOOKS_PER_COUNT = 10
HOUR = 3600
TRAFFIC = "traffic"
LINE_PARTS = 5


class Monitor:
    """Azure Monitor at work."""

    def __init__(
        self,
        records: Records,
        notices: Notices,
        traffic: Path,
        *,
        desired: Callable[[], Desired],
        health: Callable[[], Mapping[Rule, Mapping[str, bool]]],
        used: Callable[[], Mapping[str, int]],
    ) -> None:
        """Name all of it; `start` begins.

        Args:
            records: Where what is measured goes.
            notices: Tells receivers.
            traffic: What the balancers log: a line for each connection, when it ends.
            desired: What the control plane has now.
            health: Whether a balancer's probe of each instance (by address) succeeds.
            used: Bytes that each storage account (by id) holds.
        """
        self._records = records
        self._notices = notices
        self._traffic = traffic
        self._desired = desired
        self._health = health
        self._used = used
        self._watcher = Watcher(records)
        self._kept: tuple[frozenset[str], frozenset[str]] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Count what was logged last, and end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self.count_traffic(self._desired())

    def _run(self) -> None:
        looks = 0
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self.look(time.time(), count_storage=looks % LOOKS_PER_COUNT == 0)
            except Problem as problem:
                say(str(problem))
            looks += 1

    def look(self, now: float, *, count_storage: bool) -> None:
        """Measure once, and look at all rules.

        Args:
            now: The time, in seconds since 1970.
            count_storage: Whether what is stored is counted too.

        Raises:
            Problem: Storage does not say what it holds.
        """
        desired = self._desired()
        balancers = (rule.balancer for rule in desired.rules)
        kept = frozenset([*balancers, *desired.accounts.values()]), desired.tables
        if kept != self._kept:
            self._records.keep_only(*kept)
            self._kept = kept
        self.count_traffic(desired)
        self._probe(now)
        changes = self._watcher.look(desired.alert_rules, desired.known_rules, now)
        for change in changes:
            for group in change.rule.groups:
                if receivers := desired.receivers.get(group):
                    self._notices.tell(receivers, change)
        if count_storage:
            for account, used in self._used().items():
                # On Azure, too, an account has no figure before it was counted for the first time.
                if used or self._records.points(account, USED.name, 0, now):
                    self._records.put(account, USED.name, {}, now // HOUR * HOUR, used)

    def count_traffic(self, desired: Desired) -> None:
        """Add what balancers have logged since the last time: each line counts once."""
        fronts = {(rule.address, str(rule.port)): rule.balancer for rule in desired.rules}
        with self._records.together(), contextlib.suppress(FileNotFoundError):
            done = self._records.progress(TRAFFIC)
            with self._traffic.open("rb") as log:
                log.seek(done if done <= self._traffic.stat().st_size else 0)
                for line in log:
                    if not line.endswith(b"\n"):
                        break
                    done = log.tell()
                    self._count_connection(fronts, line.decode().split())
            self._records.advance(TRAFFIC, done)

    def _count_connection(self, fronts: Mapping[tuple[str, str], str], parts: list[str]) -> None:
        if len(parts) != LINE_PARTS:
            return
        at, address, port, sent, received = parts
        balancer = fronts.get((address, port))
        for direction, size in ((OUT, int(sent)), (IN, int(received))):
            if balancer and size:
                dimensions = _front(address, port) | {"direction": direction}
                self._records.add(balancer, BYTE_COUNT.name, dimensions, float(at), size)

    def _probe(self, now: float) -> None:
        for rule, instances in self._health().items():
            front = _front(rule.address, str(rule.port))
            self._records.add(rule.balancer, VIP.name, front, now, 100 * _connects(rule))
            for address, good in instances.items():
                dimensions = front | {
                    "protocoltype": "TCP",
                    "backendport": str(rule.backend_port),
                    "backendipaddress": address,
                }
                self._records.add(rule.balancer, DIP.name, dimensions, now, 100 * good)


def _front(address: str, port: str) -> dict[str, str]:
    return {"frontendipaddress": address, "frontendport": port}


def _connects(rule: Rule) -> bool:
    """Whether clients reach the balancer."""
    try:
        socket.create_connection((rule.address, rule.port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
