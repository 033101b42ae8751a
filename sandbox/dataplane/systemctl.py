"""A `systemctl` for instances that are folders: runs the units below `CLOUDDP_PREFIX`.

It knows what the install script and the agent ask: start, stop, restart, reload, whether a unit
is active; what a folder has no part in (enable, mask, daemon-reload) it takes without a word. A
unit keeps the privileges that it asks for, and no others, where there are any to take away. Each
has a process that starts it again when it ends, as systemd does.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NoReturn

from sandbox.dataplane.processes import lives

MODULE = "sandbox.dataplane.systemctl"
# Longer than any unit may take.
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
OWNER = "CLOUDDP_OWNER"
"""Variable with the id of a process: when that ends, the units end too."""
SILENT = frozenset({"daemon-reload", "enable", "disable", "mask", "unmask"})


class Unit:
    """One service of one instance."""

    def __init__(self, prefix: Path, name: str) -> None:
        self.name = name.removesuffix(".service")
        self.file = prefix / "etc/systemd/system" / f"{self.name}.service"
        self.log = prefix / "var/log/journal" / f"{self.name}.log"
        self._state = prefix / "run/systemctl"

    def options(self, name: str) -> list[str]:
        """Return all values of an option of the unit file."""
        lines = [line.partition("=") for line in self.file.read_text().splitlines()]
        return [value for key, _, value in lines if key == name]

    def option(self, name: str, default: str) -> str:
        """Return the last value of an option."""
        return [default, *self.options(name)][-1]

    def pid(self, role: str) -> int:
        """Return the id of the unit's `main` process or of its `keeper`, 0 where it has none."""
        try:
            pid = int((self._state / f"{self.name}.{role}").read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return pid if lives(pid) else 0

    def note(self, role: str, pid: int) -> None:
        """Remember a process of the unit."""
        self._state.mkdir(parents=True, exist_ok=True)
        file = self._state / f"{self.name}.{role}"
        file.with_suffix(".new").write_text(str(pid))
        file.with_suffix(".new").replace(file)

    def start(self) -> None:
        """Start the process that keeps the unit running, and wait for the unit itself."""
        if self.pid("keeper"):
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", MODULE, "keep", self.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.note("keeper", keeper.pid)
        self._until(lambda: self.pid("main") != 0)

    def stop(self) -> None:
        """End the unit, with force where it does not end by itself."""
        keeper = self.pid("keeper")
        if keeper:
            os.kill(keeper, signal.SIGTERM)
            self._until(lambda: self.pid("keeper") == 0)

    def reload(self) -> int:
        """Run what the unit reloads with."""
        main = self.pid("main")
        if not main:
            print(f"{self.name} is not active.", file=sys.stderr)
            return 1
        environment = os.environ | {"MAINPID": str(main)}
        for command in self.options("ExecReload"):
            words = [word.replace("$MAINPID", str(main)) for word in shlex.split(command)]
            subprocess.run(words, env=environment, check=True)
        return 0

    def confined(self, command: str) -> list[str]:
        """Return a command with the privileges that the unit leaves it, as far as there are any.

        Without them a unit that asks for too few would work here and nowhere else.
        """
        words = shlex.split(command)
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            return words
        kept = [
            "+" + name.removeprefix("CAP_").lower()
            for value in self.options("CapabilityBoundingSet")
            for name in value.split()
        ]
        return ["setpriv", "--no-new-privs", f"--bounding-set=-all,{','.join(kept)}", *words]

    def keep(self) -> None:
        """Run the unit, again and again, until this process is told to end."""
        environment = dict(os.environ)
        for setting in self.options("Environment"):
            name, _, value = setting.partition("=")
            environment[name] = value
        running: list[subprocess.Popen[bytes]] = []

        # Read now: the file may be gone when the unit is to end.
        kind, seconds = self.option("KillSignal", "SIGTERM"), self.option("TimeoutStopSec", "10")

        def end(kind: str) -> NoReturn:
            for process in running:
                _finish(process, getattr(signal, kind), float(seconds))
            sys.exit(0)

        signal.signal(signal.SIGTERM, lambda *_: end(kind))
        owner = int(os.environ.get(OWNER, "0"))
        while True:
            for command in self.options("ExecStartPre"):
                subprocess.run(self.confined(command), env=environment, check=False)
            with self._notices(environment) as ready:
                main = subprocess.Popen(
                    self.confined(self.option("ExecStart", "")),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    process_group=0,
                )
                running[:] = [main]
                while not ready() and main.poll() is None:
                    pass
            self.note("main", main.pid)
            while main.poll() is None:
                time.sleep(POLL_SECONDS * 4)
                if owner and not lives(owner):
                    # Nobody is left to wait for what goes on.
                    end("SIGTERM")
            _kill_group(main.pid)
            time.sleep(float(self.option("RestartSec", "1")))

    @contextlib.contextmanager
    def _notices(self, environment: dict[str, str]) -> Generator[Callable[[], bool]]:
        """Offer the socket of `sd_notify(3)`, and a function that waits for `READY=1` a moment."""
        if self.option("Type", "simple") != "notify":
            yield lambda: True
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            # The kernel chooses an abstract name (unix(7)): a path might be too long.
            notices.bind(b"")
            notices.settimeout(POLL_SECONDS)
            environment["NOTIFY_SOCKET"] = notices.getsockname().decode().replace("\0", "@")

            def ready() -> bool:
                with contextlib.suppress(TimeoutError):
                    return b"READY=1" in notices.recv(4096).split(b"\n")
                return False

            yield ready

    def _until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + STOP_SECONDS
        while not done():
            if time.monotonic() > end:
                sys.exit(f"{self.name} takes longer than {STOP_SECONDS:g} seconds.")
            time.sleep(POLL_SECONDS)


def shims(folder: Path) -> Path:
    """Write a `systemctl` and a `journalctl` into a folder, to be put first on `PATH`."""
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parents[2]
    for name in ("systemctl", "journalctl"):
        script = folder / name
        script.write_text(
            "#!/bin/sh\n"
            f'export PYTHONPATH={shlex.quote(str(root))}"${{PYTHONPATH:+:$PYTHONPATH}}"\n'
            f"exec {shlex.quote(sys.executable)} -m {MODULE} {name} "
            '"$@"\n'
        )
        script.chmod(0o755)
    return folder


def _finish(process: subprocess.Popen[bytes], kind: signal.Signals, seconds: float) -> None:
    process.send_signal(kind)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    _kill_group(process.pid)
    process.wait()


def _kill_group(pid: int) -> None:
    """End what a process left behind, as systemd does with the rest of a control group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _systemctl(prefix: Path, words: list[str]) -> int:
    verb, *names = [word for word in words if not word.startswith("-")]
    units = [Unit(prefix, name) for name in names]
    if verb in SILENT:
        return 0
    for unit in units:
        if not unit.file.exists():
            print(f"Unit {unit.name}.service not found.", file=sys.stderr)
            return 5
        active = unit.pid("main") != 0
        if verb in ("stop", "restart"):
            unit.stop()
        if verb in ("start", "restart") or (verb == "reload-or-restart" and not active):
            unit.start()
        elif verb in ("reload", "reload-or-restart") and (code := unit.reload()):
            return code
        elif verb == "is-active" and not active:
            return 3
    return 0


def _journalctl(prefix: Path) -> int:
    for log in sorted((prefix / "var/log/journal").glob("*.log")):
        print(f"-- {log.stem}", *log.read_text(errors="replace").splitlines()[-40:], sep="\n")
    return 0


def main(words: list[str]) -> int:
    """Do what one command line says."""
    prefix = Path(os.environ["CLOUDDP_PREFIX"])
    program, *rest = words
    if program == "keep":
        Unit(prefix, rest[0]).keep()
        return 0
    return _journalctl(prefix) if program == "journalctl" else _systemctl(prefix, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
