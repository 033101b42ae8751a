"""Keeps running what the control plane says: database -> desired -> running, again and again."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.clouds import CLOUDS, DEFAULT_CLOUD
from sandbox.dataplane import desired as model
from sandbox.dataplane import servers
from sandbox.dataplane.accounts import Accounts
from sandbox.dataplane.desired import Rule
from sandbox.dataplane.edge import Door, Edge
from sandbox.dataplane.gate import SECRET_READERS, StorageGate
from sandbox.dataplane.ingestion import IngestionService
from sandbox.dataplane.machines import Machines
from sandbox.dataplane.metrics import MetricsService
from sandbox.dataplane.monitor import Monitor
from sandbox.dataplane.names import ADDRESS, Names
from sandbox.dataplane.network import INNER_PORT, SERVERS_PORT, Addresses, claim
from sandbox.dataplane.notices import Notices
from sandbox.dataplane.readiness import Probe, Prober
from sandbox.dataplane.records import Records
from sandbox.dataplane.room import Room
from sandbox.dataplane.storage import Storage
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.dataplane.vault import VaultSecret, VaultService
from sandbox.provider.cloud import Cloud
from sandbox.terminal import Problem, say

LOOK_SECONDS = 0.1
RETRY_SECONDS = 5.0


class Supervisor:
    """The data plane of one sandbox."""

    def __init__(self, room: Room, version: str) -> None:
        """Make ready what is there from beginning to end.

        Args:
            room: Where everything is kept.
            version: What to report as the version that runs.
        """
        self._room = room
        self._version = version
        self._network = claim(room.state)
        self._cloud = Cloud(room.database)
        self._desired = model.read(self._cloud, self._network)
        self._issuer = TokenIssuer(_token_key(room.token_key))
        self._addresses = Addresses(self._network)
        self._sets: dict[str, Machines] = {}
        certificate, key = servers.certificate(room)
        network = self._network
        storage = Storage(
            room.storage,
            network.inner,
            SERVERS_PORT,
            certificate=certificate,
            key=key,
            log=room.logs / "storage.log",
        )
        self._accounts = Accounts(storage, room.storage, room.authority, self._issuer)
        self._names = Names(
            room.folder / "names", _dns_port(room.reported()), room.logs / "names.log"
        )
        self._gate = StorageGate(
            network.inner, INNER_PORT, issuer=self._issuer, desired=lambda: self._desired
        )
        door = Door(
            listen=f"{network.storage}:{SERVERS_PORT}",
            azurite=storage.address,
            gate=self._gate.address,
            certificate=certificate,
            key=key,
        )
        self._edge = Edge(room.folder / "edge", door, room.logs / "edge.log", room.traffic)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self._vault = VaultService(
            network.vault,
            SERVERS_PORT,
            tls=tls,
            issuer=self._issuer,
            audience=CLOUDS[DEFAULT_CLOUD].vault_audience,
            secret=self._secret,
            admits=self._admits,
        )
        self._prober = Prober(self._probes)
        self._records = Records(room.records)
        self._metrics = MetricsService(
            network.resource_manager,
            SERVERS_PORT,
            tls=tls,
            issuer=self._issuer,
            records=self._records,
            desired=lambda: self._desired,
            region=self._region,
        )
        self._ingestion = IngestionService(
            network.ingestion,
            SERVERS_PORT,
            tls=tls,
            issuer=self._issuer,
            records=self._records,
            desired=lambda: self._desired,
        )
        self._notices = Notices(self._records, room.alerts)
        self._monitor = Monitor(
            self._records,
            self._notices,
            room.traffic,
            desired=lambda: self._desired,
            health=self._health,
            used=self._used,
        )
        self._taken = 0
        self._ending = threading.Event()

    def run(self) -> None:
        """Serve until this process is told to end, or its folder is gone.

        Raises:
            Problem: A server does not start.
        """
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, lambda *_: self._ending.set())
        self._gate.start()
        self._vault.start()
        self._metrics.start()
        self._ingestion.start()
        self._prober.start()
        self._monitor.start()
        try:
            self._names.apply(self._desired.zones)
            self._balance()
            self._names.wait()
            self._edge.wait()
            self._room.report(
                {"pid": os.getpid(), "version": self._version, "nameserver": self._names.server}
            )
            say(f"The data plane runs; its addresses are {self._network.prefix}0/24.")
            self._follow()
        finally:
            self._end()

    def _follow(self) -> None:
        seen, again = -1, 0.0
        while not self._ending.wait(LOOK_SECONDS) and self._room.folder.exists():
            version = self._cloud.rows("PRAGMA data_version")[0][0]
            now = time.monotonic()
            if version != seen or now > again:
                again = now + RETRY_SECONDS
                try:
                    self._apply()
                except Problem as problem:
                    say(str(problem))
                else:
                    seen = version
            self._balance()

    def _apply(self) -> None:
        """Have everything be as the database says now.

        Raises:
            Problem: Something of it does not work; what waits for nothing of it goes on.
        """
        # Whoever waits has written before: what is read after this is what they wait for.
        waiting = self._cloud.rows(
            "SELECT id, resource_id FROM operations WHERE state = 'waiting' AND id > ?",
            self._taken,
        )
        self._desired = model.read(self._cloud, self._network)
        self._names.apply(self._desired.zones)
        for key in {*self._desired.sets, *self._sets, *(each[1].lower() for each in waiting)}:
            operations = [number for number, target in waiting if target.lower() == key]
            self._machines(key).apply(self._desired.sets.get(key), operations)
        self._taken = max([self._taken, *(number for number, _ in waiting)])
        self._accounts.apply(self._desired)

    def _machines(self, key: str) -> Machines:
        """The instances of a scale set, by its id in lower case."""
        if key not in self._sets:
            name = key.rpartition("/")[2]
            taken = [other.rpartition("/")[2] for other in self._sets]
            folder = f"{name}-{len(taken)}" if name in taken else name
            self._sets[key] = Machines(
                self._room.instances() / folder,
                self._room.logs,
                addresses=self._addresses,
                issuer=self._issuer,
                endpoints={
                    "connect": servers.places(self._network),
                    "caBundle": str(self._room.authority),
                },
                done=self._done,
            )
        return self._sets[key]

    def _done(self, operations: Sequence[int], problem: str) -> None:
        """Tell those who wait for operations how they ended."""
        if problem:
            say(problem)
        state = "failed" if problem else "done"
        with self._cloud.change() as database:
            database.executemany(
                "UPDATE operations SET state = ?, message = ? WHERE id = ?",
                [(state, problem, operation) for operation in operations],
            )

    def _backends(self) -> dict[Rule, list[Probe]]:
        """For each rule, how its balancer looks at the instances of its pool."""
        return {
            rule: [
                Probe(address, rule.probe_port, rule.probe_path, rule.probe_threshold)
                for key, wanted in self._desired.sets.items()
                if rule.pool in wanted.pools and key in self._sets
                for address in self._sets[key].addresses
            ]
            for rule in self._desired.rules
            if rule.address.startswith(self._network.prefix)
        }

    def _probes(self) -> set[Probe]:
        return {probe for probes in self._backends().values() for probe in probes}

    def _balance(self) -> None:
        ready = self._prober.ready
        self._edge.apply(
            {
                rule: [probe.address for probe in probes if probe in ready]
                for rule, probes in self._backends().items()
            }
        )

    def _health(self) -> dict[Rule, dict[str, bool]]:
        ready = self._prober.ready
        return {
            rule: {probe.address: probe in ready for probe in probes}
            for rule, probes in self._backends().items()
        }

    def _used(self) -> dict[str, int]:
        accounts = self._desired.accounts
        return {
            accounts[host]: size for host, size in self._accounts.used().items() if host in accounts
        }

    def _region(self, resource: str) -> str | None:
        found = self._cloud.get(resource)
        return str(found[2].get("location", "")) if found else None

    def _secret(self, vault: str, name: str) -> VaultSecret | None:
        return self._desired.secrets.get((vault.lower(), name.lower()))

    def _admits(self, vault: str, principal: str) -> bool:
        ids = [
            each
            for host, each in self._desired.vaults.items()
            if host.partition(".")[0] == vault.lower()
        ]
        return any(self._desired.permits(principal, each, SECRET_READERS) for each in ids)

    def _end(self) -> None:
        """Stop everything, in the order in which it needs one another."""
        for machines in self._sets.values():
            machines.end()
        self._prober.stop()
        self._edge.stop()
        self._monitor.stop()
        self._notices.stop()
        self._accounts.stop()
        self._names.stop()
        self._ingestion.stop()
        self._metrics.stop()
        self._vault.stop()
        self._gate.stop()
        self._records.close()
        say("The data plane has ended.")


def _token_key(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path.read_text()


def _dns_port(reported: Mapping[str, str]) -> int:
    """The port of last time, so that shells that know it stay right, or a free one."""
    before = int(reported.get("nameserver", ":0").rpartition(":")[2])
    for port in (before, *([0] * 20)):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            contextlib.suppress(OSError),
        ):
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((ADDRESS, port))
            udp.bind((ADDRESS, tcp.getsockname()[1]))
            return tcp.getsockname()[1]
    raise Problem(f"There is no free port on {ADDRESS} for the sandbox's DNS server.")
