"""Starts and ends the data plane of a sandbox: one process in the background, with its children."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from sandbox import cache, packages
from sandbox.dataplane import names, storage
from sandbox.dataplane.network import claim
from sandbox.dataplane.processes import lives
from sandbox.dataplane.room import Room
from sandbox.home import Sandbox
from sandbox.provider.cloud import Cloud
from sandbox.requirements import ROOT
from sandbox.terminal import Problem, Step

START_SECONDS = 60.0
# An instance that is asked to end lets downloads go on for some seconds.
STOP_SECONDS = 60.0
MOMENT = 0.1
# What runs in the data plane talks to itself alone, on this machine.
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def start(sandbox: Sandbox) -> None:
    """Have the data plane run, with the code that there is now.

    Raises:
        Problem: What it needs cannot be had, or it does not start.
    """
    room = Room(sandbox.state)
    cloud = Cloud(room.database)
    _choose_addresses(room, cloud)
    packages.programs(*packages.NGINX)
    packages.programs(names.PACKAGE)
    storage.program()
    version = _version()
    waiting = "Another command starts the data plane; waiting for it ..."
    with cache.locked(sandbox.state / "dataplane.lock", waiting):
        current = running(sandbox) and room.reported().get("version") == version
        if not current:
            if running(sandbox):
                _end(room)
            with Step("Starting the data plane: storage, vault, DNS and load balancer"):
                _begin(room, sandbox.python, version)
    _set(cloud, "data_plane_lock", str(room.lock_file))
    _set(cloud, "data_plane", "on")


def stop(sandbox: Sandbox) -> None:
    """End the data plane, if it runs.

    Raises:
        Problem: It does not end.
    """
    room = Room(sandbox.state)
    if running(sandbox):
        _end(room)
    room.forget_instances()
    if room.database.exists():
        _set(Cloud(room.database), "data_plane", "off")


def running(sandbox: Sandbox) -> bool:
    """Whether the data plane runs."""
    lock = Room(sandbox.state).lock()
    if lock:
        lock.close()
    return lock is None


def nameserver(sandbox: Sandbox) -> str:
    """Return the address of the DNS server."""
    return str(Room(sandbox.state).reported()["nameserver"])


def _choose_addresses(room: Room, cloud: Cloud) -> None:
    """Have the control plane give out addresses that lead to this machine."""
    prefix = claim(room.state).prefix
    addresses = [body["ipAddress"] for _, body in cloud.all("network:PublicIPAddress")]
    if any(not address.startswith(prefix) for address in addresses):
        raise Problem(
            f"What is deployed has addresses that do not lead to this machine ({addresses[0]}):"
            " run `make down` once, and then `make up`."
        )
    _set(cloud, "virtual_ips", prefix)


def _set(cloud: Cloud, name: str, value: str) -> None:
    with cloud.change() as database:
        database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))


def _version() -> str:
    """Changes with any code that the data plane runs."""
    files = [path for path in (ROOT / "sandbox").rglob("*.py") if path.is_file()]
    return cache.digest([str(ROOT)], files)


def _begin(room: Room, python: Path, version: str) -> None:
    room.logs.mkdir(parents=True, exist_ok=True)
    begun = room.log.stat().st_size if room.log.exists() else 0
    with room.log.open("ab") as log:
        process = subprocess.Popen(
            [python, "-m", "sandbox.dataplane", room.state, version],
            cwd=ROOT,
            env={name: word for name, word in os.environ.items() if name.lower() not in PROXIES},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + START_SECONDS
    while room.reported().get("pid") != process.pid:
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            said = room.log.read_text(errors="replace")[begun:].strip().splitlines() or ["nothing"]
            raise Problem(f"The data plane does not start. The end of {room.log}: {said[-1]}")
        time.sleep(MOMENT)


def _end(room: Room) -> None:
    pid = int(room.reported().get("pid", 0))
    for kind in (signal.SIGTERM, signal.SIGKILL):
        if pid and lives(pid):
            os.kill(pid, kind)
        end = time.monotonic() + STOP_SECONDS
        while time.monotonic() < end:
            if not lives(pid) and (lock := room.lock()):
                lock.close()
                return
            time.sleep(MOMENT)
    raise Problem(f"The data plane (process {pid}) does not end; see {room.log}.")
