"""The instances of one scale set: made, changed in batches, and removed, in a thread of its own.

What Azure does with a scale set's model: a new instance runs the Custom Script extension before it
counts; a changed script runs again on a batch of instances after the other, each of which has to be
healthy before the next batch begins (MicrosoftDocs/azure-compute-docs, articles/
virtual-machine-scale-sets/virtual-machine-scale-sets-configure-rolling-upgrades.md).
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.dataplane.desired import ScaleSet
from sandbox.dataplane.instance import Instance
from sandbox.dataplane.metadata import MetadataService
from sandbox.dataplane.network import INNER_PORT, Addresses
from sandbox.dataplane.readiness import answers
from sandbox.dataplane.tokens import TokenIssuer
from sandbox.terminal import Problem

AT_ONCE = 2
LOG_LINES_SHOWN = 12
CACHE_BYTES = 2 * 10**9
LEAST_GRACE_SECONDS = 60.0
# Azure pauses for minutes. Here the balancer sees within a second or two that one is ready again.
PAUSE_SECONDS = 3.0
MOMENT = 0.2


@dataclass
class Machine:
    """One instance."""

    address: str
    instance: Instance
    metadata: MetadataService
    log: Path
    script: str | None = None
    """What was installed last; None before the first time, empty where the last time failed."""


@dataclass(frozen=True)
class Task:
    """What the set is to be from now on (None: gone), and who waits for that."""

    wanted: ScaleSet | None
    operations: tuple[int, ...]


class Machines:
    """The instances of one scale set."""

    def __init__(
        self,
        folder: Path,
        logs: Path,
        *,
        addresses: Addresses,
        issuer: TokenIssuer,
        endpoints: Mapping[str, Any],
        done: Callable[[Sequence[int], str], None],
    ) -> None:
        """Begin with none.

        Args:
            folder: Where the instances' own folders are.
            logs: Where the logs of what the extension does are.
            addresses: Where they get their addresses.
            issuer: Who makes the tokens of their identities.
            endpoints: What `endpoints.json` says, the same on all of them.
            done: Told which operations are done, and what went wrong (empty: nothing).
        """
        self._folder = folder
        self._logs = logs
        self._addresses = addresses
        self._issuer = issuer
        self._endpoints = endpoints
        self._done = done
        self._told: ScaleSet | None = None
        self._wanted: ScaleSet | None = None
        self._machines: dict[int, Machine] = {}
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def addresses(self) -> list[str]:
        """Where the instances are, in the order of their numbers."""
        return [machine.address for _, machine in sorted(self._machines.items())]

    def apply(self, wanted: ScaleSet | None, operations: Sequence[int]) -> None:
        """Become what is wanted, and then say that the operations are done.

        What failed is tried again for the next operation, not before.
        """
        if operations or wanted != self._told:
            self._told = wanted
            self._tasks.put(Task(wanted, tuple(operations)))

    def end(self) -> None:
        """Stop all instances, whatever is going on; their folders stay."""
        self._ending.set()
        self._tasks.put(None)
        self._thread.join()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._stop, self._machines.values()))

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None and not self._ending.is_set():
            problem = ""
            try:
                self._become(task.wanted)
            except Problem as failure:
                problem = str(failure)
            except Exception as error:  # whoever waits has to be told, whatever it is
                problem = f"The sandbox failed: {type(error).__name__}: {error}"
            self._done(task.operations, problem)

    def _become(self, wanted: ScaleSet | None) -> None:
        self._wanted = wanted
        capacity = wanted.capacity if wanted else 0
        self._each(self._remove, [number for number in self._machines if number >= capacity])
        if wanted is None or self._ending.is_set():
            return
        installed = {number: each.script for number, each in sorted(self._machines.items())}
        # New ones need not be healthy: what would make them so may wait for the set itself.
        new = [number for number in range(capacity) if installed.get(number) is None]
        self._each(lambda number: self._install(number, wanted), new)
        old = [
            number
            for number, script in installed.items()
            if script is not None and script != wanted.script
        ]
        size = max(1, capacity * wanted.batch_percent // 100)
        for begin in range(0, len(old), size):
            if self._ending.wait(PAUSE_SECONDS if begin else 0):
                return
            batch = old[begin : begin + size]
            self._each(lambda number: self._install(number, wanted), batch)
            self._each(lambda number: self._wait_until_healthy(number, wanted), batch)

    def _each(self, work: Callable[[int], None], numbers: Sequence[int]) -> None:
        """Do something for some instances, a few at once; the first failure is raised."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(work, numbers))

    def _install(self, number: int, wanted: ScaleSet) -> None:
        machine = self._machines.get(number) or self._make(number, wanted)
        if machine.script is not None:
            machine.script = ""
        endpoints = {
            **self._endpoints,
            "connect": {**self._endpoints["connect"], "169.254.169.254": machine.metadata.address},
            "listen": machine.address,
            "cacheBytes": CACHE_BYTES,
        }
        try:
            finished = machine.instance.install(wanted.script, endpoints)
            code, said = finished.returncode, finished.stdout + finished.stderr
        except subprocess.TimeoutExpired as late:
            code, said = -1, f"{late.stdout or ''}{late.stderr or ''}\nIt took too long."
        machine.log.write_text(said)
        if code:
            tail = "\n".join(said.splitlines()[-LOG_LINES_SHOWN:])
            raise Problem(
                f"VMExtensionProvisioningError: VM {number} of {wanted.name} has reported a failure"
                f" when processing extension 'install': the script ended with code {code}. The end"
                f" of {machine.log}:\n{tail}"
            )
        machine.script = wanted.script

    def _make(self, number: int, wanted: ScaleSet) -> Machine:
        folder = self._folder / str(number)
        if folder.exists():
            # Left by a sandbox that was killed: a new instance has a new disk.
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        address = self._addresses.take()
        metadata = MetadataService(
            address, INNER_PORT, issuer=self._issuer, principal_of=self._principal
        )
        metadata.start()
        log = self._logs / f"{wanted.name}-{number}.log"
        machine = Machine(address, Instance(folder, owner=os.getpid()), metadata, log)
        self._machines[number] = machine
        return machine

    def _principal(self, client_id: str) -> str | None:
        return self._wanted.principals.get(client_id) if self._wanted else None

    def _wait_until_healthy(self, number: int, wanted: ScaleSet) -> None:
        if wanted.health is None:
            return
        machine, health = self._machines[number], wanted.health
        end = time.monotonic() + max(health.grace, LEAST_GRACE_SECONDS)
        while not answers(machine.address, health.port, health.path):
            if time.monotonic() > end:
                raise Problem(
                    "RollingUpgradePolicyBreach: the rolling upgrade of"
                    f" {wanted.name} stopped, since instance {number} is not healthy after"
                    f" {max(health.grace, LEAST_GRACE_SECONDS):g} seconds; see {machine.log}."
                )
            if self._ending.wait(MOMENT):
                return

    def _stop(self, machine: Machine) -> None:
        machine.instance.stop()
        machine.metadata.stop()

    def _remove(self, number: int) -> None:
        machine = self._machines.pop(number)
        self._stop(machine)
        self._addresses.give_back(machine.address)
        shutil.rmtree(machine.instance.folder)
