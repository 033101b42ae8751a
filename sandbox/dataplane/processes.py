"""Server processes of the sandbox: started, kept running, and ended with the one that started them.

A process that is killed cannot end its children, so the kernel does: `setpriv --pdeathsig`
(util-linux) has it end a child when the *thread* that started it ends. So servers are started from
a main thread. The signal is one that nginx passes on to its workers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.terminal import Problem, say

STOP_SECONDS = 10.0
RESTART_SECONDS = 2.0
START_SECONDS = 20.0
MOMENT = 0.05
WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--")


class Server:
    """One server process, with its output in a log."""

    def __init__(
        self, command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str]
    ) -> None:
        """Name it; nothing is started yet.

        Args:
            command: The server in the foreground, with its arguments.
            log: Where its output goes.
            environment: All its environment variables.
        """
        self._command = command
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._again = 0.0

    @property
    def name(self) -> str:
        """The program's name."""
        return Path(self._command[0]).name

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def ensure(self) -> None:
        """Start it unless it runs; nobody waits for it to answer.

        One that ends at once is not started again at once.
        """
        now = time.monotonic()
        if self.running or now < self._again:
            return
        if self._process:
            say(f"{self.name} has ended by itself, and is started again; see {self._log}.")
        self._again = now + RESTART_SECONDS
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*WITH_PARENT, *self._command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_for(self, host: str, port: int) -> None:
        """Wait until it takes connections there.

        Raises:
            Problem: It does not within some seconds.
        """
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((host, port), timeout=1).close()
                if self.running:
                    return
            if not self.running or time.monotonic() > end:
                raise Problem(f"{self.name} does not listen on {host}:{port}; see {self._log}.")
            time.sleep(MOMENT)

    def reload(self) -> None:
        """Have it read its configuration again."""
        if self._process and self.running:
            self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it, with force where it does not end by itself."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except PermissionError:
        return True
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
